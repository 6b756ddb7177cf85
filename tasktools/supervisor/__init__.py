"""Reload: a light process that owns the worker, watches the files, and changes the one for the other without a loss.

It runs as a script of its own (see __main__.py) and imports neither Django nor Celery: standard library, and watchfiles
where that is installed.

    loop.py       the loop: processes and signals
    reloader.py   what both reloads share: the process in charge, the next one, the line to them
    worker.py     strategy: the new worker starts beside the old one, which takes no more tasks
    beat.py       strategy: the new beat loads while the old one ticks, and takes over when that has gone
    process.py    one process
    child.py      a process with a line to it
    watcher.py    which files count, and whether their content has changed
"""
