"""What --wait says while it waits: what the tasks report, and after a moment what they wait for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from celery.states import PENDING, RECEIVED, RETRY, STARTED

from tasktools.brokers import broker_of
from tasktools.control.readers import listeners
from tasktools.exceptions import TasktoolsError
from tasktools.management.bars import meter_of
from tasktools.management.base import TasktoolsCommand
from tasktools.management.fates import place_of, worker_command
from tasktools.registry.candidates import declared_queues
from tasktools.results.locate import NOWHERE, locate
from tasktools.results.outcome import Outcome

if TYPE_CHECKING:
    from celery import Celery

#: How long it waits in silence, in seconds.
PATIENCE = 2.0

#: How long it may take to find out what it waits for, in seconds; not done if less time is left.
MOST = 5.0


class Awaiting:
    """Called after each look at the result backend, with the tasks that are not finished. Use it as a context manager."""

    def __init__(self, command: TasktoolsCommand, app: Celery, queue: str, timeout: float, *, total: int = 1) -> None:
        """`queue` is the queue of a call that was just sent, or ""; `timeout` is how long it waits for `total` tasks."""
        self.command, self.app, self.queue, self.timeout = command, app, queue, timeout
        self._meter = meter_of(command, total)
        self._done = 0
        self._explained = False

    def __enter__(self) -> Awaiting:
        return self

    def __exit__(self, *_: object) -> None:
        self._meter.close()

    def __call__(self, unfinished: Sequence[Outcome], seconds: float) -> None:
        """`seconds` is how long it has waited."""
        for outcome in unfinished:
            if outcome.state not in (PENDING, RECEIVED, STARTED, RETRY):  # what the task has reported by update_state
                self._meter.show(outcome, label=not self.queue)
        self._meter.count(self._done)
        if seconds >= PATIENCE and not self._explained:
            self._explained = True
            if self.queue and unfinished[0].state == PENDING and self.timeout - seconds >= MOST:
                self._meter.hide()
                try:
                    self.command.note(self._explanation(unfinished[0]))
                except TasktoolsError as error:
                    self.command.note(error.sentence)

    def finished(self, task_id: str) -> None:
        """Make room for what is printed of a task that is finished."""
        self._done += 1
        self._meter.drop(task_id)
        self._meter.hide()

    def _explanation(self, sent: Outcome) -> str:
        """Return where the call is, and whether a worker takes from there. Raises Unreachable."""
        located = locate(self.app, [replace(sent, queue=self.queue)])
        [found] = located.outcomes
        if found.place == "none" and not located.unread:
            return "Waiting: no queue holds the task, and no worker answers that has it."
        if found.place not in ("queued", *NOWHERE, None):
            return f"Waiting: {place_of(found)}."
        place = f'the queue "{self.queue}" of {broker_of(self.app).uri()}'
        taking = listeners(self.app, self.queue)
        who = f"{', '.join(taking)} takes from it" if taking else "no worker answers that takes from it"
        starts = worker_command(self.queue, declared_queues(self.app))
        hint = "" if taking else f" (manage.py {starts} starts one; a busy one of the solo pool does not answer)"
        return f"Waiting: the task {'is in' if found.place == 'queued' else 'was sent to'} {place}; {who}{hint}."
