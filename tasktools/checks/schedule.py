"""W010, E011, E012: every entry of the beat schedule can run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning

from tasktools import fixups, startup

if TYPE_CHECKING:
    from tasktools.schedule import Fault

#: A task that this project does not know may be another one's: a warning, and beat alone refuses it.
_KINDS = {
    "task": (CheckWarning, "tasktools.W010"),
    "arguments": (Error, "tasktools.E011"),
    "schedule": (Error, "tasktools.E012"),
}


def check(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Check the schedule of the project's app; an app without one costs nothing."""
    found = startup.found
    if found is None or not found.app.conf.beat_schedule or startup.load_tasks(found):
        return []
    from tasktools.schedule import faults  # imports celery.beat, which a site without a schedule does not need

    seen = list(faults(found.app))
    if any(fault.kind == "task" for fault in seen) and _KINDS["task"][1] not in settings.SILENCED_SYSTEM_CHECKS:
        fixups.load_rest(found)  # the task may be one that a views module imports
        seen = list(faults(found.app))
    return [_message(fault) for fault in seen]


def unsilenced(app: Any) -> list[CheckMessage]:
    """Return what keeps beat from starting: every fault whose id SILENCED_SYSTEM_CHECKS does not name."""
    from tasktools.schedule import faults

    messages = (_message(fault) for fault in faults(app))
    return [message for message in messages if message.id not in settings.SILENCED_SYSTEM_CHECKS]


def _message(fault: Fault) -> CheckMessage:
    kind, check_id = _KINDS[fault.kind]
    text = f'The beat schedule\'s entry "{fault.entry}" cannot run: {fault.sentence}.'
    return kind(text, hint=fault.hint, id=check_id)
