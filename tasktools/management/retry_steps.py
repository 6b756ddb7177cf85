"""What retryfailed does: choose, claim and send batch after batch, and finish what another process has left."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from tasktools.arguments.names import shown
from tasktools.environment.interrupts import postponed
from tasktools.exceptions import NoTrace, TasktoolsError
from tasktools.failures import claims, found, retry
from tasktools.failures.access import reading
from tasktools.failures.claims import Edited
from tasktools.failures.retried import Retried
from tasktools.failures.retry import Retrier
from tasktools.failures.sending import Sender
from tasktools.management.edit_steps import account
from tasktools.management.failed_options import in_states, wanted_of
from tasktools.management.retry_output import print_sent, ruler_of, show
from tasktools.models import State
from tasktools.registry import registry
from tasktools.render import counted
from tasktools.startup import require_broker, require_timezone

if TYPE_CHECKING:
    from tasktools.discovery.celery_app import Found
    from tasktools.management.base import TasktoolsCommand

pause = time.sleep

#: Seconds between two lines that say how far it is, and between two looks at what another process sends.
PERIOD = 5.0
STEP = 0.2


class Retry:
    """One run of retryfailed."""

    def __init__(self, command: TasktoolsCommand, site: Found, *, rate: float | None, again: bool) -> None:
        require_broker(site)
        require_timezone(site.app)
        self.command, self.site, self.app, self.again = command, site, site.app, again
        self.rate = rate
        #: The primary keys of the rows to send, the oldest first, and of those that another process has claimed.
        self.chosen: list[int] = []
        self.claimed: list[int] = []
        #: What has become of them.
        self.done = Retried()
        #: Whether ids were typed, and the ids of those rows that were named by them, by primary key.
        self.is_typed = False
        self.typed_ids: dict[int, str] = {}
        #: The name of the task and the id of each row that was chosen, by its primary key; and the widest line of the table.
        self.names: dict[int, tuple[str, str]] = {}
        self.ruler = ruler_of({})
        self.is_interrupted = self._is_waiting = False
        self._due = self._said = time.monotonic()

    def choose(self, typed: Sequence[str], options: Mapping[str, Any]) -> None:
        """Find the rows. Raises NoTrace if there is none, and what `found.find` and `found.select` raise."""
        self.is_typed = bool(typed)
        if typed:
            meant = {word: found.find(word) for word in typed}
            chosen = {row.pk: row for row in meant.values()}
            self.typed_ids = {row.pk: row.task_id for word, row in meant.items() if row.task_id.startswith(word)}
            table = [(row.pk, row.state, row.task, row.task_id) for row in chosen.values()]
        else:
            wanted = in_states(wanted_of(options, self.app.timezone), *found.OPEN)
            with reading():
                some = found.select(wanted).order_by("failed_at", "pk")
                table = list(some.values_list("pk", "state", "task", "task_id"))
        self.names = {pk: (task, task_id) for pk, _, task, task_id in table}
        self.ruler = ruler_of(self.names)
        self.claimed = [pk for pk, state, _, _ in table if state == State.SENDING]
        self.chosen = [pk for pk, state, _, _ in table if state != State.SENDING]
        if not table:
            raise NoTrace(
                "No failed task is like that: nothing to send.", hint="manage.py showfailed shows what has failed"
            )
        self._note_unknown()

    def _note_unknown(self) -> None:
        """Note which tasks nobody here knows."""
        self.command.load_tasks(self.site)
        tasks = {task for task, _ in self.names.values() if task}
        for name in sorted(tasks - registry.names(self.app, builtin=True)):
            self.command.load_rest_for(name)
        unknown = sorted(tasks - registry.names(self.app, builtin=True))
        if unknown:
            names = ", ".join(map(shown, unknown[:5])) + (f" and {len(unknown) - 5} more" if len(unknown) > 5 else "")
            is_one = len(unknown) == 1
            sent = "It is sent all the same" if is_one else "They are sent all the same"
            self.command.note(
                f"Not registered here: {names}. {sent}: another worker may know {'it' if is_one else 'them'}."
            )

    @property
    def left(self) -> int:
        """How many were chosen of which nothing is known."""
        return len(set(self.names) - self.done.ours - set(dict(self.done.elsewhere)))

    def send(self, edited: Edited | None = None) -> None:
        """Send them. Errors of the broker are in `done`; a signal ends it between two batches, and a second one at once."""
        try:
            with (
                Sender(self.app) as sender,
                postponed(self._note_interruption, is_ours=self.command.is_own_process, give_up=self._show_the_last),
            ):
                self._send_all(Retrier(sender, account()), edited)
        except KeyboardInterrupt:
            self.is_interrupted = True
        self.done.settle()

    def _send_all(self, retrier: Retrier, edited: Edited | None) -> None:
        try:
            self._send(retrier, edited)
            if not self.done.error and not self.is_interrupted:
                self._finish(retrier)
            self._settle()
        except TasktoolsError as error:
            self.done.error = error

    def _show_the_last(self) -> None:
        """Print what was sent in a process that ends in the middle of a batch."""
        self.is_interrupted = True
        with contextlib.suppress(KeyboardInterrupt):
            show(self.command, self, dry_run=False)
        self.command.stdout.flush()

    def _note_interruption(self) -> None:
        """Let a signal end it between two batches, so that what is printed is what was sent."""
        self.is_interrupted = True

    def _settle(self) -> None:
        """Sort out what another process had claimed: it has sent it, or not, or this one has finished it."""
        self.done.settle()
        others = dict(self.done.elsewhere)
        unsent = claims.in_state(list(others), State.FAILED)
        is_refused = {pk: self.is_typed or pk in unsent for pk in others}
        self.done.refused += [(pk, why) for pk, why in others.items() if is_refused[pk]]
        rest = [pk for pk in self.claimed if pk not in self.done.ours and pk not in others]
        open_still = {**claims.in_state(rest, State.SENDING), **claims.in_state(rest, State.FAILED)}
        others |= {pk: _SENT for pk in rest if pk not in open_still}
        self.done.elsewhere = [(pk, why) for pk, why in others.items() if not is_refused.get(pk)]

    def _send(self, retrier: Retrier, edited: Edited | None) -> None:
        size = min(retry.BATCH_SIZE, max(1, int(self.rate / 5))) if self.rate else retry.BATCH_SIZE
        for some in claims.batches(self.chosen, size):
            self._wait(len(some))
            if self.is_interrupted:
                return
            self._add(retrier.send(some, edited))
            if self.done.error:
                return

    def _wait(self, messages: int) -> None:
        """Wait until so many messages may be sent, or a signal comes: with a low rate it must not wait for the next one."""
        if self.rate:
            while not self.is_interrupted and (left := self._due - time.monotonic()) > 0:
                pause(min(left, STEP))
            self._due = max(self._due, time.monotonic()) + messages / self.rate

    def _add(self, some: Retried) -> None:
        """Note and print what has become of a batch."""
        self.done.add(some)
        print_sent(self.command, some, self, is_first=len(self.done.sent) == len(some.sent))
        self.command.done = f"{counted(len(self.done.sent), 'failed task')} had been sent."
        if time.monotonic() - self._said >= PERIOD:
            self._said = time.monotonic()
            self.command.note(f"{len(self.done.sent):,} of {len(self.names):,} sent.")

    def _finish(self, retrier: Retrier) -> None:
        """Finish what other processes have claimed and left; wait until they have had the time that they may need."""
        others = [*self.claimed, *(pk for pk, _ in self.done.elsewhere)]
        may_finish = retrier.sender.is_atomic or self.again
        deadline = time.monotonic() + min(retrier.lease.total_seconds(), retry.LEASE) + 1
        while left := self._claimed(others):
            late = {pk for pk, at in left.items() if at is None or at <= timezone.now() - retrier.lease}
            if may_finish:
                self._take_over(
                    retrier, sorted(late)
                )  # another process may be quicker: then they are not late any more
            elif len(late) == len(left):
                break
            if self.done.error or self.is_interrupted or time.monotonic() > deadline:
                break
            if not late and not self._is_waiting:
                self._wait_for(len(left), deadline)
            pause(STEP)
        self.done.doubtful += [(pk, _BUSY if may_finish else _UNKNOWN) for pk in sorted(self._claimed(others))]

    def _claimed(self, others: Sequence[int]) -> dict[int, datetime | None]:
        """Return those of the rows that are being sent, and when they were claimed, without those that are reported."""
        said = {pk for pk, _ in (*self.done.refused, *self.done.doubtful)}
        return {pk: at for pk, at in claims.in_state(others, State.SENDING).items() if pk not in said}

    def _take_over(self, retrier: Retrier, late: Sequence[int]) -> None:
        for some in claims.batches(late, retry.BATCH_SIZE):
            self._add(retrier.finish(some, again=self.again))
            if self.done.error or self.is_interrupted:
                return

    def _wait_for(self, number: int, deadline: float) -> None:
        """Say once what the command waits for."""
        self._is_waiting = True
        seconds = deadline - time.monotonic()
        which = counted(number, "failed task")
        self.command.note(f"Another process has begun to send {which}: waiting for it, {seconds:.0f} s at the most.")


_SENT = "another process has sent it"
_BUSY = "another process sends it"
_UNKNOWN = "another process was sending it, and this broker does not say whether it has"
