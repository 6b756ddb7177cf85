"""Which scheduler beat uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tasktools.beat.schedule import class_of
from tasktools.brokers import broker_of
from tasktools.celery_compat import DEFAULTS
from tasktools.exceptions import ConfigurationError

if TYPE_CHECKING:
    from celery import Celery

#: The dotted names of our scheduler, and of the lease around another one.
OURS, GUARDED = "tasktools.beat.scheduler:Scheduler", "tasktools.beat.guarded:scheduler"


def scheduler_of(app: Celery, typed: str | None = None, *, file: str | None = None) -> str:
    """Return the dotted name of the scheduler: what was typed, what the project has set, ours, or Celery's.

    Ours needs a Redis or Valkey as the broker. A `file` for the schedule, if one was typed, is Celery's scheduler's.
    """
    chosen = str(typed or app.conf.beat_scheduler)
    if typed or file or is_set(app, "beat_scheduler") or app.conf.task_always_eager:
        return chosen
    try:
        return OURS if broker_of(app).supports_transactions else chosen
    except ConfigurationError:  # whoever needs the broker reports it
        return chosen


def holds_itself(scheduler: str) -> bool:
    """Whether a scheduler has a lock of its own, which lets one beat at a time send: RedBeat."""
    return hasattr(class_of(scheduler), "lock_key")


def is_set(app: Celery, name: str) -> bool:
    """Whether the project has set a setting of Celery, even to its default."""
    conf: Any = app.conf
    if conf[name] != DEFAULTS.here()[name]:
        return True
    keys = {name, name.upper(), f"{getattr(conf, 'prefix', None) or ''}{name.upper()}"}
    return any(key in each for each in conf.maps[:-1] for key in keys)
