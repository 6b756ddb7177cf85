"""W010, E011, W011, E012, E013, W013: every entry of the beat schedule can run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning

from tasktools import conf, startup
from tasktools.checks import project
from tasktools.discovery import django_fixup
from tasktools.discovery.celery_app import Found
from tasktools.render import ended

if TYPE_CHECKING:
    from celery import Celery

    from tasktools.beat.validation import Fault

#: The ids that this module can give.
IDS = ("tasktools.W010", "tasktools.E011", "tasktools.W011", "tasktools.E012", "tasktools.E013", "tasktools.W013")


class _Kind(NamedTuple):
    message: Callable[..., CheckMessage]
    id: str
    verdict: str = "cannot run"
    #: Whether beat refuses to start because of it.
    refused: bool = True


#: A task that this project does not know may belong to another project. It is a warning; only beat refuses it.
_KINDS = {
    "task": _Kind(CheckWarning, "tasktools.W010"),
    "arguments": _Kind(Error, "tasktools.E011"),
    "unfit": _Kind(CheckWarning, "tasktools.W011", "is sent, and is likely to fail", refused=False),
    "schedule": _Kind(Error, "tasktools.E012"),
    "options": _Kind(Error, "tasktools.E013"),
    "unused": _Kind(CheckWarning, "tasktools.W013", "is sent without what is meant", refused=False),
}


def check(found: Found) -> list[CheckMessage]:
    """Check the schedule of the project's app. It costs nothing if the app has no schedule."""
    if not found.app.conf.beat_schedule:
        return []
    if errors := startup.load_tasks(found):
        return project.messages(errors)
    from tasktools.beat.schedule import faults  # imports celery.beat, which a site without a schedule does not need

    seen = list(faults(found.app))
    if any(fault.kind == "task" for fault in seen) and not conf.silences(_KINDS["task"][1]):
        if errors := django_fixup.load_urlconf(found):  # the task may be one that a views module imports
            return [*project.messages(errors), *(_message(fault) for fault in seen if fault.kind != "task")]
        seen = list(faults(found.app))
    return [_message(fault) for fault in seen]


def unsilenced(app: Celery, scheduler: str) -> list[CheckMessage]:
    """Return what prevents beat from starting: every fault whose id SILENCED_SYSTEM_CHECKS does not name."""
    from tasktools.beat.schedule import faults

    refused = (fault for fault in faults(app, scheduler=scheduler) if _KINDS[fault.kind].refused)
    return [message for message in map(_message, refused) if not conf.silences(message.id)]


def silenced_kinds() -> frozenset[str]:
    """Return the kinds of faults whose check is silenced: beat sends such an entry."""
    return frozenset(name for name, kind in _KINDS.items() if conf.silences(kind.id))


def _message(fault: Fault) -> CheckMessage:
    kind = _KINDS[fault.kind]
    text = f'The beat schedule\'s entry "{fault.entry}" {kind.verdict}: {ended(fault.sentence)}'
    return kind.message(text, hint=fault.hint, id=kind.id)
