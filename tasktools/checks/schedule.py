"""E010, E011, E012: every entry of the beat schedule can run."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error

from tasktools import startup
from tasktools.schedule import faults

_IDS = {"task": "tasktools.E010", "arguments": "tasktools.E011", "schedule": "tasktools.E012"}


def check(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Check the schedule of the project's app; an app without one costs nothing."""
    found = startup.found
    if found is None or not found.app.conf.beat_schedule or startup.load_tasks(found):
        return []
    return [
        Error(
            f'The beat schedule\'s entry "{fault.entry}" cannot run: {fault.sentence}.',
            hint=fault.hint,
            id=_IDS[fault.kind],
        )
        for fault in faults(found.app)
    ]
