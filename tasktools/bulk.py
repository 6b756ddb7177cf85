"""Many calls at once.

On Redis and Valkey a batch of messages is one transaction, and the mark of a run (`runs`) is in it. Most messages are made
from a template of Celery's own (`templates`); whatever a template cannot be sure to reproduce takes Celery's own path, call
by call, and is written down to be sent with its batch. Other brokers get each call by `apply_async`, batched where kombu
can (kombu 5.7: Producer.batch).
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from celery.result import denied_join_result
from kombu.exceptions import EncodeError, KombuError
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError
from redis.retry import Retry

from tasktools import nesting
from tasktools.brokers import broker_of
from tasktools.brokers.keys import Keys
from tasktools.brokers.portable import queue_length
from tasktools.brokers.recording import Outgoing, Recorder
from tasktools.brokers.transactions import Mark, NotBegun, read_mark, transact
from tasktools.calls import Call
from tasktools.exceptions import ArgumentError, InDoubt, ProjectError, TasktoolsError, Unreachable
from tasktools.health import HINT, came_through, connect, reason, remedy, unsent
from tasktools.plans import Plan, Plans
from tasktools.templates import new_tags, random_ids

#: Calls in one batch unless another number is given.
BATCH_SIZE = 500

#: How long connecting, and one answer of the broker, may take, in seconds.
LIMIT = 4.0


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Calls that have been sent together."""

    #: The tasks' ids, in the order of the calls.
    ids: list[str]
    #: The tasks whose calls took Celery's own path, and why: {"shop.tasks.add": "receivers of before_task_publish"}.
    slow: Mapping[str, str]


def enqueue_many(app: Any, calls: Iterable[Call], *, batch_size: int = BATCH_SIZE) -> Iterator[Batch]:
    """Send `calls` as `apply_async` would, `batch_size` of them at a time, and yield each batch when it has been sent.

    Lazily: nothing is sent before the first batch is asked for, and `calls` may be endless. Arguments are checked as by
    `apply_async`. On Redis and Valkey a batch is sent as a whole or not at all.

        for batch in enqueue_many(app, (Call(task="shop.tasks.add", args=(n, n)) for n in range(1_000_000))):
            print(len(batch.ids))

    Raises TypeError for a call that its task does not take, TooDeep for one that no worker could read, Unreachable when there
    is no broker (nothing was sent of the batch), InDoubt when the broker broke off in the middle of a batch, and what receivers
    of signals raise.
    """
    left = iter(calls)
    with Publisher(app) as publisher:
        while some := list(islice(left, batch_size)):
            for call in some:
                _check(app.tasks.get(call.task), call)
            yield publisher.send(some)


def _check(task: Any, call: Call) -> None:
    if not isinstance(call.args, (list, tuple)) or not isinstance(call.kwargs, Mapping):
        raise TypeError("the arguments of a call are a tuple and a mapping")
    nesting.require_shallow((*call.args, *call.kwargs.values()))
    if task is not None and task.typing and hasattr(task, "__header__"):  # a task that is a class has none
        task.__header__(*call.args, **call.kwargs)


