"""Paused queues and tasks in a worker: none of them begins, and what is reserved and has not begun goes back.

`pausequeue` tells all workers by a remote-control command of this module; pause_state.py is how they learn of it otherwise.
From that moment no task of the queue begins here (held_back.py). A moment later, in the worker's loop, the queue is left out
and its messages go back (one_queue.py). The messages of a paused task are put aside (queues/aside.py). Tasks that run go on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from celery import bootsteps
from celery.worker import control

from tasktools import celery_compat
from tasktools.control.names import LOOK_AT_PAUSES
from tasktools.queues.pauses import of_plain
from tasktools.worker.delivery import give_back_in_order
from tasktools.worker.held_back import HeldBack, Place
from tasktools.worker.known_pauses import Known
from tasktools.worker.one_queue import AskedQueue, PushedQueue
from tasktools.worker.pause_state import LIMIT, Watch
from tasktools.worker.sent_away import Mover, OneCall

if TYPE_CHECKING:
    from celery import Celery
    from kombu import Queue

    from tasktools.worker.protocols import Consumer, Message, Request

logger = logging.getLogger(__name__)

#: When to look again for a message that is under way, and after an error of the broker, in seconds.
_AGAIN, _AFTER_ERROR = 0.01, 1.0


def install(app: Celery) -> None:
    """Add this to the worker that is about to start in this process."""
    known = Known()

    class Step(Pausing):
        name = f"{__name__}.Pausing"

        def __init__(self, consumer: Consumer, **options: object) -> None:
            super().__init__(consumer, **options)
            self.known = known

    app.steps["consumer"].add(Step)

    def look_at_pauses(state: Any, put: Any = (), removed: Any = (), **_: Any) -> dict[str, Any]:
        """Take over what is paused and what no longer; return what is, and the time here."""
        begun, ended = (list(filter(None, map(of_plain, each))) for each in (put, removed))
        step: Pausing | None = getattr(state.consumer, "tasktools_pausing", None)
        known.change(begun, ended)
        if step is not None:
            step.adjust_soon()
            step.look_soon()
        return known.answer()

    control.control_command(name=LOOK_AT_PAUSES)(look_at_pauses)


def held(consumer: Consumer) -> frozenset[str]:
    """Return the queues that are paused in a worker."""
    step: Pausing | None = getattr(consumer, "tasktools_pausing", None)
    return frozenset() if step is None else step.known.held()


class Pausing(bootsteps.StartStopStep):
    """The step in the blueprint of one consumer; Celery stops and starts it again when the connection is lost."""

    requires = ("celery.worker.consumer.tasks:Tasks",)
    known: Known

    def __init__(self, consumer: Consumer, **options: object) -> None:
        self._consumer = consumer
        #: The queue whose message is being received.
        self._receiving = ""
        self._queue: AskedQueue | PushedQueue | None = None
        self._watch: Watch | None = None
        self._later = OneCall(consumer, self.adjust_soon)
        #: What was logged last of messages that could not go back.
        self._said = ""
        self._back = HeldBack(self._held)
        self._mover = Mover(self._back, lambda: self.known)
        consumer.tasktools_pausing = self
        pool = consumer.pool
        self._threads = pool.is_green or type(pool).__module__ == "celery.concurrency.thread"
        #: Whether a task waits in a semaphore before it is given to the pool.
        self._semaphore = consumer.hub is not None and pool.uses_semaphore
        # This must come before the strategies of the tasks are made, because they keep references to both.
        celery_compat.CREATE_TASK_HANDLER.wrap(consumer, lambda create: self._refusing(create))
        celery_compat.ON_TASK_REQUEST.wrap(consumer, self._reserving)
        if self._semaphore:
            celery_compat.PROCESS_TASK.wrap(consumer.controller, self._processing)
        elif self._threads:
            celery_compat.POOL_ON_APPLY.wrap(pool, lambda apply: self._back.guarded(apply, self.adjust_soon))

    def start(self, consumer: Consumer) -> None:
        is_redis = consumer.connection.transport.driver_type == "redis"
        if is_redis:
            give_back_in_order(consumer.task_consumer.channel)
        self._queue = AskedQueue(consumer) if is_redis else PushedQueue(consumer)
        celery_compat.BASIC_CONSUME.wrap(consumer.task_consumer, self._consuming)
        if self._watch is None:
            is_solo = type(consumer.pool).__module__ == "celery.concurrency.solo"
            self._watch = Watch(
                consumer.app, self.known, is_solo=is_solo, changed=self.adjust_soon, queues=self._queues
            )
        self._watch.look_soon(LIMIT)
        self._later.forget()  # Celery has emptied the timer
        if self._back.any_leaves or self.known.ending:  # those of a pool's threads, and what Celery has dropped
            self.adjust_soon()

    def stop(self, consumer: Consumer) -> None:
        self._queue = None
        if self._watch is not None:
            self._watch.end()
        if self._semaphore:  # Celery empties it; the threads of a pool go on with all that they were given
            self._back.clear()

    def look_soon(self) -> None:
        if self._watch is not None:
            self._watch.look_soon()

    def adjust_soon(self) -> None:
        """Have the loop do what the known pauses ask for; may be called from any thread."""
        self._consumer.call_soon(self._adjust)

    def _held(self, place: Place) -> Place | None:
        """Return what is paused of a task of a queue: the queue, or the task."""
        queue, task = place
        if self.known.holds(queue):
            return queue, ""
        return place if task and self.known.holds_task(task) else None

    def _queues(self) -> Collection[str]:
        """Return the queues of which the loop brings back what is aside."""
        consumer = self._consumer.task_consumer if self._mover.may_bring_back else None
        return [each.name for each in consumer.queues] if consumer else ()

    def _adjust(self) -> None:
        queue, consumer = self._queue, self._consumer
        if queue is None or not consumer.task_consumer:
            return
        try:
            if not self._mover.carry_out(queue, consumer.task_consumer.queues):
                self._later.after(_AGAIN)
            self._said = ""
        except (*consumer.connection_errors, *consumer.channel_errors) as error:
            # What could not go back is still known. If the connection is lost, the loop notices that too.
            text = f"{type(error).__name__}: {error}"
            if text != self._said:
                self._said = text
                logger.warning("A pause cannot be carried out at the broker (%s): it is tried again.", text)
            self._later.after(_AFTER_ERROR)

    def _consuming(self, consume: Callable[..., object]) -> Callable[..., object]:
        """Return a function that consumes from a queue, unless it is paused, and notes the queue of each message."""

        def basic_consume(queue: Queue, *args: Any, **options: Any) -> object:
            consumer = self._consumer.task_consumer
            if self._queue is not None and self._queue.skips and self.known.holds(queue.name):
                self._queue.stop(queue)
                return None
            receive = celery_compat.RECEIVE.of(consumer)
            celery_compat.RECEIVE.put(consumer, self._receiver(queue.name, receive))
            try:
                tag = consume(queue, *args, **options)
            finally:
                celery_compat.RECEIVE.put(consumer, receive)
            if self._queue is not None and self.known.holds(queue.name):
                self._queue.stop(queue)
            return tag

        return basic_consume

    def _receiver(self, queue: str, receive: Callable[[Message], object]) -> Callable[[Message], object]:
        def receive_from_queue(message: Message) -> object:
            self._receiving = queue
            return receive(message)

        return receive_from_queue

    def _refusing(
        self, create: Callable[..., Callable[[Message], object]]
    ) -> Callable[..., Callable[[Message], object]]:
        def create_task_handler(*args: object, **options: object) -> Callable[[Message], object]:
            handle = create(*args, **options)

            def receive(message: Message) -> object:
                message.tasktools_queue = self._receiving
                return None if self._refuse(message, self._receiving) else handle(message)

            return receive

        return create_task_handler

    def _refuse(self, message: Message, queue: str) -> bool:
        """Send a message away that was delivered, if its queue or its task is paused; return whether it was."""
        if self._queue is None:
            return False
        task = (message.headers or {}).get("task")
        name = task if isinstance(task, str) else ""
        if not self._back.refuses((queue, name)):
            return False
        is_aside = not self.known.holds(queue) and self.known.holds_task(name)
        self._queue.refuse(message, queue, name if is_aside else "")
        self.adjust_soon()
        return True

    def _reserving(self, begin: Callable[[Request], object]) -> Callable[[Request], object]:
        def on_task_request(request: Request) -> object:
            self._back.add(request)
            waits = self._semaphore or self._threads
            # Asked once: a pause may end in another thread between two questions, and the task would neither begin nor go back.
            if self._back.leaves(request) if waits else not self._back.begin(request):
                self.adjust_soon()
                return None
            done = begin(request)
            if self._threads and request.acknowledged:  # it was revoked, or began at once
                self._back.forget(request)
            return done

        return on_task_request

    def _processing(self, process: Callable[[Request], object]) -> Callable[[Request], object]:
        def process_task(request: Request) -> object:
            if self._back.begin(request):
                return process(request)
            self.adjust_soon()
            # From the loop: the release begins the next one, which may go back too, and there may be thousands.
            self._consumer.call_soon(celery_compat.QUICK_RELEASE.of(self._consumer.controller))
            return None

        return process_task
