"""A worker of Redis or Valkey that loses its connection keeps what it runs, and gives back what it has only reserved.

Celery 5.7 closes the lost channel, which would put everything back over that very connection: the worker ends with
"'NoneType' object has no attribute 'hostname'". There, what a message is to the broker is its tag alone: any channel can
acknowledge it or put it back.
"""

from __future__ import annotations

from typing import Any

from celery import bootsteps
from celery.worker import state
from kombu.common import ignore_errors

#: How long after the new connection it is known what still runs of what was taken over the lost one, in seconds.
SETTLED = 1.0


def install(app: Any) -> dict[str, Any]:
    """Add the step to the app whose worker is about to start in this process.

    Return, by their tags, the messages of a lost connection, as long as the worker has no other one.
    """
    lost: dict[str, Any] = {}

    class Step(Rescue):
        name = f"{__name__}.Rescue"
        messages = lost

    app.steps["consumer"].add(Step)
    return lost


class Rescue(bootsteps.StartStopStep):
    """Takes the messages out of a lost channel, and into the next one."""

    requires = ("celery.worker.consumer.tasks:Tasks",)
    #: The messages that were taken and not acknowledged, by the tag that they have for the broker.
    messages: dict[str, Any]

    def __init__(self, consumer: Any, **options: Any) -> None:
        self._consumer = consumer
        #: The same, once they belong to a new connection, until it is known what still runs of them.
        self._kept: dict[str, Any] = {}
        #: What Celery knew of them when the connection was lost, by the same tags: it forgets a task that has ended.
        self._requests: dict[str, Any] = {}
        self._timer: Any = None
        lost = consumer.on_connection_error_after_connected

        def on_connection_error_after_connected(error: BaseException) -> Any:
            self._take()
            return lost(error)

        consumer.on_connection_error_after_connected = on_connection_error_after_connected

    def start(self, consumer: Any) -> None:
        if not self.messages:
            return
        channel = consumer.task_consumer.channel
        for tag, message in self.messages.items():
            message.channel = channel
            channel.qos.append(message, tag)
        self._kept |= self.messages
        self.messages.clear()
        self._timer = consumer.timer.call_after(SETTLED, consumer.call_soon, (self._give_back,))

    def _take(self) -> None:
        qos = delivered_by(self._consumer)
        if qos is None:
            return
        if self._timer:
            self._timer.cancel()
        qos._flush()
        self.messages.update(qos._delivered)
        self._kept.clear()
        qos._delivered.clear()
        self._requests |= {request.message.delivery_tag: request for request in list(state.reserved_requests)}

    def _give_back(self) -> None:
        with ignore_errors(self._consumer):  # lost once more: the loop notices
            for tag, message in self._kept.items():
                if not message.acknowledged and not self._is_here(tag):
                    message.requeue()
        self._kept.clear()
        self._requests.clear()

    def _is_here(self, tag: str) -> bool:
        """Whether the task runs here, has run here, or will: a pool without a semaphore was handed all that is reserved.

        One that has just ended is acknowledged in the next step of Celery's loop.
        """
        request = self._requests.get(tag)
        return request is not None and (not self._consumer.pool.uses_semaphore or request.time_start is not None)


def delivered_by(consumer: Any) -> Any:
    """Return what kombu remembers of the messages that a worker of Redis has taken, `_delivered`; None elsewhere."""
    qos = getattr(getattr(consumer.task_consumer, "channel", None), "qos", None)
    return qos if hasattr(qos, "restore_by_tag") else None
