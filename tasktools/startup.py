"""What happens at the end of django.setup(): it finds or makes the app, chooses its broker and imports its tasks.

Nothing here prevents a site from starting. Errors are kept. The system checks report them, as errors or as warnings, and
so do the commands that need the app; if no checks run, the log reports them at the first request.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from celery import signals
from django.apps import apps
from django.conf import settings
from django.core.signals import request_started
from django.utils.module_loading import module_has_submodule

from tasktools import celery_compat, conf, every_worker, misuse, render, scheduled_jobs, terminal
from tasktools.arguments.names import close_matches, shown
from tasktools.brokers import masking
from tasktools.discovery import celery_app, django_fixup, watching
from tasktools.environment import loggers
from tasktools.exceptions import ConfigurationError, JobError, ProjectError, TasktoolsError, project_code
from tasktools.project import current_project
from tasktools.publishing import sent_time
from tasktools.registry import routes
from tasktools.supervisor import reports
from tasktools.valkey.server import Home

if TYPE_CHECKING:
    from celery import Celery

#: Celery's settings that may hold passwords, or URLs with some.
_KINDS = re.compile(r"broker|backend|url|dsn|passw|secret|token|credential|settings|kwargs|options|redis|connection")
_MAY_HOLD_PASSWORDS = tuple(name for name in celery_compat.DEFAULTS.here() if _KINDS.search(name))


def run(**_: Any) -> None:
    """Find or make the app, and prepare it for `.delay()` in this process, at the end of django.setup(). Raises no Exception."""
    request_started.disconnect(run)
    project = current_project()
    project.found = project.jobs = None
    project.problems.clear()
    try:
        with project_code(_unforeseen):
            project.found = _settle(project.problems)
    except TasktoolsError as error:
        project.problems.append(error)
    if project.problems or project.job_problems:
        request_started.connect(_log_problems)


def _settle(problems: list[TasktoolsError]) -> celery_app.Found | None:
    chosen = None
    sent_time.start()
    every_worker.start()
    for signal in (signals.celeryd_after_setup, signals.beat_init):
        signal.connect(report_jobs, weak=False, dispatch_uid="tasktools.report_jobs")
    try:
        with project_code(_unforeseen):
            chosen = celery_app.find()
            choose_broker(chosen)
    except celery_app.Unsettled:
        request_started.connect(run)  # at its first request, a web process has imported its app
        return None
    except TasktoolsError as error:
        problems.append(error)
        scheduled_jobs.withhold(error)
        _refuse(error, chosen)
        return None
    celery_app.make_default(chosen.app)
    misuse.start()
    if chosen.ready_made:
        problems.extend(_import_tasks(chosen.app))
    scheduled_jobs.join(chosen.app)
    return chosen


def _unforeseen(error: BaseException) -> ConfigurationError:
    sentence = f"The Celery app cannot be made ready: {render.ended(celery_app.described(error))}"
    return ConfigurationError(sentence, hint="python manage.py check --tag tasktools")


def _refuse(error: TasktoolsError, chosen: celery_app.Found | None) -> None:
    """Make `.delay()` raise the error if no broker is named. Otherwise it would go to amqp://localhost."""
    from tasktools.brokers import private

    if chosen is None and not celery_app.has_default():
        chosen = celery_app.ready_made()
        celery_app.make_default(chosen.app)
    if chosen is not None and not private.configured(chosen.app.conf):
        private.refuse(chosen.app.conf, error)


def choose_broker(chosen: celery_app.Found) -> None:
    """Point an app without a broker to the private Valkey (with DEBUG), or make it refuse to guess one (the ready-made app).

    The project's own app keeps Celery's default, amqp://localhost, when DEBUG is off: a site may rely on it. If another
    app of the project names a broker, the private one is not chosen: the site's `.delay()` may use that other broker.

    Raises ConfigurationError for an invalid TASKTOOLS_* setting.
    """
    app = chosen.app
    home = Home(folder=conf.data_dir(), linger=conf.linger()) if settings.DEBUG else None

    def configure(**_: Any) -> None:
        from tasktools.brokers import private

        if private.configured(app.conf):
            return
        other = broker_elsewhere(app)
        if home and not other:
            private.use(app.conf, home)
        elif chosen.ready_made and not app.conf.task_always_eager:
            private.refuse(app.conf, private.unset_error(other, conf.broker_slip()))

    if celery_compat.CONFIGURED.of(app):
        configure()
    else:
        app.on_after_configure.connect(configure, weak=False, dispatch_uid="tasktools.choose_broker")


def read_settings(chosen: celery_app.Found) -> None:
    """Make the app read its settings, and make its queues. Raises ProjectError or RoutingError if it cannot."""

    def blame(error: BaseException) -> ProjectError:
        what = f"The settings of the Celery app {chosen.name or chosen.app.main} cannot be read"
        hint = "the same command with --traceback shows where"
        return ProjectError(f"{what}: {render.ended(celery_app.described(error))}", hint=hint)

    with project_code(blame):
        routes.require_kinds(chosen.app.conf, "" if chosen.ready_made else chosen.name)  # which are read now
        chosen.app.amqp.queues  # noqa: B018 - makes them


