"""Reload: a light process that owns the worker, watches the files, and replaces the worker without losing tasks.

It runs as a separate script (see __main__.py). It imports neither Django nor Celery, only the standard library, and
watchfiles if it is installed.

    loop.py       the loop: processes and signals
    reloader.py   what both reloads share: the process in charge, the next one, the line to them
    worker.py     strategy: the new worker starts beside the old one, which takes no more tasks
    beat.py       strategy: the new beat loads while the old one ticks, and takes over when the old one has ended
    site.py       strategy: web server, worker and beat together; part.py is one of them
    process.py    one process
    child.py      a process with a line to it
    output.py     what several processes print, as whole lines
    watcher.py    which files count, and whether their content has changed

Three modules are for the process at the other end: line.py is its end of the line, age.py says when it began, and reports.py
has what a part of the site says about code that it cannot import.
"""
