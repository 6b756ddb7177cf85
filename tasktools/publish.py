"""Send one task call, or say why it was not sent."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from celery.result import denied_join_result
from kombu.exceptions import KombuError

from tasktools import render, wire
from tasktools.arguments import bind, signature_of
from tasktools.brokers import broker_of
from tasktools.brokers.base import Broker
from tasktools.calls import Call
from tasktools.exceptions import ProjectError, TaskFailed, TasktoolsError, Unreachable
from tasktools.health import HINT, connect, reason
from tasktools.limits import TimedOut, within
from tasktools.naming import resolve
from tasktools.registry import function_of, names

#: How long connecting and sending may each take, in seconds: together less than 5.
CONNECT_LIMIT = 2.5
SEND_LIMIT = 2.0


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What became of a call."""

    id: str
    task: str
    #: The EagerResult when task_always_eager ran the task here, else the AsyncResult.
    result: Any
    eager: bool


def prepare(
    app: Any,
    name: str,
    words: Sequence[str] = (),
    *,
    args_json: str | None = None,
    kwargs_json: str | None = None,
    unregistered: bool = False,
    send: bool = True,
    options: dict[str, Any] | None = None,
) -> Call:
    """Check a call as typed and return it: the name resolved, the words typed and bound, the whole fit for the wire.

    With `unregistered` the name is taken as it is and the words by their looks. Without `send` the call is meant for this
    process, and need not be fit for the wire. Nothing is sent and no broker is asked.

    Raises TaskNameError and ArgumentError.
    """
    full_name = name if unregistered else resolve(name, names(app, builtin=True))
    task = app.tasks.get(full_name)
    signature = None if task is None else signature_of(function_of(task))
    bound = bind(signature, words, args_json=args_json, kwargs_json=kwargs_json, task=full_name)
    if send:
        wire.write_arguments(app, task, full_name, bound.args, bound.kwargs)
    return Call(task=full_name, args=bound.args, kwargs=bound.kwargs, options=options or {})


def publish(app: Any, call: Call, *, listen: bool = True) -> Sent:
    """Send `call` as `apply_async` would, once and without Celery's retries.

    Without `listen` the result backend is not told of the call, and so need not answer. That takes a switch of Celery's
    which holds for the whole process, and is for a process that does nothing else meanwhile.

    Raises Unreachable within 5 s when the broker is down, refuses or is silent; its sentence says whether anything can
    have been sent. Raises ProjectError when the project's own code fails on the way.
    """
    task = app.tasks.get(call.task)
    if task is not None and app.conf.task_always_eager:
        return _run_here(task, call)
    broker = broker_of(app)
    broker.prepare()
    connection = connect(broker, CONNECT_LIMIT, consequence=" Nothing was sent.")
    try:
        result = within(SEND_LIMIT, _send, app, call, connection, listen)
    except TimedOut:
        raise _in_doubt(broker, "does not answer", call) from None
    except TasktoolsError:
        raise
    except (*connection.connection_errors, *connection.channel_errors, KombuError, OSError) as error:
        raise _in_doubt(broker, f"broke off: {reason(error)}", call) from error
    except Exception as error:
        told = f"{type(error).__name__}: {reason(error)}"
        hint = "the same command with --traceback shows where"
        raise ProjectError(f"{call.task} could not be sent: {told}.", hint=hint) from error
    with contextlib.suppress(Exception):
        connection.release()
    return Sent(id=result.id, task=call.task, result=result, eager=False)


def _run_here(task: Any, call: Call) -> Sent:
    try:
        result = task.apply_async(call.args, dict(call.kwargs), **call.options)
    except Exception as error:  # task_eager_propagates hands on whatever the task raises
        raise TaskFailed(f"{call.task} ran here and failed: {type(error).__name__}: {render.text_of(error)}") from error
    return Sent(id=result.id, task=call.task, result=result, eager=True)


def _send(app: Any, call: Call, connection: Any, listen: bool) -> Any:
    producer = app.amqp.Producer(connection, auto_declare=False)
    task = app.tasks.get(call.task)
    with contextlib.nullcontext() if listen else denied_join_result():
        if task is None:
            return app.send_task(
                call.task, call.args, dict(call.kwargs), producer=producer, retry=False, **call.options
            )
        return task.apply_async(call.args, dict(call.kwargs), producer=producer, retry=False, **call.options)


def _in_doubt(broker: Broker, what: str, call: Call) -> Unreachable:
    known = f" Ask later: manage.py taskresult {call.options['task_id']}" if call.options.get("task_id") else ""
    return Unreachable(f"{broker.name} {what}. Whether {call.task} was sent cannot be known.", hint=f"{HINT}.{known}")
