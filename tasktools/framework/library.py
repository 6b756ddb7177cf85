"""Which library the framework is: `django.tasks` of Django 6.0 and later, or the package django-tasks (`django_tasks`)."""

from __future__ import annotations

import functools
import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ImproperlyConfigured

OWN, PACKAGE = "django.tasks", "django_tasks"

#: The module of our backend.
OURS = "tasktools.backend"

#: Why the backend cannot be used, and what helps.
MISSING = (
    "This Django has no Tasks framework, which came with Django 6.0, and the package django-tasks is not installed."
)
REMEDY = "pip install django-tasks, or upgrade Django"


@dataclass(frozen=True, kw_only=True)
class Library:
    """The names of the framework that are used here. The two libraries differ in the names of their exceptions alone."""

    name: str
    Backend: type[Any]
    Task: type[Any]
    Context: type[Any]
    Error: type[Any]
    Result: type[Any]
    Status: Any
    InvalidTask: type[Exception]
    DoesNotExist: type[Exception]
    signals: Any
    normalize_json: Callable[[Any], Any]

    def has(self, alias: str) -> bool:
        """Whether TASKS has this alias."""
        return alias in importlib.import_module(self.name).task_backends

    def backend(self, alias: str) -> Any:
        """Return the backend of this alias in TASKS."""
        return importlib.import_module(self.name).task_backends[alias]


def name() -> str:
    """Return the name of the library, "" if there is none.

    Where there are both, it is Django's own: what the package's decorator makes (Wagtail uses it on any Django) is a task of
    its backend's library, and so both of them can be used in one site.
    """
    return next((each for each in (OWN, PACKAGE) if importlib.util.find_spec(each) is not None), "")


def backends(tasks: object) -> dict[str, str]:
    """Return the paths of the backends by their aliases; `tasks` is the setting TASKS, whatever its value is."""
    pairs = tasks.items() if isinstance(tasks, dict) else ()
    return {str(alias): str(each.get("BACKEND")) for alias, each in pairs if isinstance(each, dict)}


def ours(tasks: object) -> list[str]:
    """Return the aliases of our backend in the setting TASKS. That of a subclass of the project's is none of them."""
    return [alias for alias, path in backends(tasks).items() if path.startswith(f"{OURS}.")]


@functools.cache
def load() -> Library:
    """Import the framework. Raises ImproperlyConfigured when there is none."""
    found = name()
    if not found:
        raise ImproperlyConfigured(f"{MISSING} Hint: {REMEDY}")
    base, exceptions = importlib.import_module(f"{found}.base"), importlib.import_module(f"{found}.exceptions")
    return Library(
        name=found,
        Backend=importlib.import_module(f"{found}.backends.base").BaseTaskBackend,
        Task=base.Task,
        Context=base.TaskContext,
        Error=base.TaskError,
        Result=base.TaskResult,
        Status=base.TaskResultStatus,
        InvalidTask=getattr(exceptions, "InvalidTask", None) or exceptions.InvalidTaskError,
        DoesNotExist=exceptions.TaskResultDoesNotExist,
        signals=importlib.import_module(f"{found}.signals"),
        normalize_json=base.normalize_json,
    )