def require_timezone(app: Celery) -> None:
    """Raise ConfigurationError when the time zone of the app does not exist: no time of a call can be computed."""
    with project_code(lambda error: _no_timezone(app, error)):
        datetime.now(app.timezone)


def _no_timezone(app: Celery, error: BaseException) -> ConfigurationError:
    from zoneinfo import available_timezones

    name = shown(str(app.conf.timezone))
    close = close_matches(name, available_timezones())
    hint = f"did you mean {close[0]}?" if close else "set it to a name such as UTC or Europe/Berlin"
    why = "" if isinstance(error, (KeyError, ValueError)) else f" ({celery_app.described(error)})"
    return ConfigurationError(f'CELERY_TIMEZONE is "{name}", and there is no such time zone{why}.', hint=hint)


def broker_elsewhere(app: Celery) -> str:
    """Return the -A name of another app of the project that names a broker, so that the private one is not used.

    Return "" if there is no such app, or if DEBUG is off and so there is no private broker in any case.
    """
    from tasktools.brokers import private

    for other in celery_app.others(app) if settings.DEBUG else ():
        with contextlib.suppress(Exception):  # an app whose configuration cannot be read names no broker
            if private.configured(other.app.conf) and not private.is_private(other.app.conf):
                return other.name
    return ""


def require_broker(chosen: celery_app.Found) -> None:
    """Raise ConfigurationError when the ready-made app has no broker and needs one."""
    from tasktools.brokers import private

    if not chosen.app.conf.task_always_eager and chosen.app.conf.broker_url == private.UNSET:
        raise private.unset_error(broker_elsewhere(chosen.app), conf.broker_slip())


def load_tasks(chosen: celery_app.Found) -> list[ProjectError]:
    """Import the task modules of the app by Celery's rules; return an error for each that cannot be imported.

    A ready-made app continues after a broken module. `django_fixup.load_rest` imports what a worker knows in addition.
    """
    scheduled_jobs.join(chosen.app)
    if chosen.ready_made:
        # Start-up has imported the tasks of the app that it found.
        known = (each for each in current_project().problems if isinstance(each, ProjectError))
        broken = list(known if chosen is current_project().found else _import_tasks(chosen.app))
        if broken:
            return broken
    try:
        with project_code(_not_imported), django_fixup.without_checks(), loggers.stay_enabled():
            chosen.app.loader.import_default_modules()
    except ProjectError as error:
        return [error]
    return []


def _not_imported(error: BaseException) -> ProjectError:
    hint = "the same command with --traceback shows where"
    return ProjectError(f"The tasks cannot be imported: {render.ended(celery_app.described(error))}", hint=hint)


def _import_tasks(app: Celery) -> Iterator[ProjectError]:
    for name in _task_modules(app):
        try:
            with project_code(lambda error, name=name: celery_app.broken(name, error)):  # type: ignore[misc]
                importlib.import_module(name)
        except ProjectError as error:
            watching.restart_when_fixed(name)
            yield error


def _task_modules(app: Any) -> Iterator[str]:
    for each in apps.get_app_configs():
        if each.module and module_has_submodule(each.module, "tasks"):
            yield f"{each.name}.tasks"
    for value in (app.conf.imports, app.conf.include):
        yield from [value] if isinstance(value, str) else value or ()  # as Celery's loader takes them


def _log_problems(**_: Any) -> None:
    request_started.disconnect(_log_problems)
    if not reports.is_part():  # which has run the checks
        log([*current_project().problems, *scheduled_jobs.to_report()])


def report_jobs(**_: Any) -> None:
    """Log why some jobs are no tasks: a worker and a beat of plain Celery run no checks. A receiver of Celery's signals."""
    project = current_project()
    if not project.told_jobs:
        project.told_jobs = True
        log(scheduled_jobs.to_report())


def log(errors: Iterable[TasktoolsError], app: Celery | None = None) -> None:
    """Log errors, each as one line without the passwords of this project and of `app`; a warning of the checks as a warning."""
    for error in errors:
        level = logging.WARNING if isinstance(error, JobError) else logging.ERROR
        logging.getLogger("tasktools").log(level, "%s", terminal.line(hider(app)(" ".join(render.error_lines(error)))))


def hider(app: Celery | None = None) -> Callable[[str], str]:
    """Return a function that hides, in a text, the passwords of this project's settings and of those of `app`."""
    own: dict[str, Any] = {}
    if app is not None and celery_compat.CONFIGURED.of(app):
        with contextlib.suppress(Exception):  # settings that cannot be read are reported elsewhere
            own = {name: getattr(app.conf, name, None) for name in _MAY_HOLD_PASSWORDS}
    return masking.hider({**conf.with_passwords(), "celery": own})
