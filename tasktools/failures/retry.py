"""Send failed tasks again, each exactly once.

A row is claimed by one UPDATE that asks for its state and writes the new id; then its message is sent, and the row is marked. On
Redis and Valkey, a key of the broker is written in the transaction that sends the message. So whoever finds a row that another
process has claimed and left can finish it: if the key is there, the row is marked; else the message is sent under the same id.
On other brokers nobody can know whether such a message was sent.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone

from tasktools.exceptions import TasktoolsError
from tasktools.failures import claims as claims_of
from tasktools.failures.access import database, is_in_transaction
from tasktools.failures.claims import Claimed, Edited
from tasktools.failures.deferred import log, send_claimed
from tasktools.failures.message import Kept
from tasktools.failures.remade import Unsendable, remade
from tasktools.failures.retried import Retried, carry
from tasktools.failures.sending import Sender
from tasktools.failures.sent import RELIABLE, Message, Sent
from tasktools.models import FailedTask

if TYPE_CHECKING:
    from celery import Celery

#: Rows that are claimed, sent and marked together at most.
BATCH_SIZE = 500

#: How long after a claim its process may still send, and how long others leave it alone, in seconds: where the broker knows
#: what was sent, and where it does not.
LATEST = 30.0
LEASE = 10.0
LONG_LEASE = 60.0


def again(app: Celery, ids: Iterable[int], by: str) -> Retried:
    """Send the failed tasks in the rows with these primary keys again, for the person or account `by`.

    In a transaction of the table's database, they are claimed in it, and sent when it is committed. Outside one, rows that
    another process has claimed and left are finished, if the broker knows what was sent.

    Raises a TasktoolsError when nothing more was sent, mostly Unreachable; `retried.before` has what was sent until then.
    """
    done = Retried(is_deferred=is_in_transaction())
    try:
        _again(app, ids, by, done)
    except TasktoolsError as error:
        carry(error, done)
        raise
    done.refused += done.elsewhere
    return done


def _again(app: Celery, ids: Iterable[int], by: str, done: Retried) -> None:
    with Sender(app) as sender:
        retrier = Retrier(sender, by)
        for some in claims_of.batches(dict.fromkeys(ids), BATCH_SIZE):
            done.add(retrier.defer(some) if done.is_deferred else retrier.send(some))
            if done.error:
                raise done.error
        if sender.is_atomic and not done.is_deferred:
            _finish(retrier, done)
            if done.error:
                raise done.error


def _finish(retrier: Retrier, done: Retried) -> None:
    """Finish what other processes have claimed and left for long."""
    others = [pk for pk, _ in done.elsewhere]
    for some in claims_of.batches(others, BATCH_SIZE):
        done.add(retrier.finish(some))
    done.settle()


@dataclass(frozen=True, kw_only=True)
class _Claim:
    """A row that this process may send, and its message."""

    row: FailedTask
    message: Message
    notes: tuple[str, ...]


class Retrier:
    """Claims, sends and marks batches of rows."""

    def __init__(self, sender: Sender, by: str) -> None:
        self.sender = sender
        self.by = by
        #: What waits for the end of a transaction.
        self._deferred: dict[int, Claimed] = {}

    @property
    def lease(self) -> timedelta:
        """How long a row is left to the process that has claimed it."""
        return timedelta(seconds=LEASE if self.sender.is_atomic else LONG_LEASE)

    def send(self, ids: Sequence[int], edited: Edited | None = None) -> Retried:
        """Send the rows of one batch, as they came or as they were edited.

        Raises ConfigurationError and Unreachable before anything was sent; later errors are in what is returned.
        """
        self.sender.open()  # who cannot send claims nothing
        began = time.time()
        claims, done = self._claim(ids, edited)
        done.add(self.publish(claims, began, edited=edited))
        return done

    def defer(self, ids: Sequence[int]) -> Retried:
        """Claim the rows of one batch in the transaction that is open, and send them when it is committed."""
        claims, done = self._claim(ids)
        done.sent = [_named(each.row) for each in claims]
        done.notes = {each.row.pk: each.notes for each in claims if each.notes}
        if claims and not self._deferred:
            transaction.on_commit(self._send_deferred, using=database(), robust=True)
        rows = [each.row for each in claims]
        self._deferred |= {
            row.pk: Claimed(pk=row.pk, new_id=row.new_id, sent_again_at=row.sent_again_at) for row in rows
        }
        return done

    def _send_deferred(self) -> None:
        with Sender(self.sender.app) as sender:
            log(send_claimed(Retrier(sender, self.by), self._deferred, BATCH_SIZE))

    def send_claimed(self, claimed: Sequence[Claimed]) -> Retried:
        """Send one batch of what was claimed in a transaction, which may have lasted long: what is no longer ours is left out."""
        began = time.time()
        rows = claims_of.renew(claimed)
        claims, done = self._messages(rows)
        ours = {row.pk for row in rows}
        done.elsewhere = [(each.pk, _OVERTAKEN) for each in claimed if each.pk not in ours]
        done.add(self.publish(claims, began))
        return done

    def finish(self, ids: Sequence[int], *, again: bool = False) -> Retried:
        """Take over rows that another process has claimed and left, and send them under the ids that they have.

        If the broker does not know what was sent, they may be sent twice; so may those that were claimed before it has
        forgotten, which are left unless `again` is true. What cannot be sent stays as it is: it is not certain that the other
        process has not sent it.
        """
        self.sender.open()
        began, at = time.time(), timezone.now()
        found, old = claims_of.left(ids, self.lease, RELIABLE if self.sender.is_atomic and not again else None)
        # First the key, then the table: a row must not look younger than the key is.
        self.sender.keep([new_id for _, new_id in found])
        taken = claims_of.take_over([pk for pk, _ in found], self.by, self.lease, at)
        claims, done = self._messages(taken, is_first=False)
        done.doubtful += [(pk, _FORGOTTEN) for pk in old]
        done.add(self.publish(claims, began, is_first=False))
        return done

    def _claim(self, ids: Sequence[int], edited: Edited | None = None) -> tuple[list[_Claim], Retried]:
        claimed = claims_of.claim(ids, self.by, edited)
        claims, done = self._messages(claimed, edited=edited)
        done.elsewhere += claims_of.why_not(set(ids) - {each.pk for each in claimed})
        return claims, done

    def _messages(
        self, claimed: Sequence[FailedTask], *, is_first: bool = True, edited: Edited | None = None
    ) -> tuple[list[_Claim], Retried]:
        """Make the messages. `is_first` says that nobody else can have sent them."""
        claims, done, refused = [], Retried(), []
        for row in claimed:
            try:
                kept = Kept.read(row.message, row.body)
                made = remade(kept, old_id=row.task_id, new_id=row.new_id, failures=row.failures + 1)
            except Exception as error:  # noqa: BLE001 - the message of a stranger may hold anything, and the others go on
                why = str(error) if isinstance(error, Unsendable) else "its message cannot be read in the table"
                done.refused.append((row.pk, why))
                refused.append(row)
                continue
            message = Message(new_id=row.new_id, message=made, queue=row.queue)
            claims.append(_Claim(row=row, message=message, notes=made.notes))
        if is_first:
            claims_of.release(refused, edited)
        return claims, done

    def publish(
        self, claims: Sequence[_Claim], began: float, *, is_first: bool = True, edited: Edited | None = None
    ) -> Retried:
        """Send what is claimed, and mark it. Errors of the broker are in what is returned."""
        done = Retried()
        if not claims:
            return done
        try:
            sent = self.sender.send([each.message for each in claims], lambda: time.time() - began > LATEST)
        except TasktoolsError as error:
            sent = Sent(unsent=list(range(len(claims))), error=error)
        except Exception:
            if is_first and not self.sender.has_begun:
                claims_of.release([each.row for each in claims], edited)
            raise
        if sent.late and is_first:  # nobody else can have sent them
            sent.unsent += sent.late
            sent.error = sent.error or TasktoolsError(_LATE, hint="send them again: they are as they were")
        elif sent.late:
            sent.doubtful += sent.late
        there = [claims[place] for place in sorted((*sent.sent, *sent.before))]
        unsent = [claims[place].row for place in (*sent.refused, *sent.unsent)] if is_first else []
        self._record(sent, [each.row for each in there], unsent, edited)
        done.sent = [_named(each.row) for each in there]
        done.notes = {each.row.pk: each.notes for each in there if each.notes}
        done.refused = [(claims[place].row.pk, why) for place, why in sent.refused.items()]
        done.doubtful = [(claims[place].row.pk, _IN_DOUBT) for place in sent.doubtful]
        done.error = sent.error
        return done

    def _record(
        self, sent: Sent, there: Sequence[FailedTask], unsent: Sequence[FailedTask], edited: Edited | None
    ) -> None:
        """Write into the table what has become of a batch. If that fails, the report is still about what was sent."""
        try:
            if there:
                claims_of.mark(there)
                self.sender.forget([each.new_id for each in there])
            claims_of.release(unsent, edited)
        except TasktoolsError as error:
            sent.error = sent.error or error


_IN_DOUBT = "nobody knows yet whether it was sent"
_FORGOTTEN = "it was claimed a week ago or earlier, and the broker no longer knows whether it was sent"
_OVERTAKEN = "another process has taken it over"
_LATE = f"A batch was not sent: more than {LATEST:.0f} s had passed since it was claimed."


def _named(row: FailedTask) -> tuple[int, str, str]:
    return row.pk, row.task_id, row.new_id
