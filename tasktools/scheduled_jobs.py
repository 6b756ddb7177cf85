"""Jobs of django-extensions as tasks of the app and entries of its schedule: the setting TASKTOOLS_JOBS.

Start-up finds them. They become tasks when Celery makes the tasks of the app: then the other tasks are known, whose names none
of them may take. Without the setting nothing is imported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tasktools import conf
from tasktools.arguments.names import close_matches, shown
from tasktools.discovery.import_names import name_of
from tasktools.discovery.rivals import is_found_by_all, rivals
from tasktools.exceptions import ConfigurationError, JobError, SeveralAppsError, TasktoolsError, tried
from tasktools.project import Job, Jobs, current_project

if TYPE_CHECKING:
    from celery import Celery

SETTING = "TASKTOOLS_JOBS"

#: The check that warns of a job that is no task.
CHECK = "tasktools.W017"


def join(app: Any) -> None:
    """Have the jobs of this project become tasks and entries of `app`, unless another app has them. Raises no Exception.

    The first call looks for them. It comes from start-up, so that an app which -A names later does not send them a second time.
    If a project has several apps, another process may have another app: none has the jobs until TASKTOOLS_APP names one.
    """
    project = current_project()
    if project.jobs is None:
        project.jobs = _look(app)
    jobs = project.jobs
    jobs.app = jobs.app or app
    if not jobs.found or jobs.app is not app:
        return
    if app.finalized:
        _settle(app)
    else:
        app.on_after_finalize.connect(_settle, weak=False, dispatch_uid="tasktools.scheduled_jobs")


def withhold(error: TasktoolsError) -> None:
    """Let no app have the jobs, also none that -A names later: start-up could not choose one."""
    several = isinstance(error, SeveralAppsError)
    why = "this project has several Celery apps" if several else "start-up could not choose a Celery app"
    current_project().jobs = Jobs(problems=[_undecided(why)]) if _is_on() else Jobs()


def to_report() -> list[TasktoolsError]:
    """Return why some jobs are no tasks, without what SILENCED_SYSTEM_CHECKS silences."""
    problems = current_project().job_problems
    return [each for each in problems if not (isinstance(each, JobError) and conf.silences(CHECK))]


def _undecided(why: str) -> JobError:
    hint = 'name the app that has the jobs in the settings, as in TASKTOOLS_APP = "proj.celery:app"'
    return JobError(f"The jobs of django-extensions are no tasks: {why}.", hint=hint)


def _is_on() -> bool:
    chosen = conf.chosen(SETTING, False)
    return not (chosen is None or chosen is False)


def _doubt(app: Celery) -> str:
    """Return why another process may choose another app, "" if none does."""
    others = rivals(app)
    if others:
        return f"this project has several Celery apps, such as {shown(others[0])}"
    name = shown(name_of(app))
    return "" if is_found_by_all(app) else f"another process may choose another Celery app than {name}"


def _look(app: Celery) -> Jobs:
    if not _is_on():
        return Jobs()
    why = "" if conf.app() is not None else tried(lambda: _doubt(app), lambda _: "")
    if why:
        return Jobs(problems=[_undecided(why)])
    chosen = conf.chosen(SETTING, False)
    if chosen is not True and not isinstance(chosen, Mapping):
        hint = f'{SETTING} = True, or {{"daily": crontab(minute=30, hour=4)}}'
        kind = shown(tried(lambda: repr(chosen), lambda _: type(chosen).__name__))
        return Jobs(problems=[ConfigurationError(f"{SETTING} is {kind}, which says nothing of jobs.", hint=hint)])
    from tasktools.discovery import jobs

    met = list(jobs.find())
    found = tuple(each for each in met if isinstance(each, Job))
    errors = [each for each in met if isinstance(each, JobError)]
    times: Mapping[str, Any] = {} if chosen is True else chosen
    known = {*jobs.GROUPS, *(each.name for each in found), *(each.job for each in errors)}
    return Jobs(found=found, times=times, problems=[*errors, *_unknown(times, known)])


def _unknown(times: Mapping[Any, Any], known: set[str]) -> Iterator[ConfigurationError]:
    for name in times:
        if name not in known:
            close = close_matches(str(name), known)
            hint = f"did you mean {close[0]}?" if close else "its keys are groups such as daily, or names of jobs"
            sentence = f'{SETTING} has "{shown(str(name))}", which is no job and no group of jobs.'
            yield ConfigurationError(sentence, hint=hint)


def _settle(sender: Celery, **_: Any) -> None:
    """Make the tasks and the entries. A receiver of on_after_finalize."""
    from tasktools.beat.jobs import plan
    from tasktools.registry.jobs import register

    jobs = current_project().jobs
    if jobs is None:
        return
    met = list(register(sender, jobs.found))
    known = {each.job for each in jobs.problems if isinstance(each, JobError)}
    jobs.problems += [each for each in met if isinstance(each, JobError) and each.job not in known]
    jobs.entries.update(plan(sender, [each for each in met if isinstance(each, Job)], jobs.times))


_settle.leaves_tasks_alone = True  # type: ignore[attr-defined]  # it changes the schedule, which no task reads
