"""W006, W045: a site with DEBUG off gives its tasks to a worker."""

from __future__ import annotations

import sys
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning

from tasktools.discovery.celery_app import Found
from tasktools.discovery.setting_names import spelled

#: The ids that this module can give.
IDS = ("tasktools.W006", "tasktools.W045")

#: What the setting means for whoever calls `.delay()`.
EAGER = ".delay() runs each task in the process that calls it, and no worker gets it"


def check(found: Found) -> list[CheckMessage]:
    """Warn of CELERY_TASK_ALWAYS_EAGER, and of a broker in the memory of one process, outside tests and development."""
    if settings.DEBUG or _tests_run():
        return []
    if found.app.conf.task_always_eager:
        sentence = f"CELERY_TASK_ALWAYS_EAGER is set, and DEBUG is off: {EAGER}."
        return [CheckWarning(sentence, hint="unset it outside tests", id="tasktools.W006")]
    return _broker(found.app, "memory", "the tasks stay in the process that calls .delay(), and no worker gets them")


def check_deploy(found: Found) -> list[CheckMessage]:
    """Warn of a broker that is a folder. A small site may have meant it, so only a deployment is warned."""
    if settings.DEBUG or _tests_run() or found.app.conf.task_always_eager:
        return []
    return _broker(
        found.app, "filesystem", "only workers with the same folder get a task, and one that is killed loses it"
    )


def _broker(app: Any, transport: str, why: str) -> list[CheckMessage]:
    url = app.conf.broker_write_url
    if not str(url).startswith(f"{transport}://"):
        return []
    setting = spelled(app, "broker_url")
    sentence = f'{setting} is "{url}", and DEBUG is off: {why}.'
    return [CheckWarning(sentence, hint=f'{setting} = "redis://localhost:6379/0", for example', id="tasktools.W045")]


def _tests_run() -> bool:
    """Whether Django's test environment is set up, which switches DEBUG off: it has given the mails a box."""
    return hasattr(sys.modules.get("django.core.mail"), "outbox")
