"""What happens to values on the way to a worker and back: they go through a serializer of kombu."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kombu.exceptions import SerializerNotInstalled
from kombu.serialization import dumps, loads, prepare_accept_content
from kombu.utils.functional import maybe_list

from tasktools.arguments import nesting
from tasktools.arguments.names import shown
from tasktools.brokers.reach import reason, reason_at_end
from tasktools.celery_compat import ENCODERS, SERIALIZERS
from tasktools.exceptions import ArgumentError
from tasktools.render import ended

if TYPE_CHECKING:
    from celery import Celery, Task

#: The packages that kombu's further serializers need.
_PACKAGES = {"yaml": "PyYAML", "msgpack": "msgpack"}


def why_unread(serializer: str, accept: Any) -> str:
    """Return why a reader that accepts `accept` (names, content types) cannot read a serializer's output; "" if it can."""
    if serializer not in ENCODERS.here() and serializer != "raw":  # as kombu's dumps looks it up
        return f'the serializer "{shown(str(serializer))}" is not installed'
    names = maybe_list(accept)
    try:
        accepted = prepare_accept_content(names)
    except (SerializerNotInstalled, TypeError) as error:
        return f"of what is accepted, {reason(error)}"
    content_type = SERIALIZERS.here().name_to_type.get(serializer)
    if accepted is None or content_type is None or content_type in accepted:
        return ""
    return f'the serializer is "{shown(serializer)}", and {", ".join(sorted(names)) or "nothing"} is accepted'


def how_to_read(serializer: str, setting: str) -> str:
    """Return the hint to `why_unread`; `setting` is CELERY_ACCEPT_CONTENT or CELERY_RESULT_ACCEPT_CONTENT."""
    if serializer not in ENCODERS.here():
        package = _PACKAGES.get(serializer)
        return f"pip install {package}" if package else "register it with kombu.serialization, or choose json"
    return f'{setting} = ["json", "{shown(serializer)}"], or choose a serializer that is accepted'


def require_read(app: Celery, task: Task[..., object] | None, name: str) -> None:
    """Raise ArgumentError if no worker of this app reads the messages of a task: each worker would drop them."""
    serializer = serializer_of(app, task)
    why = "" if app.conf.task_always_eager else why_unread(serializer, app.conf.accept_content)
    if why:
        raise ArgumentError(
            f"No worker of this project reads {shown(name)}: {ended(why)}",
            hint=how_to_read(serializer, "CELERY_ACCEPT_CONTENT"),
        )


def serializer_of(app: Celery, task: Task[..., object] | None) -> str:
    """Return the name of the serializer of a task's messages; `task` is None if only its name is known."""
    return str(getattr(task, "serializer", None) or app.conf.task_serializer)


def write_arguments(
    app: Celery,
    task: Task[..., object] | None,
    name: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    serializer: str | None = None,
) -> Any:
    """Return the arguments as kombu writes them into the message: content type, encoding, data.

    `task` is None if only its name is known. It uses the task's serializer unless another is given.

    Raises ArgumentError when the serializer cannot carry them: `.delay()` would fail too. Raises TooDeep for arguments that
    are nested so deeply that a worker could not read them.
    """
    nesting.require_shallow((*args, *kwargs.values()))
    serializer = serializer or serializer_of(app, task)
    try:
        return dumps((args, kwargs), serializer=serializer)
    except Exception as error:
        raise ArgumentError(
            f'The arguments of {shown(name)} cannot be sent by the serializer "{serializer}": {reason_at_end(error)}',
            hint="give plain values (numbers, text, lists, dictionaries), or set another CELERY_TASK_SERIALIZER",
        ) from error


def arguments_through(
    app: Celery, task: Task[..., object] | None, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments as a worker of this app would read them from the message.

    Raises ArgumentError when they cannot be written, or when a worker would refuse to read them.
    """
    content_type, encoding, data = write_arguments(app, task, name, args, kwargs)
    try:
        read = loads(data, content_type, encoding, accept=prepare_accept_content(app.conf.accept_content))
    except Exception as error:
        raise ArgumentError(
            f"A worker would not read the arguments of {shown(name)} ({content_type}): {reason_at_end(error)}",
            hint="name the serializer in CELERY_ACCEPT_CONTENT",
        ) from error
    return list(read[0]), dict(read[1])


def result_through(app: Celery, value: object) -> object:
    """Return a result as a client would read it. Raises the error that storing or reading it would raise."""
    content_type, encoding, data = dumps(value, serializer=app.conf.result_serializer)
    accept = prepare_accept_content(app.conf.result_accept_content or app.conf.accept_content)
    return loads(data, content_type, encoding, accept=accept)


def same(one: object, other: object) -> bool:
    """Whether a value is unchanged, including its type and the types inside it."""
    return type(one) is type(other) and repr(one) == repr(other)
