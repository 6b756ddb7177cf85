"""W030: each task has a queue. E030, for settings of a wrong kind, is found wherever the settings are read."""

from __future__ import annotations

from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning

from tasktools.discovery.celery_app import Found
from tasktools.registry import routes
from tasktools.registry.registry import names

#: The ids that this module can give.
IDS = ("tasktools.W030",)


def check(found: Found) -> list[CheckMessage]:
    """Look up the queue of each task that is known. Routers that are code are not asked: they may read the database."""
    if not routes.can_fail(found.app) or routes.runs_code(found.app):
        return []
    faults = routes.faults(found.app, names(found.app))
    return [CheckWarning(fault.sentence, hint=fault.hint, id="tasktools.W030") for fault in faults]
