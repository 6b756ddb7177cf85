"""An entry of the schedule -> the call that beat sends."""

from __future__ import annotations

from typing import Any

import celery.beat

from tasktools.arguments.call import Call

#: Arguments that beat makes at each tick. Celery 5.5 and newer.
LAZY: Any = getattr(celery.beat, "BeatLazyFunc", ())


def call_of(entry: Any) -> Call:
    """Return what beat sends for `entry` (celery.beat.ScheduleEntry) now, with the header that says so to the task.

    Raises what a lazy argument of the entry raises.
    """
    args = tuple(_now(value) for value in entry.args or ())
    kwargs = {name: _now(value) for name, value in (entry.kwargs or {}).items()}
    options = dict(entry.options or {})
    options["headers"] = {**(options.get("headers") or {}), "celery_beat_task": True}
    return Call(task=entry.task, args=args, kwargs=kwargs, options=options)


def _now(value: Any) -> Any:
    return value() if isinstance(value, LAZY) else value
