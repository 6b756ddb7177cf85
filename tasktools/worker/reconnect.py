"""A worker of Redis or Valkey that loses its connection keeps what it runs, and gives back what it has only reserved.

Celery 5.7 closes the lost channel, which would put everything back over that very connection: the worker ends with
"'NoneType' object has no attribute 'hostname'". There, what a message is to the broker is its tag alone: any channel can
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
from tasktools.worker.requests import snapshot

if TYPE_CHECKING:
    from celery import Celery
    from kombu import Connection

    from tasktools.worker.protocols import Consumer, Entry, Message, QoS, Request

#: How long after the new connection it is known what still runs of what was taken over the lost one, in seconds.
SETTLED = 1.0

#: So many requests that are acknowledged are kept at least, before they are looked through.
ROOM = 100


def install(app: Celery) -> dict[str, Message]:
    """Add the step to the app whose worker is about to start in this process.

    Return, by their tags, the messages of a lost connection, as long as the worker has no other one.
    """
    lost: dict[str, Message] = {}

    class Step(Rescue):
        name = f"{__name__}.Rescue"
        messages = lost

    app.steps["consumer"].add(Step)
    return lost


class Rescue(bootsteps.StartStopStep):
    """Takes the messages out of a lost channel, and into the next one."""

    requires = ("celery.worker.consumer.tasks:Tasks",)
    #: The messages that were taken and not acknowledged, by the tag that they have for the broker.
    messages: dict[str, Message]

    def __init__(self, consumer: Consumer, **options: object) -> None:
        self._consumer = consumer
        #: The same, once they belong to a new connection, until it is known what still runs of them.
        self._kept: dict[str, Message] = {}
        #: Celery's requests by the same tags, until they are acknowledged: it forgets a task that has ended.
        self._requests: dict[str, Request] = {}
        #: The tags of those that wait in a pool without a semaphore, which is handed all that is reserved.
        self._handed: set[str] = set()
        #: The tags of those that Celery has acknowledged without the broker's hearing of it.
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
        """Return the messages, by their tags, that nobody else was given meanwhile.

        A server that has none of them has lost its memory, and is given them again, unless each may have gone to another
        worker after the visibility timeout.
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
        with ignore_errors(cast("Connection", self._consumer)):  # lost once more: the loop notices
            for tag, message in self._kept.items():
                if message.acknowledged:
                    continue
                if tag in self._unheard:
                    message.ack()
                elif not self._is_here(tag):
                    message.requeue()
        self._kept.clear()
        self._forget_acknowledged()

    def _is_acknowledged(self, tag: str) -> bool:
        request = self._requests.get(tag)
        return request is not None and request.acknowledged and request.on_ack.ready

    def _is_here(self, tag: str) -> bool:
        """Whether the task runs here, has run here, or will.

        One that has just ended is acknowledged in the next step of Celery's loop.
        """
        request = self._requests.get(tag)
        return tag in self._handed or (request is not None and request.time_start is not None)


def delivered_by(consumer: Consumer) -> QoS | None:
    """Return what kombu remembers of the messages that a worker of Redis has taken (its QoS); None elsewhere."""
    qos: QoS | None = getattr(getattr(consumer.task_consumer, "channel", None), "qos", None)
    return qos if celery_compat.RESTORE.exists(qos) else None
