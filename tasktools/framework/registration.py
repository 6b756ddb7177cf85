"""Tasks of the framework -> tasks of Celery, under the path of their function."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from celery import Task, shared_task

from tasktools.framework import running
from tasktools.framework.priority import scale_of, scale_of_call

if TYPE_CHECKING:
    from celery import Celery

    from tasktools.framework.library import Library

#: The queue of the framework that stands for the default queue of the app.
DEFAULT_QUEUE = "default"


#: Celery's, without its types: they allow no property in place of an attribute.
_Task: Any = Task
_shared_task: Any = shared_task


class FrameworkTask(_Task):
    """A task that Celery runs for the framework. Its function is that of the framework's task."""

    abstract = True

    #: The task of the framework, and its library.
    django_task: Any
    library: Library

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.request.called_directly:
            return super().__call__(*args, **kwargs)  # a call of the function, and no attempt
        return running.run(self, args, kwargs)

    @property
    def queue(self) -> str | None:
        """The same of the queue. Celery warns of both where a task has them itself, and of no property of its class."""
        return queue_of(self.django_task)

    @property
    def priority(self) -> int | None:
        """That of a call without one of its own, which `manage.py enqueue` and beat send."""
        scale = scale_of_call(scale_of(self.app), self, self.queue)
        return None if scale is None else scale.of(int(self.django_task.priority))


def queue_of(task: Any) -> str | None:
    """Return the queue that a task of the framework names, None for that which Celery chooses."""
    name: str = task.queue_name
    return None if name == DEFAULT_QUEUE else name


def register(library: Library, task: Any) -> None:
    """Register a task of the framework in every app, once. An app that is not complete makes it when it is."""
    name = task.module_path
    if name in _registered:
        return
    _registered.add(name)
    _shared_task(
        name=name,
        base=FrameworkTask,
        # Celery leaves out the first parameter of a bound task, which it fills itself: so is the context.
        bind=task.takes_context,
        django_task=_Held(task),
        library=library,
    )(task.func)


def register_all(library: Library, modules: Iterable[str]) -> None:
    """Register each task of the framework in those of the modules that are imported."""
    for module in modules:
        for each in list(vars(sys.modules[module]).values()) if module in sys.modules else ():
            if isinstance(each, library.Task):
                register(library, each)


#: The names of the tasks that were registered in this process.
_registered: set[str] = set()


class _Held:
    """Keeps Celery from binding a task of the framework as if it were a method of its own class."""

    def __init__(self, task: Any) -> None:
        self._task = task

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self._task


def celery_task(app: Celery, library: Library, task: Any) -> Any:
    """Return the task of Celery for a task of the framework, which is registered if it was not yet."""
    register(library, task)
    return app.tasks[task.module_path]


def django_task(app: Any, name: str) -> Any:
    """Return the task of the framework of this name; None if the app has none."""
    found = app.tasks.get(name)
    return found.django_task if isinstance(found, FrameworkTask) else None
