"""The lines of the admin's log: what was done, and what was tried and failed after something may have been sent."""

from __future__ import annotations

import logging
from typing import Any

from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.options import get_content_type_for_model
from django.contrib.messages.api import add_message
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest
from django.utils.translation import gettext as _

from tasktools.admin.confirming import error_text
from tasktools.admin.tasks_page import words
from tasktools.brokers.reach import reason_at_end
from tasktools.exceptions import NoTrace, TasktoolsError, UsageError
from tasktools.models import TaskOverview

logger = logging.getLogger("tasktools.overview")


def write(request: HttpRequest, kind: str, name: str, text: str) -> None:
    """Write a line. The database may be away after something was done: the answer then says that the line is missing."""
    user_id: Any = request.user.pk
    try:
        LogEntry.objects.create(
            user_id=user_id,
            content_type_id=get_content_type_for_model(TaskOverview).pk,
            object_id=f"{kind}:{name}"[:2_000],
            object_repr=words.plain(f"{kind} {name}", 190),
            action_flag=CHANGE,
            change_message=text,
        )
    except (DatabaseError, InterfaceError) as error:
        logger.exception("The admin's history has no line of this: %s %s: %s", kind, words.plain(name), text)
        why = error_text(TasktoolsError(_("The history has no line of this: %s") % reason_at_end(error)))
        add_message(request, messages.WARNING, why)


def may_have_sent(error: TasktoolsError) -> bool:
    """Whether something may have been done before the error came: it did not, if what was asked for is wrong or not there."""
    return not isinstance(error, (UsageError, NoTrace))
