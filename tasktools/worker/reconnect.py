"""If a worker of Redis or Valkey loses its connection, it keeps its running tasks and gives back its reserved ones.

Celery 5.7 closes the lost channel. This would put everything back over the lost connection, and the worker ends with
"'NoneType' object has no attribute 'hostname'". Redis and Valkey know a message only by its tag, so any channel can
acknowledge it or put it back.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from celery import bootsteps, signals
from celery.worker import state
from kombu.common import ignore_errors

from tasktools import celery_compat
from tasktools.worker.delivery import put_to_front
from tasktools.worker.requests import snapshot

if TYPE_CHECKING:
    from celery import Celery
    from kombu import Connection

    from tasktools.worker.protocols import Consumer, Entry, Message, QoS, Request

#: How long after the new connection it is known which tasks of the lost connection still run, in seconds.
SETTLED = 1.0

#: How many requests may be added, at least, before acknowledged ones are removed.
ROOM = 100


def install(app: Celery) -> dict[str, Message]:
    """Add the step to the app whose worker is about to start in this process.

    Return the messages of a lost connection, by their tags. They are there as long as the worker has no new connection.
    """
    lost: dict[str, Message] = {}

    class Step(Rescue):
        name = f"{__name__}.Rescue"
        messages = lost

    app.steps["consumer"].add(Step)
    return lost


class Rescue(bootsteps.StartStopStep):
    """Moves the messages of a lost channel to the next one."""

    requires = ("celery.worker.consumer.tasks:Tasks",)
    #: The messages that were taken and not acknowledged, by the broker's tags.
    messages: dict[str, Message]

    def __init__(self, consumer: Consumer, **options: object) -> None:
        self._consumer = consumer
        #: The same messages on a new connection, until it is known which of them still run.
        self._kept: dict[str, Message] = {}
        #: Celery's requests by the same tags, until they are acknowledged: Celery forgets a task that has ended.
        self._requests: dict[str, Request] = {}
        #: The tags of requests in a pool without a semaphore: such a pool gets every reserved task at once.
        self._handed: set[str] = set()
        #: The tags of requests that Celery has acknowledged, but the broker does not know it.
        self._unheard: set[str] = set()
        self._room = ROOM
        self._lost_at = 0.0
        self._timer: Entry | None = None
        celery_compat.CONNECTION_LOST.wrap(consumer, self._taking)
        signals.task_received.connect(self._note, sender=consumer, weak=False)

    def _taking(self, lost: Callable[[BaseException], object]) -> Callable[[BaseException], object]:
        def on_connection_error_after_connected(error: BaseException) -> object:
            self._take()
            return lost(error)

        return on_connection_error_after_connected

    def _note(self, request: Request, **_: object) -> None:
        self._requests[request.message.delivery_tag] = request
        if len(self._requests) > self._room:
            self._forget_acknowledged()

    def _forget_acknowledged(self) -> None:
        self._requests = {tag: each for tag, each in self._requests.items() if not each.message.acknowledged}
        self._handed &= self._requests.keys()
        self._room = 2 * len(self._requests) + ROOM

    def start(self, consumer: Consumer) -> None:
        if not self.messages:
            return
        channel = consumer.task_consumer.channel
        ours = self._still_ours(channel.qos)
        for tag, message in self.messages.items():
            message.channel = channel
            if tag in ours:
                channel.qos.append(message, tag)
        self._unheard = {
            tag for tag, message in ours.items() if not message.acknowledged and self._is_acknowledged(tag)
        }
        self._kept |= ours
        self.messages.clear()
        self._timer = consumer.timer.call_after(SETTLED, consumer.call_soon, (self._give_back,))

    def _take(self) -> None:
        qos = delivered_by(self._consumer)
        if qos is None:
            return
        if self._timer:
            self._timer.cancel()
        celery_compat.FLUSH.of(qos)()
        delivered: dict[str, Message] = celery_compat.DELIVERED.of(qos)
        self.messages.update(delivered)
        self._lost_at = time.monotonic()
        self._kept.clear()
        delivered.clear()
        if not self._consumer.pool.uses_semaphore:
            self._handed |= {request.message.delivery_tag for request in snapshot(state.reserved_requests)}

    def _still_ours(self, qos: QoS) -> dict[str, Message]:
        """Return the messages, by their tags, that no other worker has got in the meantime.

        If the server has none of them, it has lost its data and gets them again. After the visibility timeout it does not,
        because other workers may have got them.
        """
        with celery_compat.PIPE.of(qos)() as pipe:
            for tag in self.messages:
                pipe.hget(qos.unacked_key, tag)
            held: list[object] = pipe.execute()
        known = {tag: message for (tag, message), value in zip(self.messages.items(), held, strict=True) if value}
        if not known and time.monotonic() - self._lost_at < qos.visibility_timeout:
            return dict(self.messages)
        return known

    def _give_back(self) -> None:
        with ignore_errors(cast("Connection", self._consumer)):  # lost once more: the loop notices that
            for tag, message in reversed(self._kept.items()):  # each goes ahead of the one before
                if message.acknowledged:
                    continue
                if tag in self._unheard:
                    message.ack()
                elif not self._is_here(tag):
                    put_to_front(message)
        self._kept.clear()
        self._forget_acknowledged()

    def _is_acknowledged(self, tag: str) -> bool:
        request = self._requests.get(tag)
        return request is not None and request.acknowledged and request.on_ack.ready

    def _is_here(self, tag: str) -> bool:
        """Whether the task runs here, has run here, or will run here.

        Celery's loop acknowledges a task that has just ended in its next step.
        """
        request = self._requests.get(tag)
        return tag in self._handed or (request is not None and request.time_start is not None)


def delivered_by(consumer: Consumer) -> QoS | None:
    """Return what kombu remembers about the messages that a worker of Redis has taken (its QoS); None for other brokers."""
    qos: QoS | None = getattr(getattr(consumer.task_consumer, "channel", None), "qos", None)
    return qos if celery_compat.RESTORE.exists(qos) else None
