"""The jobs of django-extensions: the class `Job` in a module of its own, in the package `jobs` of an installed app.

`get_jobs` of django-extensions stops at the first module that cannot be imported, and leaves out a package that fails. Here
each job is looked at by itself.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.utils.module_loading import module_has_submodule
from django_extensions.management.jobs import find_jobs

from tasktools import render
from tasktools.arguments.names import shown
from tasktools.discovery import watching
from tasktools.discovery.celery_app import described
from tasktools.exceptions import JobError, TasktoolsError, project_code
from tasktools.project import Job

#: What a job may have as its `when`; the folders of `jobs` have the same names.
GROUPS = ("minutely", "quarter_hourly", "hourly", "daily", "weekly", "monthly", "yearly")

_NOT_A_JOB = "begin the name of a module that is not a job with an underscore"


def find() -> Iterator[Job | JobError]:
    """Yield the jobs of the installed apps, and an error in the place of each that cannot be one. It imports their modules."""
    installed = {each.name for each in apps.get_app_configs()}
    for config in apps.get_app_configs():
        package = f"{config.name}.jobs"
        # An app called `jobs` inside another app has modules of its own.
        if package not in installed and config.module and module_has_submodule(config.module, "jobs"):
            yield from _of_package(package, "")


def _of_package(package: str, group: str) -> Iterator[Job | JobError]:
    try:
        module = _imported("The jobs in", package)
    except JobError as error:
        yield error
        return
    if module is None:
        return
    for name in find_jobs(module.__path__[0]):
        try:
            yield _job(f"{package}.{name}", group)
        except JobError as error:
            error.job = f"{package}.{name}"
            yield error
    if not group:
        for each in GROUPS:
            if module_has_submodule(module, each):
                yield from _of_package(f"{package}.{each}", each)


def _imported(what: str, name: str, *, is_package: bool = True) -> Any:
    """Import a module; return None if it should be a package and is none. Raises JobError."""
    try:
        with project_code(lambda error: _broken(what, name, error)):
            return importlib.import_module(name) if not is_package or _is_package(name) else None
    except JobError:
        raise
    except TasktoolsError as error:  # as of a task that the module sends, and there is no broker
        raise _broken(what, name, error) from error


def _is_package(name: str) -> bool:
    spec = importlib.util.find_spec(name)
    return spec is not None and bool(spec.submodule_search_locations)


def _job(name: str, group: str) -> Job:
    module = _imported("The job", name, is_package=False)
    kind: Any = getattr(module, "Job", None)
    execute = getattr(kind, "execute", None)
    if not isinstance(kind, type) or not callable(execute):
        what = "has no class Job" if not isinstance(kind, type) else "has a class Job without execute"
        hint = "from django_extensions.management.jobs import DailyJob; class Job(DailyJob): def execute(self): ..."
        raise JobError(f'The job "{name}" {what}.', hint=f"{hint}; {_NOT_A_JOB}")
    if _is_never_run(execute):
        sentence = f'The execute of the job "{name}" is an async function or a generator: to call it runs nothing.'
        raise JobError(sentence, hint="write a plain method; async_to_sync of asgiref.sync calls async functions")
    when = getattr(kind, "when", None) or ""
    if when and group and when != group:
        sentence = f'The job "{name}" is in the folder "{group}", and its when is "{shown(str(when))}".'
        raise JobError(sentence, hint=f"move its file, or derive Job from the class for {group} jobs")
    if when and when not in GROUPS:
        raise JobError(
            f'The when of the job "{name}" is "{shown(str(when))}".', hint=f"it is one of {', '.join(GROUPS)}"
        )
    return Job(name=name, kind=kind, when=when)


def _is_never_run(execute: Any) -> bool:
    kinds = (inspect.iscoroutinefunction, inspect.isasyncgenfunction, inspect.isgeneratorfunction)
    return any(is_kind(execute) for is_kind in kinds)


def _broken(what: str, module: str, error: BaseException) -> JobError:
    watching.restart_when_fixed(module)
    sentence = f'{what} "{module}" cannot be imported: {render.ended(described(error))}'
    return JobError(sentence, hint=f'manage.py shell -c "import {module}" shows where')
