"""W006: a site with DEBUG off gives its tasks to a worker."""

from __future__ import annotations

import sys

from django.conf import settings
from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning

from tasktools.discovery.celery_app import Found

#: The ids that this module can give.
IDS = ("tasktools.W006",)

#: What the setting means for whoever calls `.delay()`.
EAGER = ".delay() runs each task in the process that calls it, and no worker gets it"


def check(found: Found) -> list[CheckMessage]:
    """Warn of CELERY_TASK_ALWAYS_EAGER outside tests and development."""
    if settings.DEBUG or _tests_run():
        return []
    if not found.app.conf.task_always_eager:
        return []
    sentence = f"CELERY_TASK_ALWAYS_EAGER is set, and DEBUG is off: {EAGER}."
    return [CheckWarning(sentence, hint="unset it outside tests", id="tasktools.W006")]


def _tests_run() -> bool:
    """Whether Django's test environment is set up, which switches DEBUG off: it has given the mails a box."""
    return hasattr(sys.modules.get("django.core.mail"), "outbox")
