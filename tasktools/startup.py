"""What happens once at the end of django.setup(): the app is found or made, its broker chosen, its tasks imported.

Nothing here stops a site from starting. What cannot be done is kept, said by the system checks (runserver and runworker
refuse to start), by the commands that need it, and, where no checks run, in the log at the first request.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import logging
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from celery.app.defaults import DEFAULTS
from django.apps import apps
from django.conf import settings
from django.core.signals import request_started
from django.utils.autoreload import autoreload_started
from django.utils.module_loading import module_has_submodule

from tasktools import conf, discovery, masking, terminal
from tasktools.embedded import Home
from tasktools.exceptions import ProjectError, TasktoolsError

#: The app of this process; None before start-up, and when none could be found.
found: discovery.Found | None = None

#: Celery's settings that may hold passwords, or URLs with some.
_KINDS = re.compile(r"broker|backend|url|dsn|passw|secret|token|credential|settings|kwargs|options|redis|connection")
_MAY_HOLD_PASSWORDS = tuple(name for name in DEFAULTS if _KINDS.search(name))

#: What went wrong at start-up.
problems: list[TasktoolsError] = []


def run(**_: Any) -> None:
    """Find or make the app, and get it ready for `.delay()` in this process. Called once, at the end of django.setup()."""
    global found
    request_started.disconnect(run)
    problems.clear()
    chosen = None
    try:
        chosen = discovery.find()
        choose_broker(chosen)
    except discovery.Unsettled:
        request_started.connect(run)  # a web process has imported its app by its first request
        return
    except TasktoolsError as error:
        problems.append(error)
        _refuse(error, chosen)
    else:
        discovery.make_default(chosen.app)
        if chosen.ready_made:
            problems.extend(load_tasks(chosen))
        found = chosen
    if problems:
        request_started.connect(_log_problems)


def _refuse(error: TasktoolsError, chosen: discovery.Found | None) -> None:
    """Have `.delay()` raise the error, where it would go to amqp://localhost because no broker is named."""
    from tasktools.brokers import private

    if chosen is None and not discovery.has_default():
        chosen = discovery.ready_made()
        discovery.make_default(chosen.app)
    if chosen is not None and not private.configured(chosen.app.conf):
        private.refuse(chosen.app.conf, error)


def choose_broker(chosen: discovery.Found) -> None:
    """Point an app without a broker to the private Valkey (with DEBUG), or have it refuse to guess one (the ready-made).

    An app of the project's own keeps Celery's default, amqp://localhost, when DEBUG is off: a site may rely on it.

    Raises ConfigurationError for a TASKTOOLS_* setting that cannot be meant.
    """
    app = chosen.app
    home = Home(folder=conf.data_dir(), linger=conf.linger()) if settings.DEBUG else None

    def configure(**_: Any) -> None:
        from tasktools.brokers import private

        if private.configured(app.conf):
            return
        if home:
            private.use(app.conf, home)
        elif chosen.ready_made and not app.conf.task_always_eager:
            private.refuse(app.conf, private.unset_error())

    if app.configured:
        configure()
    else:
        app.on_after_configure.connect(configure, weak=False, dispatch_uid="tasktools.choose_broker")


def require_broker(chosen: discovery.Found) -> None:
    """Raise ConfigurationError when the ready-made app has no broker and needs one."""
    from tasktools.brokers import private

    if not chosen.app.conf.task_always_eager and chosen.app.conf.broker_url == private.UNSET:
        raise private.unset_error()


def load_tasks(chosen: discovery.Found) -> list[ProjectError]:
    """Import every task module that a worker of the app would import; return an error for each that cannot be.

    A ready-made app goes on behind a broken module; an app of the project's own imports by its own rules.
    """
    if chosen.ready_made and chosen is found:
        return [problem for problem in problems if isinstance(problem, ProjectError)]  # start-up has imported them
    if chosen.ready_made:
        return list(_import_tasks(chosen.app))
    try:
        with _without_checks():
            chosen.app.loader.import_default_modules()
    except Exception as error:  # noqa: BLE001 - a task module may raise anything; all of it is told
        sentence = f"The tasks cannot be imported: {discovery.told(error)}."
        problem = ProjectError(sentence, hint="the same command with --traceback shows where")
        problem.__cause__ = error
        return [problem]
    return []


@contextlib.contextmanager
def _without_checks() -> Iterator[None]:
    """Celery's Django fix-up runs all system checks before it imports tasks, unless this variable is set."""
    before = os.environ.get("CELERY_SKIP_CHECKS")
    os.environ["CELERY_SKIP_CHECKS"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["CELERY_SKIP_CHECKS"]
        else:
            os.environ["CELERY_SKIP_CHECKS"] = before


def _import_tasks(app: Any) -> Iterator[ProjectError]:
    for name in [*_task_modules(), *(app.conf.imports or ()), *(app.conf.include or ())]:
        try:
            importlib.import_module(name)
        except Exception as error:  # noqa: BLE001 - a task module may raise anything; all of it is told
            autoreload_started.connect(_watch(name), weak=False)
            yield discovery.broken(name, error)


def _watch(module: str) -> Callable[..., None]:
    """Have runserver start again when the broken module is mended: it is not among the imported ones, which it watches."""

    def watch(sender: Any, **_: Any) -> None:
        spec = importlib.util.find_spec(module)
        if spec and spec.origin:
            sender.watch_dir(Path(spec.origin).parent, Path(spec.origin).name)

    return watch


def _task_modules() -> list[str]:
    return [
        f"{each.name}.tasks"
        for each in apps.get_app_configs()
        if each.module and module_has_submodule(each.module, "tasks")
    ]


def _log_problems(**_: Any) -> None:
    request_started.disconnect(_log_problems)
    for problem in problems:
        text = hider()(f"{problem.sentence} Hint: {problem.hint}")
        logging.getLogger("tasktools").error("%s", terminal.line(text))


def hider(app: Any = None) -> Callable[[str], str]:
    """Return a function that hides in a text the passwords in this project's settings and in those of `app`."""
    own: dict[str, Any] = {}
    if app is not None and app.configured:
        with contextlib.suppress(Exception):  # settings that cannot be read are told elsewhere
            own = {name: getattr(app.conf, name, None) for name in _MAY_HOLD_PASSWORDS}
    return masking.hider({**conf.with_passwords(), "celery": own})
