"""The parts of Celery's worker and of kombu's messages that tasktools uses, as types; celery-types has no types for most."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from celery import Celery
    from kombu import Connection, Queue


class Message(Protocol):
    """A message that a consumer has taken (kombu.message.Message)."""

    channel: Channel
    #: The broker's name for it.
    delivery_tag: str
    headers: dict[str, object]
    properties: dict[str, object] | None
    #: The queue from which it came (pausing.py).
    tasktools_queue: str

    @property
    def acknowledged(self) -> bool: ...

    def ack(self) -> None: ...

    def requeue(self) -> None: ...


class OnAck(Protocol):
    """vine.promise: it acknowledges a message, once."""

    ready: bool


class Named(Protocol):
    """A task, as a report names it."""

    @property
    def name(self) -> str: ...

    @property
    def id(self) -> str: ...


class Request(Protocol):
    """A task that a worker has reserved (celery.worker.request.Request)."""

    id: str
    name: str
    acknowledged: bool
    #: Seconds since the epoch; None before it is begun.
    time_start: float | None

    @property
    def message(self) -> Message: ...

    @property
    def on_ack(self) -> OnAck: ...

    def send_event(self, type: str, **fields: object) -> None: ...


class QoS(Protocol):
    """What kombu's Redis transport remembers about unacknowledged messages (kombu.transport.redis.QoS)."""

    unacked_key: str
    #: Seconds.
    visibility_timeout: float

    def append(self, message: Message, delivery_tag: str) -> None: ...


class Client(Protocol):
    """redis.Redis."""

    def client_id(self) -> int: ...

    def execute_command(self, *words: object) -> object: ...


class Channel(Protocol):
    """kombu.transport.redis.Channel."""

    qos: QoS
    client: Client
    ResponseError: type[Exception]


class TaskConsumer(Protocol):
    """kombu.Consumer."""

    channel: Channel
    queues: list[Queue]

    def cancel(self) -> None: ...

    def consume(self) -> None: ...


class Entry(Protocol):
    """A call that a timer will make."""

    def cancel(self) -> None: ...


class Timer(Protocol):
    """kombu.asynchronous.timer.Timer and those of the green pools."""

    #: Its `queue` has the calls that wait.
    schedule: Any

    def call_after(self, seconds: float, call: Callable[..., object], args: tuple[object, ...] = ...) -> Entry: ...


class Hub(Protocol):
    """kombu.asynchronous.Hub."""

    def add_reader(self, file: int, call: Callable[..., object]) -> None: ...

    def remove_reader(self, file: int) -> None: ...


class Pool(Protocol):
    """celery.concurrency.base.BasePool."""

    uses_semaphore: bool
    is_green: bool
    num_processes: int
    #: What `stats` shows of it.
    info: Mapping[str, Any]

    def stop(self) -> None: ...


class Controller(Protocol):
    """celery.worker.WorkController; one without autoscaling has no max_concurrency."""

    max_concurrency: int | None


class Bucket(Protocol):
    """kombu.utils.limits.TokenBucket."""

    #: The requests that wait, and how many tokens each takes.
    contents: Collection[tuple[Request, int]]


class Consumer(Protocol):
    """celery.worker.consumer.Consumer."""

    app: Celery
    connection: Connection
    connection_errors: tuple[type[Exception], ...]
    channel_errors: tuple[type[Exception], ...]
    controller: Controller
    #: None with a loop that blocks.
    hub: Hub | None
    pool: Pool
    #: By the name of the task; None for one without a rate limit.
    task_buckets: Mapping[str, Bucket | None]
    task_consumer: TaskConsumer
    timer: Timer
    #: The step that pauses queues (pausing.py).
    tasktools_pausing: object

    def call_soon(self, call: Callable[..., object], *args: object) -> None: ...
