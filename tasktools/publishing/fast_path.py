"""Whether the messages of a task can be made from a template, and the template."""

from __future__ import annotations

import types
from collections.abc import Sequence
from typing import Any

import celery.app.amqp
import celery.app.base
import celery.app.task
from celery import Celery, signals
from celery.app.amqp import AMQP
from celery.app.routes import MapRoute
from celery.app.task import Task
from kombu import Producer
from kombu.exceptions import EncodeError

from tasktools.arguments.call import CALL_OPTIONS, Call
from tasktools.brokers.recording import Command
from tasktools.celery_compat import DUMP_MODELS, EXEC_OPTIONS, ROUTES
from tasktools.publishing.message_template import Represent, Template, body_encoder

#: Options of apply_async that a template knows; calls with others take Celery's own path.
_KNOWN = frozenset({*CALL_OPTIONS, "time_limit", "soft_time_limit"})

#: Options that make the message depend on the time at which it is made.
_TIMED = frozenset({"countdown", "expires"})

#: How many kinds of calls are remembered.
MOST_PLANS = 100


class Plan:
    """How calls of one task with the same options become messages."""

    def __init__(self, app: Celery, call: Call) -> None:
        self.app = app
        self.task = app.tasks.get(call.task)
        #: Why they take Celery's own path; "" as long as a template is possible.
        self.why = obstacle(app, self.task, call)
        self.template: Template | None = None
        #: The commands that send a message, with the message that the template was made from.
        self.commands: list[Command] = []
        self._timed = not _TIMED.isdisjoint(call.options) or getattr(self.task, "expires", None) is not None

    def forget_moment(self) -> None:
        """Drop a template that depends on the time, so that it is made again."""
        if self._timed:
            self.template = None

    def learn(self, commands: Sequence[Command], call: Call, task_id: str) -> None:
        """Make a template from the message that Celery has made of `call`, if the template gives exactly that message."""
        if self.why:
            return
        self.why = "its messages differ by more than ids and arguments"
        if not commands or any(each.name != "lpush" or each.message is not commands[0].message for each in commands):
            return
        message = commands[0].message
        try:
            template = Template(message, task_id, self._encoder(message), Represent(self.app))
            made = template.render(call.args, call.kwargs, task_id, message["properties"]["delivery_tag"])
        except (KeyError, TypeError, AttributeError):
            return
        if made == commands[0].value:
            self.why, self.template, self.commands = "", template, list(commands)

    @staticmethod
    def render(template: Template, call: Call, task_id: str, tag: str) -> str:
        """Return the message of a call. Raises EncodeError, as apply_async does."""
        try:
            return template.render(call.args, call.kwargs, task_id, tag)
        except Exception as error:
            raise EncodeError(str(error)) from error

    def _encoder(self, message: Any) -> Any:
        conf = self.app.conf
        serializer = getattr(self.task, "serializer", None) or conf.task_serializer
        compressed = "compression" in message["headers"]
        compression = (getattr(self.task, "compression", None) or conf.task_compression) if compressed else None
        return body_encoder(serializer, compression, message["properties"]["body_encoding"])


class Plans:
    """The plans of one app, by kinds of calls."""

    def __init__(self, app: Celery) -> None:
        self.app = app
        self._plans: dict[Any, Plan] = {}

    def forget_moment(self) -> None:
        """Drop templates that depend on the time, so that they are made again."""
        for each in self._plans.values():
            each.forget_moment()

    def of(self, call: Call) -> Plan:
        """Return the plan of a call."""
        try:
            key: Any = (call.task, tuple(sorted((k, v) for k, v in call.options.items() if k != "task_id")))
            if key not in self._plans:
                if len(self._plans) >= MOST_PLANS:  # a file whose lines differ in their options
                    self._plans.clear()
                self._plans[key] = Plan(self.app, call)
            return self._plans[key]
        except TypeError:  # an option that cannot be hashed
            return Plan(self.app, call)


def obstacle(app: Celery, task: Any, call: Call) -> str:
    """Return what a template would ignore, "" if nothing: hooks of the project, and what depends on the single call."""
    found = (why for why, is_there in _obstacles(app, task, call) if is_there)
    return next(found, "")


def _obstacles(app: Celery, task: Any, call: Call) -> Any:
    for name in ("apply_async", "shadow_name", EXEC_OPTIONS.name):
        yield f"its class overrides {name}", task is not None and not _is_celerys(getattr(type(task), name), Task, name)
        yield f"it has {name} of its own", task is not None and name in vars(task)
    yield "the app overrides send_task", not _is_celerys(type(app).send_task, Celery, "send_task")
    yield "the app has an AMQP class of its own", type(app.amqp) is not AMQP
    yield "Celery's AMQP class is patched", not _is_celerys(AMQP.as_task_v2, AMQP, "as_task_v2")
    yield (
        "kombu's Producer is patched",
        type(Producer.publish) is not types.FunctionType or hasattr(Producer.publish, "__wrapped__"),
    )
    for signal in ("before_task_publish", "after_task_publish", "task_sent"):
        yield f"receivers of {signal}", bool(getattr(getattr(signals, signal, None), "receivers", ()))
    routes = ROUTES.of(app.amqp.router) or ()
    yield "a router that may look at the arguments", any(type(each) is not MapRoute for each in routes)
    yield "task_send_sent_event", app.conf.task_send_sent_event
    yield "it is sent by a task, its parent", app.current_worker_task is not None
    yield "models among its arguments", DUMP_MODELS.get(task) is not None
    unknown = sorted(set(call.options) - _KNOWN)
    yield f"the option {', '.join(unknown)}", bool(unknown)
    backend = type(app.backend).on_task_call
    yield "the result backend's on_task_call", not str(backend.__module__).startswith("celery.backends.")


_FILES = {Task: celery.app.task.__file__, Celery: celery.app.base.__file__, AMQP: celery.app.amqp.__file__}


def _is_celerys(function: Any, owner: type, name: str) -> bool:
    """Whether a method is the one that Celery ships: not overridden, and not patched by a monitoring library."""
    code = getattr(function, "__code__", None)
    plain = type(function) is types.FunctionType and function is getattr(owner, name)
    return plain and getattr(code, "co_filename", "") == _FILES[owner]
