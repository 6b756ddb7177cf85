"""What may come next on a command line: names of tasks and queues, and the keywords of a task. It asks no broker."""

from __future__ import annotations

import enum
import typing
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from tasktools.arguments.names import is_known, resolve, short_names
from tasktools.arguments.signatures import KEYWORD_KINDS
from tasktools.exceptions import TaskNameError
from tasktools.registry import registry

if TYPE_CHECKING:
    from celery import Celery


def task_names(app: Celery) -> set[str]:
    """Return what enqueue takes for the registered tasks: the shortest name and the full name of each."""
    names = registry.names(app)
    return names | set(short_names(names).values())


def is_task(app: Celery, typed: str) -> bool:
    """Whether `typed` stands for a registered task."""
    return is_known(typed, registry.names(app))


def queue_names(app: Celery) -> set[str]:
    """Return the queues that the settings name, and those that a task is routed to."""
    return {*app.amqp.queues, *(task.queue for task in registry.tasks(app) if task.queue)}


def declared_queues(app: Celery) -> set[str]:
    """Return the queues that a worker reads which is started without names: `amqp.queues` also has those that were sent to."""
    return set(app.amqp.Queues(app.conf.task_queues))


def keywords(app: Celery, typed: str, words: Collection[str], prefix: str) -> Iterator[str]:
    """Yield `key=` for each parameter of a task that `words` do not give. After `key=`, yield its values if they are few.

    Yield nothing for a name that stands for no task.
    """
    try:
        task = app.tasks[resolve(typed, registry.names(app))]
    except TaskNameError:
        return
    given = {word.partition("=")[0] for word in words if "=" in word}
    key, equals, _ = prefix.partition("=")
    for parameter in registry.signature_of(task).shown.parameters.values():
        if parameter.kind not in KEYWORD_KINDS or parameter.name in given:
            continue
        if not equals:
            yield f"{parameter.name}="
        elif parameter.name == key:
            yield from (f"{key}={value}" for value in _values(parameter.annotation))


def _values(annotation: Any) -> Iterable[str]:
    if annotation is bool:
        return ("true", "false")
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return list(annotation.__members__)
    if typing.get_origin(annotation) is typing.Literal:
        return [str(value) for value in typing.get_args(annotation)]
    return ()
