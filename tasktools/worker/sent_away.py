"""What a worker has reserved of a paused queue or task goes back to the broker, or is put aside."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from celery.worker import state

from tasktools.worker.held_back import queue_of
from tasktools.worker.pause_state import NOT_BACK, is_denied

if TYPE_CHECKING:
    from kombu import Queue

    from tasktools.worker.held_back import HeldBack
    from tasktools.worker.known_pauses import Known
    from tasktools.worker.one_queue import AskedQueue, PushedQueue
    from tasktools.worker.protocols import Consumer, Request

logger = logging.getLogger(__name__)


class OneCall:
    """A call that a worker's timer makes later; at most one is pending, however often it is asked for."""

    def __init__(self, consumer: Consumer, call: Callable[[], object]) -> None:
        self._consumer, self._call = consumer, call
        self._is_pending = False

    def after(self, seconds: float) -> None:
        if not self._is_pending:
            self._is_pending = True
            self._consumer.timer.call_after(seconds, self._due)

    def forget(self) -> None:
        """The timer has lost it."""
        self._is_pending = False

    def _due(self) -> None:
        self._is_pending = False
        self._call()


class Mover:
    """What the loop of a worker does at the broker when pauses begin and end."""

    def __init__(self, back: HeldBack, known: Callable[[], Known]) -> None:
        self._back, self._known = back, known
        #: Whether the broker lets it bring back what is aside.
        self.may_bring_back = True

    def carry_out(self, queue: AskedQueue | PushedQueue, queues: Sequence[Queue]) -> bool:
        """Return False if it is to be done in a moment: messages are under way, which must go back together with others.

        Raises the broker's errors.
        """
        known = self._known()
        ending, leaves = known.ending, self._back.any_leaves
        closed = self._back.closed_queues  # those of what leaves are among them
        for each in queues:
            if ending or each.name in closed or known.holds(each.name):
                queue.stop(each)
        leaves = leaves or queue.holds or bool(ending)
        if leaves and not queue.is_ready:
            queue.receive()
            return False
        try:
            if leaves:
                send_away(self._back, queue, known)
            if ending:
                self._bring_back(queue, ending)
            self._back.reopen()
        finally:  # the others go on: a broker whose memory is full must be emptied
            closed = self._back.closed_queues
            for each in queues:
                if each.name not in closed and not known.holds(each.name):
                    queue.start(each)
        return True

    def _bring_back(self, queue: AskedQueue | PushedQueue, tasks: Collection[str]) -> None:
        """Put what is aside ahead of all that waits: it is older, and nothing newer is here or under way."""
        try:
            queue.bring_back(tasks)
        except Exception as error:
            if not is_denied(error):
                raise
            self.may_bring_back = False
            logger.warning("%s (%s: %s).", NOT_BACK, type(error).__name__, error)
        self._known().ended(tasks)


def send_away(back: HeldBack, queue: AskedQueue | PushedQueue, known: Known) -> None:
    """Give the messages back that are here, or put them aside if it is their task that is paused.

    Raises the broker's errors; what has not gone then is still in `back` and `queue`.
    """
    places = [(each, queue_of(each.message)) for each in back.leaving()]
    is_aside = [known.holds_task(each.name) and not known.holds(name) for each, name in places]
    apart = [place for place, aside in zip(places, is_aside, strict=True) if aside]
    others = [place for place, aside in zip(places, is_aside, strict=True) if not aside]
    queue.put_aside([(each.message, name, each.name) for each, name in apart])
    _forget(back, (each for each, _ in apart))
    queue.give_back([(each.message, name) for each, name in others])
    _forget(back, (each for each, _ in others))


def _forget(back: HeldBack, requests: Iterable[Request]) -> None:
    """Forget what the broker has again. Before its answer that would lose track of them."""
    for each in requests:
        back.forget(each)
        each.acknowledged = True
        state.task_ready(each)  # of Celery's own lists
        each.send_event("task-rejected", requeue=True)
