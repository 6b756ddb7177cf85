"""W020, W021: what is sent and what is stored can be read again."""

from __future__ import annotations

from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning

from tasktools.discovery.celery_app import Found

#: The ids that this module can give.
IDS = ("tasktools.W020", "tasktools.W021")

#: The serializer of an app whose settings nobody has changed.
_USUAL = "json"


def check(found: Found) -> list[CheckMessage]:
    """Warn of a serializer that no worker or client of this project reads. Others may read it, so it does not stop `migrate`."""
    conf = found.app.conf
    tasks, results = (conf.task_serializer, conf.accept_content), (conf.result_serializer, conf.result_accept_content)
    if tasks[0] == results[0] == _USUAL and _USUAL in (tasks[1] or ()) and results[1] is None:
        return []
    from tasktools.registry import (
        serialization,  # it needs the rest of kombu; a site with the defaults does not
    )

    return [
        CheckWarning(f"{subject}: {why}.", hint=serialization.how_to_read(serializer, setting), id=check_id)
        for subject, setting, serializer, accept, check_id in (
            (
                "No worker of this project reads its tasks",
                "CELERY_ACCEPT_CONTENT",
                tasks[0],
                tasks[1],
                "tasktools.W020",
            ),
            (
                "Nobody reads the results",
                "CELERY_RESULT_ACCEPT_CONTENT",
                results[0],
                results[1] or tasks[1],
                "tasktools.W021",
            ),
        )
        if (why := serialization.why_unread(serializer, accept))
    ]
