"""Reload: a light process that owns the worker, watches the files, and changes the one for the other without a loss.

It runs as a script of its own (see __main__.py) and imports neither Django nor Celery: standard library, and watchfiles
where that is installed.

    loop.py       the loop: processes and signals
    reloader.py   what both reloads share: the process in charge, the next one, the line to them
    worker.py     strategy: the new worker starts beside the old one, which takes no more tasks
    beat.py       strategy: the new beat loads while the old one ticks, and takes over when that has gone
    site.py       strategy: web server, worker and beat together; part.py is one of them
    process.py    one process
    child.py      a process with a line to it
    output.py     what several processes print, as whole lines
    watcher.py    which files count, and whether their content has changed

Two modules are for the process at the other end: line.py, its end of the line, and age.py, when it began.
"""
