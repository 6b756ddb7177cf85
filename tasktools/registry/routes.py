"""To which queue a call goes, and why it can go to none."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from celery.app.routes import MapRoute
from celery.exceptions import QueueNotFound

from tasktools import render
from tasktools.arguments.call import Call
from tasktools.arguments.names import shown
from tasktools.celery_compat import EXEC_OPTIONS, ROUTES
from tasktools.exceptions import ConfigurationError, ProjectError, project_code
from tasktools.unimportable import described

if TYPE_CHECKING:
    from celery import Celery


class RoutingError(ConfigurationError):
    """A setting of queues or routes is not of the kind that Celery takes: it fails at its first use."""


def require_kinds(conf: Any, app: str) -> None:
    """Raise RoutingError if CELERY_TASK_QUEUES, CELERY_TASK_ROUTES or CELERY_TASK_DEFAULT_QUEUE is of a wrong kind.

    `app` is the name of an app of the project's own, and "" for the ready-made one.
    """
    of = f" of {app}" if app else ""
    queues, routes, usual = conf.task_queues, conf.task_routes, conf.task_default_queue
    if usual is not None and not isinstance(usual, str):
        raise _wrong(f"CELERY_TASK_DEFAULT_QUEUE{of} is", usual, "is no name of a queue", 'give text, as in "celery"')
    if queues:
        _require_queues(queues, of)
    for router in routes if isinstance(routes, (list, tuple)) else () if routes is None else (routes,):
        if not (
            isinstance(router, (str, Mapping, list, tuple)) or callable(router) or hasattr(router, "route_for_task")
        ):
            hint = 'give {"shop.tasks.add": "mails"}, a function, or the path of one'
            raise _wrong(f"CELERY_TASK_ROUTES{of} has", router, "is no router", hint)


def _require_queues(queues: Any, of: str) -> None:
    from kombu import Queue

    hint = 'from kombu import Queue; CELERY_TASK_QUEUES = [Queue("mails")]'
    if isinstance(queues, str) or not hasattr(queues, "__iter__"):
        raise _wrong(f"CELERY_TASK_QUEUES{of} is", queues, "is no list of queues", hint)
    of_names = isinstance(queues, Mapping)
    if not (of_names or isinstance(queues, Collection)):
        return  # an iterator, which would be empty afterwards
    for queue in queues.values() if of_names else queues:
        if not isinstance(queue, (Queue, Mapping) if of_names else Queue):
            raise _wrong(f"CELERY_TASK_QUEUES{of} has", queue, "is no queue", hint)


def _wrong(subject: str, value: object, why: str, hint: str) -> RoutingError:
    return RoutingError(f"{subject} {shown(render.repr_of(value))}, which {why}.", hint=hint)


def queue_of(app: Celery, call: Call) -> str:
    """Return the name of the queue that a call goes to, as `apply_async` chooses it.

    Raises ProjectError when a router of the project fails, or leads to a queue that does not exist.
    """
    with project_code(lambda error: unroutable(app, call, error)):
        return _queue(app, call)


def usual_queue(app: Celery, name: str) -> tuple[str, ProjectError | None]:
    """Return the queue of a call of this task without arguments, and why there is none: one of them is "" or None."""
    try:
        return queue_of(app, Call(task=name)), None
    except ProjectError as error:
        return "", error


def can_fail(app: Celery) -> bool:
    """Whether there may be tasks without a queue."""
    return bool(app.conf.task_routes) or not app.conf.task_create_missing_queues


def runs_code(app: Celery) -> bool:
    """Whether routers are code of the project: these may need the arguments of a call, or a database."""
    try:
        return any(type(each) is not MapRoute for each in ROUTES.of(app.amqp.router) or ())
    except Exception:  # noqa: BLE001 - one that cannot be imported is a fault
        return False


def matches(pattern: str, names: Iterable[str]) -> bool:
    """Whether a key of CELERY_TASK_ROUTES is for one of these tasks."""
    route = MapRoute({pattern: {}})
    return any(route(name) is not None for name in names)


def faults(app: Celery, names: set[str]) -> list[ProjectError]:
    """Return the errors of the tasks for which there is no queue, one for all tasks with the same reason."""
    if not can_fail(app):
        return []
    tasks: dict[tuple[str, str], list[str]] = {}
    for name in sorted(names):
        error = usual_queue(app, name)[1]
        if error is not None:
            tasks.setdefault((error.sentence.removeprefix(_NO_QUEUE.format(name)), error.hint), []).append(name)
    bare = " without arguments" if runs_code(app) else ""
    return [
        ProjectError(f"{_NO_QUEUE.format(listed(found))}{bare}{why}", hint=hint) for (why, hint), found in tasks.items()
    ]


_NO_QUEUE = "No queue can be found for {}"

#: What Celery says of a queue that is not declared (celery.app.routes.Router.expand_destination).
_MISSING = re.compile(r"""Queue ('.*'|".*") missing from task_queues""", re.DOTALL)


def listed(names: list[str], most: int = 3) -> str:
    """Return the first names in a form for a sentence, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def unroutable(app: Celery, call: Call, error: BaseException) -> ProjectError:
    """Return the error for a call for which `error` was raised in the search for a queue."""
    why, hint = described(error), "see CELERY_TASK_ROUTES"
    route = _route_in_settings(app, call.task)
    missing = isinstance(error, QueueNotFound) and _MISSING.fullmatch(render.text_of(next(iter(error.args), "")))
    if missing:
        name = ast.literal_eval(missing[1])
        why = f'"{shown(name)}" is not in CELERY_TASK_QUEUES, and CELERY_TASK_CREATE_MISSING_QUEUES is off'
        hint = f'add Queue("{shown(name)}") to CELERY_TASK_QUEUES, or choose another queue in CELERY_TASK_ROUTES'
    elif route is not None and not _is_route(route):
        why = f"its route in CELERY_TASK_ROUTES is {shown(render.repr_of(route))}, which is no queue and no options"
        hint = 'write the name of a queue, or options such as {"queue": "mails", "priority": 5}'
    return ProjectError(f"{_NO_QUEUE.format(call.task)}: {render.ended(why)}", hint=hint)


def _route_in_settings(app: Celery, name: str) -> Any:
    """Return what a dictionary in CELERY_TASK_ROUTES has for exactly this name, if it has something."""
    routes = app.conf.task_routes
    maps = (each for each in (routes if isinstance(routes, (list, tuple)) else (routes,)) if isinstance(each, Mapping))
    return next((each[name] for each in maps if name in each), None)


def _is_route(route: Any) -> bool:
    from kombu import Queue

    queue = route.get("queue", "") if isinstance(route, Mapping) else route
    return queue is None or isinstance(queue, (str, Queue))


def _queue(app: Celery, call: Call) -> str:
    task: Any = app.tasks.get(call.task)
    options = {**(EXEC_OPTIONS.of(task)() if task is not None else {}), **call.options}
    # A router adds missing queues to those that it has, and Celery 5.5 and 5.6 take from all of them.
    amqp: Any = app.amqp
    router = amqp.Router(queues=amqp.Queues([*amqp.queues.values()]))
    route = router.route(options, call.task, call.args, dict(call.kwargs), task)
    queue = route.get("queue", app.conf.task_default_queue)
    return str(getattr(queue, "name", queue))
