"""Make a row of a failure."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from django.utils import timezone as django_timezone

from tasktools.failures import arguments
from tasktools.failures.failure import Failure
from tasktools.failures.message import FAILURES, NOTHING, RETRY_OF, Kept
from tasktools.failures.text import REASON, clean, cut, name
from tasktools.models import State

#: Headers in which Celery shows the arguments.
_SHOWN = ("argsrepr", "kwargsrepr")

#: The greatest number that every database keeps in such a column.
_GREATEST = 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class Form:
    """How rows are made."""

    #: The content that the app accepts, as in accept_content.
    accept: Sequence[str] | None = ("json",)
    #: The project's own hook that masks arguments.
    hook: arguments.Hook | None = None


_FAILED = str(State.FAILED)

#: The values of a row, by the names of the columns' fields. A FailedTask for each would cost more than all the rest of the row.
Row = dict[str, Any]


def row(failure: Failure, form: Form) -> Row:
    """Return a failure as a row. Texts of strangers are cut and cleaned."""
    message, reason, shown = failure.message, failure.reason, ""
    call = arguments.read(message, form.accept)
    if call is None and form.hook is not None:
        # Nobody can ask the hook what to hide in it: nothing of it is kept.
        message = _without_arguments(message)
    if call is not None:
        allowed = arguments.masked(form.hook, failure.task, call)
        if allowed is None:
            message = _without_arguments(message)
        else:
            shown = arguments.written(*allowed)
        if call.chord:
            reason = f'{reason}\nThe body of its chord, "{call.chord}", does not run.'.lstrip()
    return _row(failure, message, reason, shown)


def bare_row(failure: Failure) -> Row:
    """Return a row without the message, for a failure of which `row` makes none."""
    return _row(failure, NOTHING, f"{failure.reason}\nIts message cannot be recorded.".lstrip(), "")


def _row(failure: Failure, message: Kept, reason: str, shown: str) -> Row:
    return {
        "key": failure.key,
        "task_id": failure.task_id,
        "task": failure.task,
        "kind": str(failure.kind),
        "state": _FAILED,
        "exception": failure.exception,
        "reason": cut(reason, REASON),
        "traceback": failure.traceback,
        "arguments": shown,
        "queue": failure.queue,
        "worker": failure.worker,
        "sent_at": _sent_at(message),
        "started_at": moment(failure.started_at),
        "failed_at": moment(failure.failed_at) or django_timezone.now(),
        "retries": number(failure.retries),
        "failures": number(message.headers.get(FAILURES)),
        "retry_of": name(message.headers.get(RETRY_OF)),
        "message": clean(message.text()),
        "body": message.body,
        "new_id": "",
        "sent_by": "",
        "sent_again_at": None,
        "mended_at": None,
    }


def moment(seconds: float | None) -> datetime | None:
    """Return a time for the database, with or without a time zone as the site has them."""
    if seconds is None:
        return None
    try:
        return for_database(datetime.fromtimestamp(seconds, timezone.utc))
    except (ValueError, OverflowError, OSError):  # a message may say anything
        return None


def for_database(aware: datetime) -> datetime:
    """Return a time without a zone if the site's times have none."""
    return django_timezone.make_naive(aware) if django_timezone.is_naive(django_timezone.now()) else aware


def number(value: Any) -> int:
    """Return a count that a message claims; 0 for what is none."""
    return min(value, _GREATEST) if isinstance(value, int) and value > 0 else 0


def _sent_at(message: Kept) -> datetime | None:
    sent = message.properties.get("timestamp")
    if isinstance(sent, datetime):
        return for_database(sent if sent.tzinfo else sent.replace(tzinfo=timezone.utc))
    return moment(sent) if isinstance(sent, (int, float)) and sent > 0 else None


def _without_arguments(message: Kept) -> Kept:
    headers = {key: "" if key in _SHOWN else value for key, value in message.headers.items()}
    return dataclasses.replace(message, headers=headers, body=None)
