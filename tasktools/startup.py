"""What happens once at the end of django.setup(): the app is found or made, its broker chosen, its tasks imported.

Nothing here stops a site from starting. What cannot be done is kept, said by the system checks (runserver and runworker
refuse to start), by the commands that need it, and, where no checks run, in the log at the first request.
"""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.signals import request_started
from django.utils.module_loading import module_has_submodule

from tasktools import conf, discovery
from tasktools.embedded import Home
from tasktools.exceptions import ProjectError, TasktoolsError

#: The app of this process; None before start-up, and when none could be found.
found: discovery.Found | None = None

#: What went wrong at start-up.
problems: list[TasktoolsError] = []


def run() -> None:
    """Find or make the app, and get it ready for `.delay()` in this process. Called once, by the app config."""
    global found
    problems.clear()
    try:
        found = discovery.find()
        choose_broker(found)
    except TasktoolsError as error:
        problems.append(error)
    if found:
        discovery.make_default(found.app)
        if found.ready_made:
            problems.extend(load_tasks(found))
    if problems:
        request_started.connect(_log_problems, dispatch_uid="tasktools.startup")


def choose_broker(chosen: discovery.Found) -> None:
    """Point an app without a broker to the private Valkey (with DEBUG), or have it refuse to guess one (the ready-made).

    An app of the project's own keeps Celery's default, amqp://localhost, when DEBUG is off: a site may rely on it.
    """
    app = chosen.app
    home = Home(folder=conf.data_dir(), linger=conf.linger()) if settings.DEBUG else None

    def configure(**_: Any) -> None:
        from tasktools.brokers import private

        if private.configured(app.conf):
            return
        if home:
            private.use(app.conf, home)
        elif chosen.ready_made:
            private.refuse(app.conf)

    if app.configured:
        configure()
    else:
        app.on_after_configure.connect(configure, weak=False, dispatch_uid="tasktools.choose_broker")


def require_broker(chosen: discovery.Found) -> None:
    """Raise ConfigurationError when no broker is configured, there is no private one, and one is needed."""
    from tasktools.brokers import private

    if not (chosen.app.conf.task_always_eager or private.configured(chosen.app.conf)):
        raise private.unset_error()


def load_tasks(chosen: discovery.Found) -> list[ProjectError]:
    """Import every task module that a worker of the app would import; return an error for each that cannot be.

    A ready-made app goes on behind a broken module; an app of the project's own imports by its own rules.
    """
    if chosen.ready_made:
        return list(_import_tasks(chosen.app))
    os.environ.setdefault(
        "CELERY_SKIP_CHECKS", "1"
    )  # Celery's Django fix-up would run all system checks at this import
    try:
        chosen.app.loader.import_default_modules()
    except Exception as error:  # noqa: BLE001 - a task module may raise anything; all of it is told
        return [ProjectError(f"The tasks cannot be imported: {discovery.told(error)}.", hint="manage.py check")]
    return []


def _import_tasks(app: Any) -> Iterator[ProjectError]:
    for name in [*_task_modules(), *(app.conf.imports or ()), *(app.conf.include or ())]:
        try:
            importlib.import_module(name)
        except Exception as error:  # noqa: BLE001 - a task module may raise anything; all of it is told
            yield discovery.broken(name, error)


def _task_modules() -> list[str]:
    return [
        f"{each.name}.tasks"
        for each in apps.get_app_configs()
        if each.module and module_has_submodule(each.module, "tasks")
    ]


def _log_problems(**_: Any) -> None:
    request_started.disconnect(dispatch_uid="tasktools.startup")
    for problem in problems:
        logging.getLogger("tasktools").error("%s Hint: %s", problem.sentence, problem.hint)
