"""To which queue a call goes, and why it can go to none."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from celery.exceptions import QueueNotFound

from tasktools import render
from tasktools.arguments.call import Call
from tasktools.arguments.names import shown
from tasktools.celery_compat import EXEC_OPTIONS
from tasktools.discovery.celery_app import described
from tasktools.exceptions import ConfigurationError, ProjectError, project_code
from tasktools.unimportable import place_of

if TYPE_CHECKING:
    from celery import Celery


class _Args(tuple[Any, ...]):
    """No positional arguments. It notes whether a router looks at them."""

    seen = False

    def __len__(self) -> int:
        self.seen = True
        return 0

    def __iter__(self) -> Iterator[Any]:
        self.seen = True
        return iter(())

    def __getitem__(self, key: Any) -> Any:
        self.seen = True
        return super().__getitem__(key)


class _Kwargs(UserDict[str, Any]):
    """No keywords. It notes whether a router looks at them."""

    seen = False

    def __bool__(self) -> bool:
        return True  # else Celery's router replaces it

    def __len__(self) -> int:
        self.seen = True
        return 0

    def __iter__(self) -> Iterator[str]:
        self.seen = True
        return iter(())

    def __getitem__(self, key: str) -> Any:
        self.seen = True
        raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        self.seen = True
        return False


class RoutingError(ConfigurationError):
    """A setting of queues or routes is not of the kind that Celery takes: it fails at its first use."""


def require_kinds(conf: Any, app: str) -> None:
    """Raise RoutingError if CELERY_TASK_QUEUES, CELERY_TASK_ROUTES or CELERY_TASK_DEFAULT_QUEUE is of a wrong kind.

    `app` is the name of an app of the project's own, and "" for the ready-made one.
    """
    of = f" of {app}" if app else ""
    queues, routes, usual = conf.task_queues, conf.task_routes, conf.task_default_queue
    if not isinstance(usual, str):
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
    """Return the queue of a call of this task without further options, and why there is none.

    A router that looks at the arguments may fail without them: then the queue is "", and that is no error.
    """
    args, kwargs = _Args(), _Kwargs()
    try:
        return queue_of(app, Call(task=name, args=args, kwargs=kwargs, options={})), None
    except ProjectError as error:
        return "", None if args.seen or kwargs.seen else error


def can_fail(app: Celery) -> bool:
    """Whether there may be tasks without a queue."""
    return bool(app.conf.task_routes) or not app.conf.task_create_missing_queues


def faults(app: Celery, names: set[str]) -> list[ProjectError]:
    """Return the errors of the tasks for which there is no queue, one for all tasks with the same reason."""
    if not can_fail(app):
        return []
    tasks: dict[tuple[str, str], list[str]] = {}
    for name in sorted(names):
        error = usual_queue(app, name)[1]
        if error is not None:
            tasks.setdefault((error.sentence.removeprefix(_NO_QUEUE.format(name)), error.hint), []).append(name)
    return [ProjectError(_NO_QUEUE.format(_listed(found)) + why, hint=hint) for (why, hint), found in tasks.items()]


_NO_QUEUE = "No queue can be found for {}"


def _listed(names: list[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def unroutable(app: Celery, call: Call, error: BaseException) -> ProjectError:
    """Return the error for a call for which `error` was raised in the search for a queue."""
    place = "" if isinstance(error, SyntaxError) else place_of(error)  # which described() names
    why, hint = described(error) + (f" ({place})" if place else ""), "see CELERY_TASK_ROUTES"
    route = _route_in_settings(app, call.task)
    if isinstance(error, QueueNotFound):
        name = render.text_of(error.args[0]).split("'")[1]
        why = f'"{shown(name)}" is not in CELERY_TASK_QUEUES, and CELERY_TASK_CREATE_MISSING_QUEUES is off'
        hint = f'add Queue("{shown(name)}") to CELERY_TASK_QUEUES, or choose another queue in CELERY_TASK_ROUTES'
    elif route is not None and not _is_route(route):
        why = f"its route in CELERY_TASK_ROUTES is {shown(render.repr_of(route))}, which is no queue and no options"
        hint = 'write the name of a queue, or options such as {"queue": "mails", "priority": 5}'
    return ProjectError(f"{_NO_QUEUE.format(call.task)}: {why}.", hint=hint)


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
    kwargs: Any = call.kwargs if isinstance(call.kwargs, _Kwargs) else dict(call.kwargs)
    route = app.amqp.router.route(options, call.task, call.args, kwargs, task)
    queue = route.get("queue", app.conf.task_default_queue)
    return str(getattr(queue, "name", queue))