class Publisher:
    """Sends batch after batch over one connection. Use it as a context manager."""

    def __init__(self, app: Any, *, listen: bool = True) -> None:
        """Without `listen` no results are subscribed to; that switch of Celery's holds for the whole process."""
        self.app = app
        self.broker = broker_of(app)
        self.listen = listen
        #: How many calls the apply_async of their tasks has declined: their ids belong to no message.
        self.declined: Counter[str] = Counter()
        self._plans = Plans(app)
        self._stack = contextlib.ExitStack()
        self._connection: Any = None

    def __enter__(self) -> Publisher:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(Exception):
            self._stack.close()

    @property
    def is_atomic(self) -> bool:
        """Whether a batch, and a mark with it, is sent as a whole or not at all."""
        return self.broker.supports_transactions

    def open(self) -> Any:
        """Return the connection; made when it is first asked for.

        Raises Unreachable when there is none within LIMIT.
        """
        if self._connection is None:
            self.broker.prepare()
            self._connection = connect(self.broker, LIMIT, consequence=" Nothing more was sent.")
            self._stack.callback(self._connection.release)
            self._producer = self.app.amqp.Producer(self._connection, auto_declare=False)
            if self.is_atomic:
                self._keys = Keys(self._connection.default_channel)
                self._recorder = Recorder(self._keys)
                # redis-py would send a transaction again whose answer was lost, and so twice.
                self._keys.client.set_retry(Retry(NoBackoff(), 0))
        return self._connection

    @staticmethod
    def new_ids(calls: Sequence[Call]) -> list[str]:
        """Return the ids that the calls will have: their own, or random ones."""
        return [call.options.get("task_id") or new for call, new in zip(calls, random_ids(len(calls)), strict=True)]

    def send(self, calls: Sequence[Call], mark: Mark | None = None, *, ids: list[str] | None = None) -> Batch:
        """Send one batch, and the mark with it. The ids are new ones unless given (`new_ids`).

        Raises Unreachable, InDoubt, and ProjectError when the project's own code fails on the way.
        """
        connection = self.open()
        errors = (*connection.connection_errors, *connection.channel_errors, KombuError, OSError)
        ids = self.new_ids(calls) if ids is None else ids
        with contextlib.nullcontext() if self.listen else denied_join_result():
            if not self.is_atomic:
                return self._send_each(calls, ids, errors)
            outgoing = Outgoing()
            try:
                self._make(calls, ids, outgoing)
            except (EncodeError, ArgumentError, ProjectError):
                raise
            except errors as error:
                raise self._unsent(error) from error
            self._transact(outgoing, mark, len(calls), errors)
            return Batch(ids=ids, slow=outgoing.slow)

    def _transact(self, outgoing: Outgoing, mark: Mark | None, calls: int, errors: tuple[Any, ...]) -> None:
        try:
            transact(self._keys, outgoing, mark)
        except (NotBegun, ResponseError) as error:
            raise self._unsent(error) from error
        except errors as error:
            raise InDoubt(self._broke_off(error), hint=HINT, calls=calls) from error

    def _unsent(self, error: BaseException) -> Unreachable:
        told = f"{self._broke_off(error)} This batch was not sent."
        return Unreachable(told, hint=remedy(self.broker.name, error))

    def _broke_off(self, error: BaseException) -> str:
        return f"{self.broker.name} {'refuses' if isinstance(error, ResponseError) else 'broke off'}: {reason(error)}."

    def read(self, key: str) -> dict[str, str]:
        """Return a mark by its name (`Mark.key`); empty when there is none."""
        found: dict[str, str] = self._guarded(lambda: read_mark(self._keys, key))
        return found

    def write(self, mark: Mark) -> None:
        """Write a mark alone."""
        self.open()
        self._transact(Outgoing(), mark, 0, (OSError,))

    def length(self, queue: str) -> int:
        """Return how many messages wait in a queue; 0 for one that does not exist."""
        return int(self._guarded(lambda: queue_length(self._connection, queue)))

    def _guarded(self, call: Callable[[], Any]) -> Any:
        connection = self.open()
        try:
            return call()
        except (*connection.connection_errors, *connection.channel_errors, OSError) as error:
            raise Unreachable(self._broke_off(error), hint=HINT) from error

    def _make(self, calls: Sequence[Call], ids: list[str], outgoing: Outgoing) -> None:
        tags = new_tags(len(calls))
        plan, task, options = None, "", None
        self._plans.forget_moment()
        for number, call in enumerate(calls):
            if plan is None or call.options is not options or call.task != task:
                plan, task, options = self._plans.of(call), call.task, call.options
            if plan.template is None:
                self._record(call, ids[number], plan, outgoing)
            else:
                try:
                    value = plan.template.render(call.args, call.kwargs, ids[number], tags[number])
                except (TypeError, ValueError, OverflowError) as error:
                    raise EncodeError(str(error)) from error  # as apply_async
                for command in plan.commands:
                    outgoing.add(command, value)

    def _record(self, call: Call, task_id: str, plan: Plan, outgoing: Outgoing) -> None:
        """Have Celery make the message, and learn from it."""
        with self._recorder.recording() as commands:
            self._apply(call, task_id, retry=False)
        plan.learn(commands, call, task_id)
        if plan.why:
            outgoing.slow[call.task] = plan.why
        for command in commands:
            outgoing.add(command, command.value)

    def _send_each(self, calls: Sequence[Call], ids: list[str], errors: tuple[Any, ...]) -> Batch:
        batch = getattr(self._producer, "batch", None) if getattr(self._producer, "supports_batch_publish", 0) else None
        begun = 0
        try:
            with batch(max_size=len(calls)) if batch else contextlib.nullcontext():
                for call, task_id in zip(calls, ids, strict=True):
                    begun += 1
                    self._apply(call, task_id, retry=False)
        except (*errors, ProjectError) as error:
            if begun == 1 and isinstance(error, ProjectError):
                raise
            raise InDoubt(self._broke_off(error), hint=HINT, calls=len(calls)) from error
        why = "this broker takes no transaction" + ("; batched by kombu" if batch else "")
        return Batch(ids=ids, slow={call.task: why for call in calls})

    def _apply(self, call: Call, task_id: str, **more: Any) -> None:
        options = {**call.options, **more, "task_id": task_id, "producer": self._producer}
        task = self.app.tasks.get(call.task)
        try:
            if task is None:
                result = self.app.send_task(call.task, call.args, dict(call.kwargs), **options)
            else:
                result = task.apply_async(call.args, dict(call.kwargs), **options)
        except Exception as error:
            if isinstance(error, (EncodeError, TasktoolsError)) or came_through(error, "kombu.transport"):
                raise  # the broker's; its class does not say so, KeyError is among the connection errors of Redis
            raise unsent(call.task, error) from error
        if not isinstance(getattr(result, "id", None), str):
            self.declined[call.task] += 1
