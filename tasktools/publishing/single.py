"""Send one task call, or say why it was not sent."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from celery import Task
from celery.exceptions import ImproperlyConfigured
from celery.local import Proxy
from celery.result import denied_join_result

from tasktools import render
from tasktools.arguments.binding import bind
from tasktools.arguments.call import Call
from tasktools.arguments.fitting import fit
from tasktools.arguments.models import models_in
from tasktools.arguments.names import resolve
from tasktools.arguments.signatures import TaskSignature
from tasktools.arguments.target import describe
from tasktools.brokers import broker_of, private
from tasktools.brokers.base import Broker
from tasktools.brokers.reach import (
    HINT,
    came_from_broker,
    came_through,
    chain,
    connect,
    is_disk_full,
    is_misuse,
    is_refused,
    reason_at_end,
    remedy,
)
from tasktools.exceptions import Declined, ProjectError, TaskFailed, TasktoolsError, Unreachable, project_code
from tasktools.publishing.faults import sent_all_the_same, unsent
from tasktools.publishing.producer import Sending, listening
from tasktools.registry import routes, serialization
from tasktools.registry.registry import finalize, has_own, names, signature_of, unregistered, why_idle

if TYPE_CHECKING:
    from celery import Celery

#: How long connecting may take, in seconds: together with the limits of `producer`, less than 5.
CONNECT_LIMIT = 2.5


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What became of a call."""

    id: str
    task: str
    #: The EagerResult when task_always_eager ran the task here, else the AsyncResult.
    result: Any
    eager: bool
    #: The queue that it went to, "" if that is not known: a router may choose another one if it is asked again.
    queue: str = ""


def prepare(
    app: Celery,
    name: str,
    words: Sequence[str] = (),
    *,
    args_json: str | None = None,
    kwargs_json: str | None = None,
    unregistered: bool = False,
    send: bool = True,
    options: dict[str, Any] | None = None,
) -> Call:
    """Check a call as it was typed and return it: the name resolved, the words converted and bound, everything serializable.

    With `unregistered`, the name is used unchanged, and each word is converted by its look. Without `send`, the call is meant
    for this process, and need not be serializable. Nothing is sent, and no broker is asked.

    Raises TaskNameError, ArgumentError, and ProjectError when Celery cannot make a task of the project.
    """
    finalize(app)
    full_name = name if unregistered else resolve(name, names(app, builtin=True))
    task = app.tasks.get(full_name)
    signature = None if task is None else signature_of(task)
    bound = bind(signature, words, args_json=args_json, kwargs_json=kwargs_json, task=full_name)
    if send:
        serialization.write_arguments(app, task, full_name, bound.args, bound.kwargs)
    if send and not unregistered:  # another project's workers may accept it
        serialization.require_read(app, task, full_name)
    return Call(task=full_name, args=bound.args, kwargs=bound.kwargs, options=options or {})


def doubt(app: Celery, call: Call) -> str:
    """Return what is wrong with a call that `apply_async` accepts, "" if nothing is known: Celery does not check all calls."""
    task = app.tasks.get(call.task)
    if task is None:
        return ""
    idle = why_idle(app, task)
    if idle:
        return f"{call.task} is {idle}: Celery's own pools do not run its body."
    signature = signature_of(task)
    why = signature.misfit(call.args, call.kwargs)
    if why:
        return f"{call.task} takes {describe(signature.shown)}: {why}. Celery does not check it."
    return _no_model(call, signature) if signature.certain and not has_own(task, "__call__") else ""


def _no_model(call: Call, signature: TaskSignature) -> str:
    """Return that an argument does not become the object that its annotation names, "" if there is no such argument."""
    for name in fit(signature.shown, call.args, call.kwargs).arguments:
        for model in models_in(signature.shown.parameters[name].annotation):
            what = f'"{name}" of {call.task} is annotated as the model {model}, and gets what is typed'
            return f"{what}: no object is looked up. Pass the key to a parameter such as {name}_id: int."
    return ""


def routed(app: Celery, call: Call) -> Call:
    """Return `call`. Raises ProjectError when the app has no queue for it, or a router of the project fails."""
    if not app.conf.task_always_eager:
        routes.queue_of(app, call)
    return call


def app_of(app: Celery, name: str) -> Any:
    """Return the app whose broker the project's own `.delay()` uses for the task of this name.

    That is `app`, unless the task in the module belongs to another app that names its own broker: Celery gives each app a
    copy of the tasks of all others. A `@shared_task` belongs to no app, and uses the app that is in use.

    Raises ProjectError when the settings of that app cannot be read.
    """
    # Asking a task for its app may read the settings of that app.
    with project_code(lambda error: unregistered(name, error)):
        other = _owner(app, name)
        if other is app or not private.configured(other.conf) or _write_url(other) == _write_url(app):
            return app
        return other


