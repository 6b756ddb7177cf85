"""How a worker stops taking from one queue and gives its messages back, for each kind of broker."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Sequence
from queue import Empty
from typing import TYPE_CHECKING, Any

from kombu.transport.virtual import QoS as VirtualQoS
from kombu.utils.json import dumps

from tasktools import celery_compat
from tasktools.brokers.keys import Keys
from tasktools.queues import aside
from tasktools.worker.delivery import is_shut

if TYPE_CHECKING:
    from kombu import Queue

    from tasktools.worker.protocols import Consumer, Message


class AskedQueue:
    """Redis and Valkey: a queue that is paused is left out of the worker's BRPOP.

    kombu's consumer keeps it. So a message that a BRPOP under way has popped still comes to the worker, which puts it back
    together with the older ones that it has reserved: one after the other, they would change places.
    """

    #: Whether a consumer that starts leaves a paused queue out.
    skips = False

    def __init__(self, consumer: Consumer) -> None:
        self._tasks = consumer.task_consumer
        #: The refused messages of paused queues, and of paused tasks.
        self._held: list[tuple[Message, str]] = []
        self._held_aside: list[tuple[Message, str, str]] = []
        #: How many BRPOPs were sent, and the number of the last one that may pop a message of a paused queue.
        self._sent = self._last = 0
        celery_compat.BRPOP_START.wrap(self._tasks.channel, self._counting)

    def _counting(self, begin: Callable[..., object]) -> Callable[..., object]:
        def brpop_start(*args: Any, **options: Any) -> object:
            self._sent += 1
            return begin(*args, **options)

        return brpop_start

    @property
    def holds(self) -> bool:
        """Whether there are refused messages."""
        return bool(self._held or self._held_aside)

    @property
    def is_ready(self) -> bool:
        """Whether no message of a paused queue is under way."""
        return self._sent > self._last or not celery_compat.IN_POLL.of(self._tasks.channel)

    def receive(self) -> None:
        """Read the answer of the BRPOP under way, if it is there and kombu does not read it.

        kombu reads none while the worker may reserve no more. What is to go back may be all that the worker has reserved: no
        place would become free then, and nothing would ever go back. The answer comes within the time limit of the BRPOP.
        """
        channel: Any = self._tasks.channel
        polled: Any = celery_compat.IN_POLL.of(channel)
        if polled and not channel.qos.can_consume() and polled.can_read():
            with contextlib.suppress(Empty):
                celery_compat.BRPOP_READ.of(channel)()

    def stop(self, queue: Queue) -> None:
        active: list[str] = celery_compat.ACTIVE_QUEUES.of(self._tasks.channel)
        if queue.name in active:
            self._last = self._sent
            active.remove(queue.name)
            celery_compat.UPDATE_CYCLE.of(self._tasks.channel)()

    def start(self, queue: Queue) -> None:
        active: list[str] = celery_compat.ACTIVE_QUEUES.of(self._tasks.channel)
        if queue.name not in active and queue.name in celery_compat.ACTIVE_TAGS.of(self._tasks):
            active.append(queue.name)
            celery_compat.UPDATE_CYCLE.of(self._tasks.channel)()

    def refuse(self, message: Message, queue: str, task: str = "") -> None:
        """Hold a message that was delivered until the loop gives it back, or puts it aside with its task."""
        if task:
            self._held_aside.append((message, queue, task))
        else:
            self._held.append((message, queue))

    def give_back(self, messages: Sequence[tuple[Message, str]]) -> None:
        """Put messages, and the refused ones, back to the front of their queues; the first one is the next one then."""
        messages = [*messages, *self._held]
        if messages:
            aside.give_back(Keys(self._tasks.channel), [_taken(*each) for each in messages])
            self._held = []  # not before the server has answered
            self._forget([message for message, _ in messages])

    def put_aside(self, messages: Sequence[tuple[Message, str, str]]) -> None:
        """Put messages, each with its queue and its task, and the refused ones where they wait until the task is resumed."""
        messages = [*messages, *self._held_aside]
        if messages:
            taken = [(_taken(message, queue), task) for message, queue, task in messages]
            aside.put_aside(Keys(self._tasks.channel), taken)
            self._held_aside = []
            self._forget([message for message, _, _ in messages])

    def bring_back(self, tasks: Collection[str]) -> None:
        """Put back what is aside of these tasks in the queues of this worker."""
        names = [each.name for each in self._tasks.queues]
        aside.bring_back(Keys(self._tasks.channel), [(queue, task) for queue in names for task in tasks])

    def _forget(self, messages: Iterable[Message]) -> None:
        channel: Any = self._tasks.channel
        for each in messages:
            VirtualQoS.ack(channel.qos, each.delivery_tag)
            celery_compat.MESSAGE_STATE.put(each, "REQUEUED")


def _taken(message: Message, queue: str) -> aside.Taken:
    priority = 0
    with contextlib.suppress(TypeError, ValueError):
        priority = max(0, min(9, int((message.properties or {}).get("priority") or 0)))  # type: ignore[call-overload]
    raw = str(dumps(celery_compat.RAW.of(message)))
    return aside.Taken(tag=message.delivery_tag, raw=raw, queue=queue, priority=priority)


class PushedQueue:
    """The other brokers: the queue's consumer is cancelled. RabbitMQ puts what goes back to where it was."""

    skips = True
    #: A cancel has received what was under way.
    is_ready = True

    def receive(self) -> None:
        """Nothing is under way."""

    def __init__(self, consumer: Consumer) -> None:
        self._tasks = consumer.task_consumer
        #: The queues whose consumers were cancelled here.
        self._stopped: set[str] = set()
        #: The refused messages, until the consumer is cancelled: before, they would come again at once.
        self._held: list[Message] = []

    def stop(self, queue: Queue) -> None:
        self._stopped.add(queue.name)
        tag = celery_compat.ACTIVE_TAGS.of(self._tasks).pop(queue.name, None)
        if tag is not None:
            channel: Any = self._tasks.channel
            channel.basic_cancel(tag)

    def start(self, queue: Queue) -> None:
        if queue.name in self._stopped:
            self._stopped.discard(queue.name)
            if not is_shut(self._tasks):
                celery_compat.BASIC_CONSUME.of(self._tasks)(queue, nowait=False)

    @property
    def holds(self) -> bool:
        return bool(self._held)

    def refuse(self, message: Message, queue: str, task: str = "") -> None:
        self._held.append(message)

    def give_back(self, messages: Sequence[tuple[Message, str]]) -> None:
        for each in [*(message for message, _ in messages), *self._held]:
            # After an error, some have gone back before; and what came by a lost connection comes again by itself.
            if not each.acknowledged and each.channel is self._tasks.channel:
                each.requeue()
        self._held = []

    def put_aside(self, messages: Sequence[tuple[Message, str, str]]) -> None:
        """A task can be paused on Redis and Valkey only: `pausequeue --task` has refused it."""
        self.give_back([(message, queue) for message, queue, _ in messages])

    def bring_back(self, tasks: Collection[str]) -> None:
        """Nothing is aside."""
