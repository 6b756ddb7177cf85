"""What becomes of values on the way to a worker and back: they go through a serializer of kombu."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kombu.serialization import dumps, loads, prepare_accept_content

from tasktools import nesting
from tasktools.exceptions import ArgumentError
from tasktools.health import reason
from tasktools.naming import shown


def write_arguments(app: Any, task: Any, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Return the arguments as kombu writes them into the message: content type, encoding, data.

    `task` is None where only its name is known.

    Raises ArgumentError when the serializer cannot carry them: `.delay()` would fail too. Raises TooDeep for what it carries
    and a worker could not read.
    """
    nesting.require_shallow((*args, *kwargs.values()))
    serializer = str(getattr(task, "serializer", None) or app.conf.task_serializer)
    try:
        return dumps((args, kwargs), serializer=serializer)
    except Exception as error:
        raise ArgumentError(
            f'The arguments of {shown(name)} cannot be sent by the serializer "{serializer}": {reason(error)}.',
            hint="give plain values (numbers, text, lists, dictionaries), or set another CELERY_TASK_SERIALIZER",
        ) from error


def arguments_through(
    app: Any, task: Any, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments as a worker of this app would read them from the message.

    Raises ArgumentError when they cannot be written, or when a worker would refuse to read them.
    """
    content_type, encoding, data = write_arguments(app, task, name, args, kwargs)
    try:
        read = loads(data, content_type, encoding, accept=prepare_accept_content(app.conf.accept_content))
    except Exception as error:
        raise ArgumentError(
            f"A worker would not read the arguments of {shown(name)} ({content_type}): {reason(error)}.",
            hint="name the serializer in CELERY_ACCEPT_CONTENT",
        ) from error
    return list(read[0]), dict(read[1])


def result_through(app: Any, value: Any) -> Any:
    """Return a result as a client would read it; raise what storing or reading it would raise."""
    content_type, encoding, data = dumps(value, serializer=app.conf.result_serializer)
    accept = prepare_accept_content(app.conf.result_accept_content or app.conf.accept_content)
    return loads(data, content_type, encoding, accept=accept)


def same(one: Any, other: Any) -> bool:
    """Whether a value came through unchanged, its type and the types inside it too."""
    return type(one) is type(other) and repr(one) == repr(other)
