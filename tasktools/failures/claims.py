"""Who may send which row: a claim is one UPDATE that asks for the state of the row and writes the id of its new message."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from django.db.models import CharField, Expression
from django.db.models.functions import Length
from django.utils import timezone

from tasktools.failures.access import reading, rows
from tasktools.failures.message import Kept
from tasktools.models import FailedTask, State

#: How many rows a statement names at the most: databases have limits.
MOST = 500

#: How much of messages is read at once: bytes of bodies and characters of the rest, which is what databases count.
#: Their parts are in memory several times while they are sent.
MOST_BYTES = 8 * 2**20

_SIZES = (Length("body"), Length("message"))


@dataclass(frozen=True, kw_only=True)
class Edited:
    """What a row keeps of its message, and what is sent in its place."""

    before: Kept
    after: Kept


@dataclass(frozen=True, kw_only=True)
class Claimed:
    """What is known of a row that was claimed, without its message."""

    pk: int
    new_id: str
    sent_again_at: datetime | None


class _ByRow(Expression):
    """Another text for each row. It says what Django's Case and When say, which take most of the time of a whole batch."""

    def __init__(self, texts: Mapping[int, str]) -> None:
        super().__init__(output_field=CharField())
        self.texts = texts

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        column = connection.ops.quote_name(FailedTask._meta.pk.column)
        cases = "WHEN %s THEN %s " * len(self.texts)
        return f"CASE {column} {cases}ELSE '' END", tuple(each for pair in self.texts.items() for each in pair)


def claim(ids: Sequence[int], by: str, edited: Edited | None = None) -> list[FailedTask]:
    """Claim those of the rows that wait to be sent again; return them. `edited` is about all of them: mostly, there is one.

    An edited message is written with the claim, because another process may have to finish what this one begins.
    """
    new_ids = {each: str(uuid.uuid4()) for each in ids}
    values: dict[str, Any] = {"state": State.SENDING, "sent_by": by[:255], "sent_again_at": timezone.now()}
    if edited:
        values |= {"message": edited.after.text(), "body": edited.after.body}
    with reading():
        rows().filter(pk__in=ids, state=State.FAILED).update(**values, new_id=_ByRow(new_ids))
        return list(_sendable().filter(new_id__in=new_ids.values(), state=State.SENDING).order_by("pk"))


def batches(ids: Iterable[int], size: int) -> Iterator[list[int]]:
    """Yield these primary keys in batches: at most `size` rows, and at most MOST_BYTES unless it is one row alone."""
    left = iter(ids)
    while some := list(islice(left, MOST)):
        with reading():
            named = rows().filter(pk__in=some).order_by()
            sizes = {pk: (body or 0) + (text or 0) for pk, body, text in named.values_list("pk", *_SIZES)}
        batch: list[int] = []
        total = 0
        for pk in some:
            own = sizes.get(pk, 0)
            if batch and (len(batch) == size or total + own > MOST_BYTES):
                yield batch
                batch, total = [], 0
            batch.append(pk)
            total += own
        yield batch


def take_over(ids: Sequence[int], by: str, lease: timedelta, at: datetime | None = None) -> list[FailedTask]:
    """Claim those of the rows that another process has claimed and left; they keep their new ids.

    `at` is the time of the claim, now unless given: it must not be later than the broker was asked to keep what it knows.
    """
    now = at or timezone.now()
    with reading():
        left = rows().filter(pk__in=ids, state=State.SENDING, sent_again_at__lt=now - lease)
        left.update(sent_again_at=now, sent_by=by[:255])
        mine = _sendable().filter(pk__in=ids, state=State.SENDING, sent_again_at=now, sent_by=by[:255])
        return list(mine.order_by("pk"))


def _sendable() -> Any:
    """Return all rows with what their messages need: some other columns are long, and each takes time."""
    return rows().only("task_id", "queue", "failures", "message", "body", "new_id", "sent_again_at")


def renew(claimed: Sequence[Claimed]) -> list[FailedTask]:
    """Claim these anew: what was claimed in a transaction may be old when it is committed. Return those that still are ours."""
    now = timezone.now()
    with reading():
        for at in {each.sent_again_at for each in claimed}:
            new_ids = [each.new_id for each in claimed if each.sent_again_at == at]
            rows().filter(new_id__in=new_ids, state=State.SENDING, sent_again_at=at).update(sent_again_at=now)
        mine = _sendable().filter(new_id__in=[each.new_id for each in claimed], state=State.SENDING, sent_again_at=now)
        return list(mine.order_by("pk"))


def left(ids: Sequence[int], lease: timedelta, reliable: float | None) -> tuple[list[tuple[int, str]], list[int]]:
    """Return what another process has claimed and left: keys and new ids of what may be taken over, and keys of what is too old.

    After `reliable` seconds the broker may have forgotten whether it was sent.
    """
    now = timezone.now()
    with reading():
        some = rows().filter(pk__in=ids, state=State.SENDING, sent_again_at__lt=now - lease)
        found = list(some.order_by("pk").values_list("pk", "new_id", "sent_again_at"))
    oldest = None if reliable is None else now - timedelta(seconds=reliable)
    old = [pk for pk, _, at in found if oldest is not None and at < oldest]
    return [(pk, new_id) for pk, new_id, _ in found if pk not in set(old)], old


def in_state(ids: Sequence[int], state: str) -> dict[int, datetime | None]:
    """Return those of the rows that are in a state, and when they were claimed."""
    found: dict[int, datetime | None] = {}
    with reading():
        for start in range(0, len(ids), MOST):
            some = rows().filter(pk__in=ids[start : start + MOST], state=state)
            found.update(some.values_list("pk", "sent_again_at"))
    return found


def mark(sent: Sequence[FailedTask]) -> None:
    """Note that these were sent, whoever has sent them. A worker may have marked some as mended already."""
    with reading():
        rows().filter(new_id__in=[each.new_id for each in sent], state=State.SENDING).update(state=State.SENT)


def release(unsent: Sequence[FailedTask | Claimed], edited: Edited | None = None) -> None:
    """Give back what was claimed and is certainly not sent, unless another process has taken it over meanwhile."""
    if not unsent:
        return
    values = {"message": edited.before.text(), "body": edited.before.body} if edited else {}
    with reading():
        for at in {each.sent_again_at for each in unsent}:
            new_ids = [each.new_id for each in unsent if each.sent_again_at == at]
            mine = rows().filter(new_id__in=new_ids, state=State.SENDING, sent_again_at=at)
            mine.update(state=State.FAILED, new_id="", sent_by="", sent_again_at=None, **values)


def why_not(ids: Iterable[int]) -> Iterator[tuple[int, str]]:
    """Yield why rows could not be claimed: primary keys and reasons."""
    missing = set(ids)
    if not missing:
        return
    with reading():
        found = {row.pk: row for row in rows().filter(pk__in=missing).only("pk", "state", "new_id", "sent_by")}
    for pk in sorted(missing):
        yield pk, _why_not(found.get(pk))


def _why_not(row: FailedTask | None) -> str:
    if row is None:
        return "it is no longer in the table"
    by = f" by {row.sent_by}" if row.sent_by else ""
    if row.state == State.SENDING:
        return f"it is being sent{by}"
    if row.state == State.FAILED:
        return "another process was about to send it, and could not"
    return f"it was sent again{by} as {row.new_id}"