def _owner(app: Celery, name: str) -> Any:
    task = app.tasks.get(name)
    held = getattr(sys.modules.get(str(getattr(task, "__module__", ""))), str(type(task).__name__), None)
    if held is not None and type(held) is not Proxy and isinstance(held, Task) and held.name == name:
        return held.app
    return app


def _write_url(app: Celery) -> Any:
    return app.conf.broker_write_url or app.conf.broker_url


def publish(app: Celery, call: Call, *, listen: bool = True) -> Sent:
    """Send `call` as `apply_async` would, once and without Celery's retries.

    Without `listen`, the result backend does not learn of the call, and so need not answer. This uses a switch of Celery that
    applies to the whole process. Use it only in a process that does nothing else at the same time.

    Raises Unreachable when the broker is down, refuses or is silent, within 5 s plus the time of the project's own code; its
    sentence says whether anything may have been sent. Raises ProjectError when the project's own code fails.
    """
    task = app.tasks.get(call.task)
    if task is not None and app.conf.task_always_eager:
        return _run_here(task, call)
    broker = broker_of(app)
    broker.prepare()
    sending = Sending(app, connect(broker, CONNECT_LIMIT, consequence=" Nothing was sent."))
    try:
        with project_code(lambda error: _failed(app, broker, sending, call, error)):
            result = _send(app, call, sending.producer, listen)
    finally:
        sending.close()
    if sending.silent and not sending.done:  # the task's own apply_async has caught that error
        raise _in_doubt(broker, "does not answer.", call)
    task_id = _id_of(result, call)
    return Sent(id=task_id, task=call.task, result=result, eager=False, queue=sending.queues.get(task_id, ""))


def _failed(app: Celery, broker: Broker, sending: Sending, call: Call, error: BaseException) -> TasktoolsError:
    """Return the error for `error`, depending on whose code has raised it.

    Its class is not enough to know: the connection errors of Redis include KeyError and OSError, which a router, a receiver
    of a signal or the apply_async of a task may raise too.
    """
    if sending.silent:
        return _in_doubt(broker, "does not answer.", call)
    if sending.done:
        return sent_all_the_same(call.task, error)
    from_broker = came_from_broker(error)
    if is_disk_full(error) or (from_broker and is_refused(error)):
        return Unreachable(
            f"{broker.name} refuses: {reason_at_end(error)} Nothing was sent.", hint=remedy(broker.name, error)
        )
    if from_broker and isinstance(error, sending.errors):
        return _in_doubt(broker, f"broke off: {reason_at_end(error)}", call)
    if came_through(error, "celery.backends") and not any(map(_is_setting, chain(error))):
        why = f"{type(error).__name__}: {reason_at_end(error)}"
        sentence = f"The result backend cannot be asked for the result: {why} Nothing was sent."
        return Unreachable(sentence, hint=remedy("", error))
    if came_through(error, "celery.app.routes"):
        unroutable = routes.unroutable(app, call, error)
        return ProjectError(f"{unroutable.sentence} Nothing was sent.", hint=unroutable.hint)
    return unsent(call.task, error, app=app, consequence=" Nothing was sent.")


def _is_setting(error: BaseException) -> bool:
    """Whether it is the error of a backend that cannot be made: its library is missing, or its URL is invalid."""
    return isinstance(error, (ImproperlyConfigured, ImportError)) or is_misuse(error)


def _id_of(result: Any, call: Call) -> str:
    """Return the id of a call. Raises Declined if there is none: the task's own apply_async may not send anything."""
    task_id = getattr(result, "id", None)
    if not isinstance(task_id, str):
        returned = "nothing" if result is None else f"a {type(result).__name__} without an id"
        hint = "a task that may run only once at a time does so while another call of it is waiting or running"
        raise Declined(f"{call.task} declined the call: its apply_async returned {returned}.", hint=hint)
    return task_id


def _run_here(task: Any, call: Call) -> Sent:
    try:
        result = task.apply_async(call.args, dict(call.kwargs), **call.options)
    except (TasktoolsError, KeyboardInterrupt):
        raise
    except BaseException as error:  # task_eager_propagates passes on what the task raises, and the tracer its exit()
        raise TaskFailed(f"{call.task} ran here and failed: {type(error).__name__}: {render.text_of(error)}") from error
    return Sent(id=_id_of(result, call), task=call.task, result=result, eager=True)


def _send(app: Celery, call: Call, producer: Any, listen: bool) -> Any:
    task = app.tasks.get(call.task)
    options = {**call.options, "producer": producer, "retry": False}  # an entry of the schedule may have its own
    with listening(app) if listen else denied_join_result():
        if task is None:
            return app.send_task(call.task, call.args, dict(call.kwargs), **options)
        return task.apply_async(call.args, dict(call.kwargs), **options)


def _in_doubt(broker: Broker, what: str, call: Call) -> Unreachable:
    known = f" Ask later: manage.py taskresult {call.options['task_id']}" if call.options.get("task_id") else ""
    return Unreachable(f"{broker.name} {what} Whether {call.task} was sent cannot be known.", hint=f"{HINT}.{known}")
