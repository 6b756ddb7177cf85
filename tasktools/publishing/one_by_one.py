"""Send calls with `apply_async`, one by one, and count at any moment how many have been sent."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from kombu.exceptions import EncodeError

from tasktools.arguments import nesting
from tasktools.arguments.call import Call
from tasktools.brokers.reach import came_from_broker
from tasktools.celery_compat import PUBLISH
from tasktools.exceptions import ProjectError, TasktoolsError, project_code
from tasktools.publishing.faults import sent_all_the_same, unsent

if TYPE_CHECKING:
    from celery import Celery


@dataclass
class Tally:
    """How far a batch has come. It is correct at any moment, even when sending fails or is interrupted."""

    #: How many calls, from the first on, have been sent.
    sent: int = 0
    #: How many calls, from the first on, have been sent or may have been.
    begun: int = 0
    #: Which call could not be sent, from 0.
    failed: int = 0


def require_fit(task: Any, call: Call) -> None:
    """Raise the error of apply_async for arguments that the task does not take; also raise TooDeep."""
    if not isinstance(call.args, (list, tuple)) or not isinstance(call.kwargs, Mapping):
        raise TypeError("the arguments of a call are a tuple and a mapping")
    nesting.require_shallow((*call.args, *call.kwargs.values()))
    if task is not None and task.typing and hasattr(task, "__header__"):  # a task that is a class has no __header__
        task.__header__(*call.args, **call.kwargs)


class Applier:
    """Sends calls with one producer of kombu."""

    def __init__(self, app: Celery, producer: Any, errors: tuple[Any, ...], declined: Counter[str]) -> None:
        """`errors` are the errors that the broker may raise; `declined` counts the calls that their tasks decline."""
        self.app = app
        self.producer = producer
        self.errors = errors
        self.declined = declined
        #: What makes batches of what the producer publishes: kombu (kombu 5.7), or the confirms of a broker; None for nothing.
        self.batch: Callable[..., Any] | None = None
        if getattr(producer, "supports_batch_publish", False):
            self.batch = producer.batch
        self._published = 0
        self._publish = producer.publish
        PUBLISH.put(producer, self._note)

    def _note(self, *args: Any, **options: Any) -> Any:
        published = self._publish(*args, **options)
        self._published += 1
        return published

    def each(self, calls: Sequence[Call], ids: list[str], tally: Tally, send: Callable[[Call, str], None]) -> None:
        """Send the calls one after the other by `send`, as a batch where that is possible.

        Raises what `send` raises: what `apply` raises. If that is an error of the project, the earlier calls have been sent.
        """
        batch = self.batch
        with batch(max_size=len(calls)) if batch else contextlib.nullcontext() as buffer:
            for call, task_id in zip(calls, ids, strict=True):
                before = self._published
                tally.begun += 1
                try:
                    send(call, task_id)
                except (EncodeError, TasktoolsError) as error:
                    if buffer:  # the earlier calls are sent too
                        buffer.flush()
                    went = self._published > before
                    tally.failed = tally.begun - 1
                    tally.sent = tally.begun = tally.begun if went else tally.begun - 1
                    if went:
                        cause = (isinstance(error, ProjectError) and error.__cause__) or error
                        raise sent_all_the_same(call.task, cause) from error
                    raise
                if not buffer:
                    tally.sent = tally.begun
        tally.sent = len(calls)

    def apply(self, call: Call, task_id: str) -> None:
        """Send one call.

        Raises EncodeError, a TasktoolsError (ProjectError for what the project's code raises), and what the broker raises.
        """
        options = {**call.options, "retry": False, "task_id": task_id, "producer": self.producer}
        task = self.app.tasks.get(call.task)
        try:
            if task is None:
                result = self.app.send_task(call.task, call.args, dict(call.kwargs), **options)
            else:
                result = task.apply_async(call.args, dict(call.kwargs), **options)
        except BaseException as error:  # noqa: BLE001 - it is raised again
            self.blame(error, call.task)
        if not isinstance(getattr(result, "id", None), str):
            self.declined[call.task] += 1

    def blame(self, error: BaseException, task: str) -> NoReturn:
        """Raise an error of a call of this task: as it is, or as ProjectError if code of the project has raised it."""
        if isinstance(error, (EncodeError, TasktoolsError, KeyboardInterrupt)) or self._is_the_brokers(error):
            raise error
        with project_code(lambda each: unsent(task, each, app=self.app)):
            raise error

    def _is_the_brokers(self, error: BaseException) -> bool:
        """Whether it is an error of the broker.

        Its class is not enough to know, because KeyError is among the connection errors of Redis. Neither is its origin, because
        a transport also writes what the project has put into a message.
        """
        return isinstance(error, self.errors) and came_from_broker(error)
