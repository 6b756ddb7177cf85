"""What the admin does with failed tasks: it sends them again, or forgets them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.contrib.admin.options import get_content_type_for_model
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from tasktools.admin import project_app
from tasktools.exceptions import TasktoolsError
from tasktools.failures import access
from tasktools.models import FailedTask


@dataclass(kw_only=True)
class Done:
    """What has become of the chosen rows."""

    #: The id of the row, and what the log of the admin says of it.
    done: Mapping[int, str] = field(default_factory=dict)
    #: The id of the row, and why nothing was done.
    refused: Sequence[tuple[int, str]] = ()
    #: What is not as it came in the messages that were sent.
    notes: Sequence[str] = ()
    #: Why the rest was left.
    error: TasktoolsError | None = None


@dataclass(frozen=True, kw_only=True)
class Verb:
    """One of the two."""

    #: In the URL and the name of the URL.
    name: str
    #: As in `ModelAdmin.has_<permission>_permission`.
    permission: str
    title: Any
    #: What happens to a number of rows.
    explanation: Callable[[int], str]
    button: Any
    #: Whether it cannot be undone.
    is_final: bool
    #: The flag of the admin's log.
    flag: int
    perform: Callable[[Sequence[int], str], Done]
    #: The sentence for a number of rows.
    report: Callable[[int], str]
    #: The command that takes any number.
    command: str


def _send(ids: Sequence[int], by: str) -> Done:
    from tasktools.failures import retry  # it imports redis, which a site need not load when it starts
    from tasktools.failures.retried import before

    error = None
    try:
        retried = retry.again(project_app.found().app, ids, by)
    except TasktoolsError as raised:  # some may have been sent before it
        retried, error = before(raised), raised
        retried.refused += retried.elsewhere
    new_ids = _new_ids(ids) if retried.refused else {}
    # The reason names the new id: without it, equal reasons can be counted.
    refused = [(row, why.removesuffix(f" as {new_ids.get(row)}")) for row, why in retried.refused]
    return Done(
        done=_sent_as({row: new for row, _old, new in retried.sent}),
        refused=[*refused, *retried.doubtful],
        notes=[note for notes in retried.notes.values() for note in notes],
        error=error,
    )


def _sent_as(new_ids: Mapping[int, str]) -> dict[int, str]:
    return {row: gettext("Sent again as %s.") % new for row, new in new_ids.items()}


def _forget(ids: Sequence[int], by: str) -> Done:
    from tasktools.failures import forget

    error = None
    try:
        for _removed in forget.steps(ids):
            pass
    except TasktoolsError as raised:  # some may have been removed before it
        error = raised
    try:
        with access.reading():
            left = set(access.rows().filter(pk__in=ids).values_list("pk", flat=True))
    except TasktoolsError as raised:
        return Done(error=error or raised)
    return Done(
        done={row: "" for row in ids if row not in left},
        refused=[] if error else [(row, gettext("it is being sent")) for row in ids if row in left],
        error=error,
    )


def _new_ids(ids: Sequence[int]) -> dict[int, str]:
    """Return under which ids the rows were sent; nothing if the database has gone away since."""
    try:
        with access.reading():
            return dict(access.rows().filter(pk__in=ids).values_list("pk", "new_id"))
    except TasktoolsError:
        return {}


SEND = Verb(
    name="send_again",
    permission="retry",
    title=_("Send again"),
    explanation=lambda count: ngettext(
        "Its message is sent again as it came, with a new id.",
        "The message of each is sent again as it came, with a new id.",
        count,
    ),
    button=_("Send again"),
    is_final=False,
    flag=CHANGE,
    perform=_send,
    report=lambda count: ngettext("%d failed task was sent again.", "%d failed tasks were sent again.", count) % count,
    command="retryfailed",
)

FORGET = Verb(
    name="forget",
    permission="delete",
    title=_("Forget"),
    explanation=lambda count: ngettext(
        "Its row is deleted, with its message: it cannot be sent again.",
        "Their rows are deleted, with their messages: they cannot be sent again.",
        count,
    ),
    button=_("Forget"),
    is_final=True,
    flag=DELETION,
    perform=_forget,
    report=lambda count: ngettext("%d failed task was forgotten.", "%d failed tasks were forgotten.", count) % count,
    command="forgetfailed",
)


def log(user_id: Any, verb: Verb, rows: Iterable[FailedTask], done: Mapping[int, str]) -> None:
    """Write a line of the admin's log for each row with which something was done."""
    content_type = get_content_type_for_model(FailedTask)
    LogEntry.objects.bulk_create(
        [
            LogEntry(
                user_id=user_id,
                content_type_id=content_type.pk,
                object_id=str(row.pk),
                object_repr=str(row)[:200],
                action_flag=verb.flag,
                change_message=done[row.pk],
            )
            for row in rows
            if row.pk in done
        ],
        batch_size=500,
    )
