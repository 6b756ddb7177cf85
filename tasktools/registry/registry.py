"""The registered tasks of an app, as values."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from tasktools import render
from tasktools.arguments import signatures
from tasktools.arguments.names import matches, short_names
from tasktools.arguments.signatures import TaskSignature, task_signature
from tasktools.arguments.target import describe
from tasktools.discovery.celery_app import described
from tasktools.environment.installed import is_installed
from tasktools.exceptions import ProjectError, project_code
from tasktools.registry.routes import usual_queue
from tasktools.registry.settings_at_hand import at_hand

if TYPE_CHECKING:
    from celery import Celery


@dataclass(frozen=True, kw_only=True)
class TaskInfo:
    """A registered task, for people."""

    name: str
    #: The shortest name that enqueue takes for it.
    short_name: str
    #: The text for a person: `(x: int, y: int = 2)`; without self for a bound task.
    signature: str
    #: The queue of a call without further options; "" if the project's router needs arguments to choose it, or fails.
    queue: str
    #: `path:line`; the path is relative to the working folder if it is inside it; `module:line` for an installed package;
    #: "" if there is no source.
    defined_in: str
    #: First line of the docstring.
    doc: str


#: The error that finalize has raised for an app.
_unfinished: WeakKeyDictionary[Any, ProjectError] = WeakKeyDictionary()


def finalize(app: Celery) -> None:
    """Make Celery create the tasks of `app`.

    Raises ProjectError, every time, when one of them cannot be made: a lambda, a task class that raises. Celery raises
    only the first time, and then works with a part of the tasks.
    """

    def blame(error: BaseException) -> ProjectError:
        return _unfinished.setdefault(app, unregistered(_in_the_making(error.__traceback__), error))

    if app in _unfinished:
        raise _unfinished[app]
    with project_code(blame), at_hand(app):
        app.finalize(auto=True)


def unregistered(name: str, error: BaseException) -> ProjectError:
    """Return the error for a task that Celery cannot make; if `name` is "", for an unknown task of the app."""
    sentence = f'The task "{name}" cannot be registered' if name else "The tasks cannot be registered"
    hint = "the same command with --traceback shows where"
    return ProjectError(f"{sentence}: {render.ended(described(error))}", hint=hint)


def _in_the_making(trace: TracebackType | None) -> str:
    """Return the name of the task that Celery was making (celery.app.base.Celery._task_from_fun); "" if there is none."""
    name = ""
    while trace is not None:
        frame, trace = trace.tb_frame, trace.tb_next
        if frame.f_code.co_name == "_task_from_fun":
            name = str(frame.f_locals.get("name") or "")
    return name


def names(app: Celery, *, builtin: bool = False) -> set[str]:
    """Return the names of the registered tasks; Celery's own tasks (celery.*) are included only with `builtin`.

    Raises ProjectError when Celery cannot make one of them (`finalize`).
    """
    finalize(app)
    return {name for name in app.tasks if builtin or not name.startswith("celery.")}


def tasks(app: Celery, *, pattern: str = "", builtin: bool = False) -> Iterator[TaskInfo]:
    """Yield the registered tasks by name; `pattern` is a part of the name, or a shell pattern if it holds * or ?."""
    short = short_names(names(app, builtin=builtin))
    for name in sorted(short):
        if matches(name, pattern):
            yield _info(app, name, short[name])


def function_of(task: Any) -> Callable[..., Any]:
    """Return the function that a task runs, with self bound if the function takes it."""
    run: Callable[..., Any] = task.run
    return run


def signature_of(task: Any) -> TaskSignature:
    """Return what a task takes. It never refuses what `task.apply_async` of the installed Celery accepts."""
    header = getattr(task, "__header__", None) if getattr(task, "typing", True) else None  # a class has none
    return task_signature(
        function_of(task), header, sends=has_own(task, "apply_async"), calls=has_own(task, "__call__")
    )


def surely_takes(task: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether a task surely takes a call, because Celery's own check does; `signature_of` knows all calls, and is far slower."""
    run = function_of(task)
    code: Any = getattr(run, "__code__", None)
    # Celery makes its check from the function, without knowing which parameters are positional-only.
    is_plain = code is not None and not (hasattr(run, "__wrapped__") or hasattr(run, "__signature__"))
    if not is_plain or (kwargs and code.co_posonlyargcount):
        return False
    try:
        task.__header__(*args, **kwargs)
    except (AttributeError, TypeError):  # a task that is a class has no such check
        return False
    return True


def why_idle(app: Celery, task: Any) -> str:
    """Return why a worker does not run the body of a task, "" if it does: a class or a pool of the project may await it."""
    why = signatures.why_idle(function_of(task))
    if not why or has_own(task, "__call__"):
        return ""
    pool = str(app.conf.worker_pool)
    is_own = pool == "custom" or "." in pool or ":" in pool or "CELERY_CUSTOM_WORKER_POOL" in os.environ
    return "" if is_own else why


def has_own(task: Any, method: str) -> bool:
    """Whether a task has a method that is not Celery's."""
    holder = next((each for each in type(task).__mro__ if method in vars(each)), type(task))
    return method in vars(task) or not holder.__module__.startswith("celery.")


def shell_imports(app: Celery) -> list[str]:
    """Return an import line for each task that a module holds under its own name, for SHELL_PLUS_IMPORTS."""
    functions = (inspect.unwrap(function_of(app.tasks[name])) for name in sorted(names(app)))
    pairs = ((function.__module__, function.__name__) for function in functions if hasattr(function, "__name__"))
    return [f"from {module} import {name}" for module, name in _importable(pairs)]


def _importable(pairs: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    import sys

    return (pair for pair in pairs if hasattr(sys.modules.get(pair[0]), pair[1]))


def _info(app: Celery, name: str, short_name: str) -> TaskInfo:
    task = app.tasks[name]
    function = function_of(task)
    return TaskInfo(
        name=name,
        short_name=short_name,
        signature=describe(signature_of(task).shown),
        queue=usual_queue(app, name)[0],
        defined_in=place_of(task),
        doc=next(iter(inspect.cleandoc(function.__doc__ or "").splitlines()), ""),
    )


def place_of(task: Any) -> str:
    """Return where the function of a task is, as TaskInfo.defined_in."""
    function = inspect.unwrap(function_of(task))
    code = getattr(function, "__code__", None)
    if code is None:
        return ""
    path = os.path.relpath(code.co_filename)
    if is_installed(Path(code.co_filename)):
        path = function.__module__
    elif path.startswith(".."):
        path = code.co_filename
    return f"{path}:{code.co_firstlineno}"
