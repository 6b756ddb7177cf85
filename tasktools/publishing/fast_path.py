"""Which messages can be made from one of Celery's, and which calls need code of the project first."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

import celery.app.amqp
import celery.app.base
import celery.app.task
from celery import Celery, signals
from celery.app.amqp import AMQP
from celery.app.task import Task
from kombu import Producer

from tasktools.arguments.call import CALL_OPTIONS, Call
from tasktools.celery_compat import DUMP_MODELS, EXEC_OPTIONS
from tasktools.misuse import is_watched
from tasktools.publishing.handing_on import Switch
from tasktools.publishing.message_kind import Kind
from tasktools.registry.routes import runs_code as runs_routers

T = TypeVar("T")

#: Options of a call for which nothing but its message is made.
_OF_CALL = frozenset({*CALL_OPTIONS, "time_limit", "soft_time_limit"})

#: Options of send_task for which a message can be made: those of a call, and those that a task has itself.
_KNOWN = _OF_CALL | {
    *("serializer", "compression", "exchange", "routing_key", "delivery_mode", "immediate", "mandatory", "retry"),
    *("task_id", "producer", "headers", "shadow", "result_cls", "task_type"),
}

#: Options that differ from message to message.
_OF_MESSAGE = frozenset({"task_id", "producer", "headers", "shadow", "result_cls", "task_type"})

#: How many kinds of calls are remembered.
MOST_REMEMBERED = 100


class Plan:
    """How the calls of one task with the same options are sent."""

    def __init__(self, app: Celery, call: Call) -> None:
        task = app.tasks.get(call.task)
        #: Whether its messages are made without a call of the task's apply_async.
        self.is_direct = not runs_code(task) and _OF_CALL.issuperset(call.options)
        #: The kind of its messages, if it is direct and Celery has made one.
        self.kind: Kind | None = None


class Remembered(Generic[T]):
    """A limited number of values by their keys: the lines of a file may all differ in their options."""

    def __init__(self) -> None:
        self._values: dict[Any, T] = {}

    def get(self, key: Any, make: Callable[[], T]) -> T:
        """Return the value of this key, or a new one. One for a key without a hash is not remembered."""
        try:
            found = self._values.get(key)
        except TypeError:
            return make()
        if found is None:
            if len(self._values) >= MOST_REMEMBERED:
                self._values.clear()
            found = self._values[key] = make()
        return found


class Plans:
    """The plans and the kinds of one app."""

    def __init__(self, app: Celery) -> None:
        self.app = app
        self._plans = Remembered[Plan]()
        self._kinds = Remembered[Kind]()
        self._timed: list[Kind] = []

    def forget_moment(self) -> None:
        """Have Celery make the first message again of each kind that depends on the time."""
        for each in self._timed:
            each.is_known = False
        self._timed.clear()

    def of(self, call: Call) -> Plan:
        """Return the plan of a call."""
        options = {k: v for k, v in sorted(call.options.items()) if k != "task_id"}
        key = (call.task, self._is_sent_by_a_task(), _hashable(options))
        return self._plans.get(key, lambda: Plan(self.app, call))

    def kind_of(self, name: str, options: Mapping[str, Any]) -> Kind:
        """Return the kind of a message that is handed to `send_task`."""
        headers, shadow = options.get("headers"), options.get("shadow")
        own = {key: value for key, value in options.items() if key not in _OF_MESSAGE}
        key = (name, self._is_sent_by_a_task(), not headers, shadow is None, _hashable(own))
        kind = self._kinds.get(key, lambda: self._new(name, options))
        if kind.is_timed and not kind.is_known:
            self._timed.append(kind)
        return kind

    def _is_sent_by_a_task(self) -> bool:
        """Whether the messages have a parent: the same publisher may send for a task, and then for none."""
        return self.app.current_worker_task is not None

    def _new(self, name: str, options: Mapping[str, Any]) -> Kind:
        task = self.app.tasks.get(name)
        times = (options.get("countdown"), options.get("expires"), getattr(task, "expires", None))
        is_timed = any(each is not None for each in times)
        why = obstacle(self.app, options)
        return Kind(self.app, name, why, is_timed=is_timed, has_headers=bool(options.get("headers")))


def _hashable(options: Mapping[str, Any]) -> Any:
    """Return a key for options: 1 and True are equal, but not the same in a message."""
    return (*options.items(), *map(type, options.values()))


def runs_code(task: Any) -> bool:
    """Whether code of the project, or of a library, belongs to `apply_async` of this task."""
    if task is None:
        return False
    for name in ("apply_async", "shadow_name", EXEC_OPTIONS.name):
        if name in vars(task) or not _is_celerys(getattr(type(task), name), Task, name):
            return True
    return DUMP_MODELS.get(task) is not None


def obstacle(app: Celery, options: Mapping[str, Any]) -> str:
    """Return what would be ignored if Celery did not make each message with these options of send_task, "" if nothing."""
    found = (why for why, is_there in _obstacles(app, options) if is_there)
    return next(found, "")


def overrides_send_task(app: Celery) -> bool:
    """Whether `app.send_task` is not Celery's."""
    own = vars(app).get("send_task")
    return not _is_celerys(type(app).send_task, Celery, "send_task") or not isinstance(own, (Switch, types.NoneType))


def _obstacles(app: Celery, options: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    yield "the app overrides send_task", overrides_send_task(app)
    yield "the app has an AMQP class of its own", type(app.amqp) is not AMQP
    yield (
        "Celery's AMQP class is patched",
        not _is_celerys(AMQP.as_task_v2, AMQP, "as_task_v2") or not _is_from(app.amqp.send_task_message, AMQP),
    )
    yield (
        "kombu's Producer is patched",
        type(Producer.publish) is not types.FunctionType or hasattr(Producer.publish, "__wrapped__"),
    )
    yield "receivers of task_sent", bool(getattr(getattr(signals, "task_sent", None), "receivers", ()))
    yield "a router that may look at the arguments", runs_routers(app)
    yield "it is sent by a task, its parent", app.current_worker_task is not None
    unknown = sorted({key for key, value in options.items() if value is not None} - _KNOWN)
    yield f"the option {', '.join(unknown)}", bool(unknown)
    backend = type(app.backend).on_task_call
    yield "the result backend's on_task_call", not str(backend.__module__).startswith("celery.backends.")


_FILES = {Task: celery.app.task.__file__, Celery: celery.app.base.__file__, AMQP: celery.app.amqp.__file__}


def _is_celerys(function: Any, owner: type, name: str) -> bool:
    """Whether a method is the one that Celery ships: not overridden, and not patched by a monitoring library."""
    if type(function) is not types.FunctionType or function is not getattr(owner, name):
        return False
    return _is_from(getattr(function, "__wrapped__", None) if is_watched(function) else function, owner)


def _is_from(function: Any, owner: type) -> bool:
    return str(getattr(getattr(function, "__code__", None), "co_filename", "")) == _FILES[owner]
