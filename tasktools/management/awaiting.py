"""What --wait says while it waits: what the tasks report, and after a moment what they wait for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from celery.states import PENDING, RECEIVED, RETRY, STARTED

from tasktools import render
from tasktools.brokers import broker_of
from tasktools.exceptions import TasktoolsError
from tasktools.management.base import TasktoolsCommand
from tasktools.management.fates import place_of
from tasktools.results.locate import listeners, locate
from tasktools.results.outcome import Outcome

if TYPE_CHECKING:
    from celery import Celery

#: How long it waits in silence, in seconds.
PATIENCE = 2.0

#: How long it may take to find out what it waits for, in seconds; not done if less time is left.
MOST = 5.0


class Awaiting:
    """Called after each look at the result backend, with the tasks that are not finished."""

    def __init__(self, command: TasktoolsCommand, app: Celery, queue: str, timeout: float) -> None:
        """`queue` is the queue of a call that was just sent, "" if it is not known; `timeout` is how long it waits."""
        self.command, self.app, self.queue, self.timeout = command, app, queue, timeout
        self._reported: dict[str, object] = {}
        self._explained = False

    def __call__(self, unfinished: Sequence[Outcome], seconds: float) -> None:
        """`seconds` is how long it has waited."""
        for outcome in unfinished:
            self._report(outcome)
        if seconds >= PATIENCE and not self._explained:
            self._explained = True
            if self.queue and unfinished[0].state == PENDING and self.timeout - seconds >= MOST:
                try:
                    self.command.note(self._explanation(unfinished[0]))
                except TasktoolsError as error:
                    self.command.note(error.sentence)

    def _report(self, outcome: Outcome) -> None:
        """Print what a task reports with update_state."""
        if outcome.state in (PENDING, RECEIVED, STARTED, RETRY):
            return
        text = f"{outcome.state} {render.as_json(outcome.result)}"
        if self._reported.get(outcome.id) != text:
            self._reported[outcome.id] = text
            self.command.note(text if self.queue else f"{outcome.id} {text}")

    def _explanation(self, sent: Outcome) -> str:
        """Return where the call is, and whether a worker takes from there. Raises Unreachable."""
        [found] = locate(self.app, [sent]).outcomes
        if found.place == "none":
            return "Waiting: no queue holds the task, and no worker answers that has it."
        if found.place not in ("queued", "unknown", "silent", None):
            return f"Waiting: {place_of(found)}."
        place = f'the queue "{self.queue}" of {broker_of(self.app).uri()}'
        taking = listeners(self.app, self.queue)
        who = f"{', '.join(taking)} takes from it" if taking else "no worker answers that takes from it"
        hint = "" if taking else " (manage.py runworker starts one; a busy one of the solo pool does not answer)"
        return f"Waiting: the task {'is in' if found.place == 'queued' else 'was sent to'} {place}; {who}{hint}."
