"""Each job of django-extensions as a task of an app."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from types import MethodType
from typing import TYPE_CHECKING, Any

from tasktools import render
from tasktools.discovery.celery_app import described
from tasktools.exceptions import JobError, project_code
from tasktools.project import Job
from tasktools.registry import exits
from tasktools.registry.registry import place_of

if TYPE_CHECKING:
    from celery import Celery

#: What BaseJob of django-extensions has as its help.
_NO_HELP = "undefined job description."


def register(app: Celery, jobs: Iterable[Job]) -> Iterator[Job | JobError]:
    """Make each job a task of `app`, which is finalized. Yield those that are tasks now, and an error for each other one."""
    for job in jobs:
        task: Any = app.tasks.get(job.name)
        if task is None:
            try:
                with project_code(lambda error, job=job: _unmade(job, error)):  # type: ignore[misc]
                    app.task(name=job.name, shared=False, tasktools_job=job)(_function(job))
            except JobError as error:
                yield error
            else:
                yield job
        elif getattr(task, "tasktools_job", None) is not None:
            yield job
        else:
            yield _taken(job, task)


def _unmade(job: Job, error: BaseException) -> JobError:
    hint = "the execute of a job takes self alone, or arguments with defaults"
    return JobError(f'The job "{job.name}" cannot be a task: {render.ended(described(error))}', hint=hint, job=job.name)


def _taken(job: Job, task: Any) -> JobError:
    place = f" ({where})" if (where := place_of(task)) else ""
    hint = "rename the module of the job, or give the task its own name, as in @shared_task(name=...)"
    return JobError(f'The job "{job.name}" is no task: another task has this name{place}.', hint=hint, job=job.name)


def _function(job: Job) -> Callable[..., None]:
    """Return what the task runs. It takes what `execute` takes, and returns nothing: old jobs may return any object."""

    def run(*args: Any, **kwargs: Any) -> None:
        try:
            job.kind().execute(*args, **kwargs)
        except BaseException as error:  # a script of cron calls exit()
            failure = exits.failure_of(error)
            if failure is None:
                raise
            raise failure from error

    run.__module__ = job.name
    own = str(getattr(job.kind, "help", None) or "")
    run.__doc__ = inspect.getdoc(job.kind.execute) or "" if own == _NO_HELP else own
    function: Any = run
    function.__wrapped__ = job.kind.execute  # where it is written
    function.__signature__ = _signature(job.kind)
    return run


def _signature(kind: Any) -> inspect.Signature:
    """Return what `execute` takes, without self."""
    if isinstance(inspect.getattr_static(kind, "execute"), (staticmethod, classmethod)):
        return inspect.signature(kind.execute)
    return inspect.signature(MethodType(kind.execute, kind))  # without self; what takes no self has none
