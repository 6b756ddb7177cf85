"""The message for a call -> the request that a worker would make from it. It asks no broker."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from celery.utils import uuid
from celery.utils.time import maybe_make_aware
from kombu.utils.functional import maybe_list

from tasktools.arguments.call import Call
from tasktools.brokers.reach import came_through, reason_at_end
from tasktools.celery_compat import EXEC_OPTIONS
from tasktools.exceptions import ProjectError, project_code
from tasktools.registry.routes import unroutable

if TYPE_CHECKING:
    from celery import Celery, Task

#: The options of `apply_async` that the message's headers and body carry.
_CARRIED = (
    "countdown",
    "eta",
    "expires",
    "group_id",
    "group_index",
    "retries",
    "chord",
    "chain",
    "reply_to",
    "time_limit",
    "soft_time_limit",
    "root_id",
    "parent_id",
    "shadow",
    "origin",
    "ignore_result",
    "replaced_task_nesting",
    "stamped_headers",
)


def request_of(app: Celery, call: Call, *, hostname: str) -> dict[str, Any]:
    """Return `self.request` of `call` as a worker fills it, except `is_eager`, which is true: no worker runs it.

    The task's own options and routes count as in `apply_async` (Celery.send_task and AMQP._create_task_sender).

    Raises ProjectError when no message can be made, for example because its route leads to an unknown queue.
    """
    task = app.tasks[call.task]
    with project_code(lambda error: _unmade(app, call, error)):
        options = _options(app, task, call)
        message = _message(app, task, call, options)
        destination = _destination(app, options)
    priority = options.get("priority")
    properties = {**message.properties, "reply_to": options.get("reply_to") or app.thread_oid}
    return {
        **message.headers,
        **(options.get("headers") or {}),
        **message.body[2],
        "args": list(call.args),
        "kwargs": dict(call.kwargs),
        "properties": properties if priority is None else {**properties, "priority": priority},
        "reply_to": properties["reply_to"],
        "correlation_id": properties["correlation_id"],
        "hostname": hostname,
        "delivery_info": {**destination, "priority": priority, "redelivered": False},
        "is_eager": True,
    }


def _unmade(app: Celery, call: Call, error: BaseException) -> ProjectError:
    if came_through(error, "celery.app.routes"):
        return unroutable(app, call, error)
    sentence = f"The message of {call.task} cannot be made: {type(error).__name__}: {reason_at_end(error)}"
    return ProjectError(sentence, hint="the same command with --traceback shows where")


def _options(app: Celery, task: Any, call: Call) -> dict[str, Any]:
    args, kwargs = tuple(call.args), dict(call.kwargs)
    options = {"ignore_result": task.ignore_result, **EXEC_OPTIONS.of(task)(), **call.options}
    options["shadow"] = options.get("shadow") or task.shadow_name(args, kwargs, options)
    routed: dict[str, Any] = app.amqp.router.route(options, task.name, args, kwargs, task)
    return routed


def _message(app: Celery, task: Task[..., object], call: Call, options: Mapping[str, Any]) -> Any:
    return app.amqp.as_task_v2(
        options.get("task_id") or uuid(),
        task.name,
        tuple(call.args),
        dict(call.kwargs),
        callbacks=maybe_list(options.get("link")),
        errbacks=maybe_list(options.get("link_error")),
        **{name: options[name] for name in _carried(options) if options.get(name) is not None},
    )


def call_of(signature: Any) -> Call:
    """Return a signature as a call."""
    options = {name: value for name, value in signature.options.items() if value is not None}
    return Call(task=signature.task, args=tuple(signature.args), kwargs=dict(signature.kwargs), options=options)


def seconds_until(app: Celery, call: Call) -> float:
    """Return the number of seconds until `call` is due."""
    eta, countdown = call.options.get("eta"), call.options.get("countdown")
    if countdown or eta is None:  # Celery also uses the countdown if both are given
        return float(countdown or 0)
    eta = datetime.fromisoformat(eta) if isinstance(eta, str) else eta
    until: datetime = maybe_make_aware(eta, app.timezone)
    return max(0.0, (until - datetime.now(timezone.utc)).total_seconds())


def _carried(options: Mapping[str, Any]) -> list[str]:
    return [*_CARRIED, *(options.get("stamped_headers") or ())]


def _destination(app: Celery, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return exchange and routing key as the producer chooses them: for a direct exchange, the default exchange and the queue."""
    queue = options.get("queue") or app.conf.task_default_queue
    queue = app.amqp.queues[queue] if isinstance(queue, str) else queue
    exchange, key = options.get("exchange"), options.get("routing_key")
    kind = options.get("exchange_type") or getattr(queue.exchange, "type", None) or "direct"
    if (not exchange or not key) and kind == "direct":
        return {"exchange": "", "routing_key": queue.name}
    exchange = queue.exchange if exchange is None else exchange
    name = getattr(exchange, "name", exchange) or app.conf.task_default_exchange
    return {"exchange": name, "routing_key": key or queue.routing_key or app.conf.task_default_routing_key}
