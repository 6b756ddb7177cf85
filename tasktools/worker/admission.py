"""Whether a worker takes tasks: it can be paused, prevented from reserving ahead, limited to a number, and drained.

One consumer step of Celery (bootstep) does all of this. delivery.py describes how to stop a broker from giving messages.
If a broker that pushes has given messages ahead, it gives them to another worker when this one has ended.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from celery import bootsteps
from celery.worker import state

from tasktools import celery_compat
from tasktools.worker import remote_control
from tasktools.worker.delivery import Asked, Pushed
from tasktools.worker.loop_waker import Waker, look_again_soon
from tasktools.worker.system_exit import fail_on_exit
from tasktools.worker.waiting import Waiting

if TYPE_CHECKING:
    from celery import Celery

    from tasktools.worker.protocols import Consumer, Entry, Message, Request

#: Seconds between two checks whether a limited worker has reached its limit.
PERIOD = 0.2


@dataclass(kw_only=True)
class Limits:
    """When a worker has done enough. It then stops warmly."""

    #: After so many tasks; None for no limit.
    tasks: int | None = None
    #: After so many seconds.
    seconds: float | None = None
    #: Whether it ends when its queues are empty and it runs nothing.
    drain: bool = False

    def __bool__(self) -> bool:
        return bool(self.tasks or self.seconds or self.drain)


class Intake:
    """Controls which tasks one worker takes. It is made before the worker starts, and given to every consumer of the worker."""

    def __init__(self, limits: Limits, *, supervised: bool = False) -> None:
        self.limits = limits
        #: Whether it may be paused, and reserves a task only when it can run it.
        self.supervised = supervised
        #: Called for each message before it becomes a task: whether to give it back. If so, it also pauses the intake.
        self.refuses: Callable[[], bool] = lambda: False
        self.paused = False
        #: Whether it takes nothing for a moment, to see whether a message was under way when its queues looked empty.
        self.closing = False
        #: How many tasks have begun.
        self.taken = 0
        self.began = time.monotonic()
        self._step: _IntakeStep | None = None

    def install(self, app: Celery) -> None:
        """Add the step to the app whose worker is about to start in this process."""
        intake = self

        class IntakeStep(_IntakeStep):
            name = f"{__name__}.IntakeStep"

            def __init__(self, consumer: Consumer, **options: object) -> None:
                super().__init__(consumer, **options)
                self.intake = intake

        app.steps["consumer"].add(IntakeStep)
        if self.supervised:
            remote_control.separate(app)

    def pause(self) -> None:
        """Take no more tasks, and continue those that run."""
        self.paused = True
        if self._step:
            self._step.shut()

    def resume(self) -> None:
        """Take tasks again."""
        self.paused = False
        if self._step:
            self._step.reopen()

    @property
    def is_shut(self) -> bool:
        """Whether no task may be taken now, even if there is room."""
        return self.paused or self.closing or self.is_full

    @property
    def is_full(self) -> bool:
        """Whether the limit of tasks is reached."""
        return self.limits.tasks is not None and self.taken >= self.limits.tasks

    def admits(self, room: int) -> bool:
        """Whether one more task may be taken by a worker that can run `room` at a time."""
        if self.is_shut:
            return False
        return not self.supervised or len(state.reserved_requests) < room

    def has_done_enough(self, queued: Callable[[], int]) -> bool:
        """Whether the worker may end because of its limits; `queued` counts the messages that wait in the queues."""
        if self.limits.seconds is not None and time.monotonic() - self.began >= self.limits.seconds:
            return True
        if state.reserved_requests or state.active_requests:
            return False
        return self.is_full or (self.limits.drain and queued() == 0)


class _IntakeStep(bootsteps.StartStopStep):
    """The step in the blueprint of one consumer; Celery stops and starts it again when the connection is lost."""

    requires = ("celery.worker.consumer.tasks:Tasks",)
    intake: Intake

    def __init__(self, consumer: Consumer, **options: object) -> None:
        self.consumer = consumer
        self._delivery: Asked | Pushed | None = None
        self._timer: Entry | None = None
        self._waiting = Waiting(consumer)
        #: Wakes the loop to look again, if the pool's threads do not.
        self._waker: Waker | None = None
        # This must come before the strategies of the tasks are made, because they keep references to both.
        celery_compat.ON_TASK_REQUEST.wrap(consumer, self._counted)
        celery_compat.CREATE_TASK_HANDLER.wrap(consumer, lambda create: _guarded(create, self._refuses))
        fail_on_exit(consumer.pool)

    def start(self, consumer: Consumer) -> None:
        if consumer.connection.transport.driver_type == "redis":
            # A supervised worker runs without mingle, which would leave a BRPOP that answers instead of ours.
            self._delivery = Asked(consumer, self._admits, self._waiting.connection if self.intake.supervised else None)
            if consumer.pool.is_green:
                look_again_soon(consumer.connection, self._admits)
        else:
            self._delivery = Pushed(consumer, lambda: self.intake.is_shut)
        if consumer.hub is not None and not consumer.pool.uses_semaphore:
            self._waker = Waker(consumer.hub)
        self.intake._step = self
        if self.intake.paused:
            self.shut()
        if self.intake.limits:
            self._look_soon()

    def stop(self, consumer: Consumer) -> None:
        self.intake._step, self.intake.closing = None, False
        if self._timer:
            self._timer.cancel()
        if self._delivery:
            self._delivery.close()
        self._waiting.close()
        if self._waker:
            self._waker.close()
            self._waker = None

    def shut(self) -> None:
        """Stop the broker from giving messages; may be called from any thread."""
        if self._delivery:
            self._delivery.shut()

    def reopen(self) -> None:
        """Let the broker give messages again; may be called from any thread."""
        if self._delivery:
            self._delivery.reopen()

    def _refuses(self, message: Message) -> bool:
        """Whether a delivered message goes back to the front of its queue."""
        if self._delivery is None or not (self.intake.is_shut or self.intake.refuses()):
            return False
        self._delivery.refuse(message)
        return True

    def _counted(self, begin: Callable[[Request], object]) -> Callable[[Request], object]:
        """Return a function that begins and counts a task. At the limit, it leaves a task that waited for its time to others."""

        def on_task_request(request: Request) -> object:
            if self.intake.is_full:
                state.reserved_requests.discard(request)  # not acknowledged: it goes back when this worker ends
                return None
            self.intake.taken += 1
            return begin(request)

        return on_task_request

    def _admits(self) -> bool:
        if self.intake.admits(self._room()):
            return True
        if self._waker and not self.intake.paused:
            self._waker.wake_soon()
        return False

    def _room(self) -> int:
        if (
            self.consumer.hub is None and not self.consumer.pool.is_green
        ):  # its loop sleeps for seconds, so it reserves ahead and gives back when it ends
            return sys.maxsize
        return int(getattr(self.consumer.controller, "max_concurrency", None) or self.consumer.pool.num_processes or 1)

    def _look_soon(self) -> None:
        """Look again in a moment. A repeated call of gevent's and eventlet's timers cannot be cancelled."""
        self._timer = self.consumer.timer.call_after(PERIOD, self._look)

    def _look(self) -> None:
        done = self.intake.has_done_enough(self._waiting.count)
        if done and (self.intake.closing or not self.intake.limits.drain):
            celery_compat.SHOULD_STOP.put(state, 0)
        elif self.intake._step is self:  # it has not stopped since then
            if done != self.intake.closing:  # an empty queue may have messages under way: they go back, and count then
                self.intake.closing = done
                (self.shut if done else self.reopen)()
            self._look_soon()


def _guarded(
    create: Callable[..., Callable[[Message], object]], refuses: Callable[[Message], bool]
) -> Callable[..., Callable[[Message], object]]:
    def create_task_handler(*args: object, **options: object) -> Callable[[Message], object]:
        handle = create(*args, **options)
        return lambda message: None if refuses(message) else handle(message)

    return create_task_handler
