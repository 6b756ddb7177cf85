"""The settings that Celery reads for each task when it creates it, read once: from Django they take most of that time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def at_hand(app: Any) -> Iterator[None]:
    """Keep the settings of tasks at hand inside the block (`Task.from_config`), which creates the tasks of `app`.

    Nothing is kept if code of the project runs in the block that could change them (receivers of on_after_finalize). A receiver
    that surely leaves them alone says so by its attribute `leaves_tasks_alone`.
    """
    from celery import Task  # which takes long to import, and is here when tasks are made

    conf = app.conf
    receivers = (each for _, each in app.on_after_finalize.receivers)
    if app.finalized or any(not getattr(each, "leaves_tasks_alone", False) for each in receivers):
        yield
        return
    kept: dict[str, Any] = {}
    for _, name in Task.from_config:
        value = conf[name]
        kept.update(dict.fromkeys((name, f"{conf.prefix or ''}{name}", f"{conf.prefix or ''}{name}".upper()), value))
    conf.maps.insert(0, kept)
    kind: Any = app.Task if app.Task.from_config is Task.from_config else None  # the project's may read more
    if kind:
        kind.from_config = tuple(each for each in Task.from_config if conf[each[1]] is not None)
    try:
        yield
    finally:
        conf.maps.remove(kept)
        if kind:
            del kind.from_config  # that of Celery's class is back
