"""What every worker of the site does, also one of plain Celery (`celery -A mysite worker`).

It records the tasks that fail, takes nothing from what is paused, adds to the numbers of the last hour, leaves out questions of
the admin that have expired, and knows the tasks of Django's Tasks framework. Start-up only connects receivers of the signals
that Celery sends when a worker starts. What they need is imported then.
"""

from __future__ import annotations

import atexit
import logging
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from celery import signals
from django.apps import apps
from django.utils.module_loading import import_string

from tasktools import conf, terminal
from tasktools.arguments.durations import parse_duration
from tasktools.exceptions import ArgumentError, ConfigurationError
from tasktools.framework import library
from tasktools.project import current_project
from tasktools.render import ended, text_of

#: What is taken where a setting is wrong, or not set.
LIMIT = 10_000
AGE = timedelta(days=30)


def start() -> None:
    """Have the workers of this process, if there will be any, do this."""
    signals.celeryd_init.connect(heed_pauses, weak=False, dispatch_uid="tasktools.heed_pauses")
    signals.celeryd_init.connect(drop_stale_questions, weak=False, dispatch_uid="tasktools.drop_stale_questions")
    signals.celeryd_init.connect(know_framework, weak=False, dispatch_uid="tasktools.know_framework")
    signals.worker_init.connect(record_failures, weak=False, dispatch_uid="tasktools.every_worker")
    signals.worker_init.connect(count_by_minute, weak=False, dispatch_uid="tasktools.count_by_minute")


def heed_pauses(instance: Any, **_: Any) -> None:
    """Give the worker that starts its step for pauses. A receiver of celeryd_init."""
    from tasktools.worker import pausing

    pausing.install(instance.app)


def drop_stale_questions(instance: Any, **_: Any) -> None:
    """Have the worker that starts leave out what the admin asked long ago. A receiver of celeryd_init."""
    from tasktools.worker import stale_questions

    stale_questions.install(instance.app)


def know_framework(**_: Any) -> None:
    """Register the tasks of Django's Tasks framework that may be sent to it. A receiver of celeryd_init: modules are imported.

    A task registers itself if our backend is its own. Another one may be sent by `using(backend=...)`. Without the framework
    there are none: the check E090 says what is missing.
    """
    tasks = conf.written("TASKS").get("TASKS") if library.name() else None
    if len(library.backends(tasks)) > 1 and (library.ours(tasks) or library.OURS in sys.modules):
        from tasktools.framework import registration

        registration.register_all(library.load(), [f"{each.name}.tasks" for each in apps.get_app_configs()])


def record_failures(sender: Any, **_: Any) -> None:
    """Begin the record in the worker that starts. Nothing here stops the worker. A receiver of worker_init."""
    if not conf.chosen("TASKTOOLS_FAILED", True) or type(sender).__module__.startswith("celery.contrib.testing"):
        return
    try:
        _record(sender.app)
    except Exception:
        logging.getLogger("tasktools").exception("Failed tasks are not recorded.")


def count_by_minute(sender: Any, **_: Any) -> None:
    """Have the worker that starts add to the numbers of the last hour, where the broker has a place for them."""
    if not conf.chosen("TASKTOOLS_HOUR", True) or type(sender).__module__.startswith("celery.contrib.testing"):
        return
    try:
        if sender.app.connection_for_read().transport.driver_type != "redis":
            return
        from tasktools.worker import minutes

        writer = minutes.install(sender.app)
    except Exception:
        logging.getLogger("tasktools").exception("The tasks of this worker are not counted for the admin.")
        return
    signals.worker_shutdown.connect(lambda **_: writer.finish(), weak=False, dispatch_uid="tasktools.minutes.finish")


def _record(app: Any) -> None:
    from tasktools.failures.row import Form
    from tasktools.failures.storage import Table, is_configured
    from tasktools.failures.watched_hook import WatchedHook
    from tasktools.failures.writer import Writer
    from tasktools.worker import failures

    if not is_configured():
        return
    masking = _or(hook, _keep_nothing)
    watched = None if masking is None else WatchedHook(masking, lambda: writer.waiting())
    form = Form(accept=app.conf.accept_content, hook=watched)
    table = Table(form=form, limit=_or(limit, LIMIT), age=_or(age, AGE))
    writer = Writer(table.write, close=table.close, told_missing=current_project().told_missing)
    recorder = failures.install(app, writer)

    def end() -> None:
        recorder.cut_off()
        writer.finish()

    atexit.register(end)
    signals.worker_shutdown.connect(lambda **_: writer.finish(), weak=False, dispatch_uid="tasktools.failures.finish")


def _keep_nothing(*_: Any) -> None:
    """Mask everything: a hook that cannot be found must not show what it would have hidden."""


def _or(read: Callable[[], Any], default: Any) -> Any:
    """Return a setting; where it is wrong, the default, and tell it: a worker of plain Celery runs no checks."""
    try:
        return read()
    except ConfigurationError as error:
        logging.getLogger("tasktools").error("%s", terminal.line(f"{error.sentence} Hint: {error.hint}"))
        return default


def limit() -> int | None:
    """Return how many failed tasks are kept; None for no limit. Raises ConfigurationError."""
    chosen = conf.chosen("TASKTOOLS_FAILED_LIMIT", LIMIT)
    if chosen is None or (isinstance(chosen, int) and not isinstance(chosen, bool) and chosen > 0):
        return chosen
    raise ConfigurationError(
        f'TASKTOOLS_FAILED_LIMIT is "{chosen!r}", which is no number of rows.', hint=f"set it to {LIMIT}, or to None"
    )


def age() -> timedelta | None:
    """Return how long a failed task is kept; None for no limit. Raises ConfigurationError."""
    chosen = conf.chosen("TASKTOOLS_FAILED_AGE", AGE)
    if chosen is None:
        return None
    try:
        found = parse_duration(chosen if isinstance(chosen, timedelta) else str(chosen))
    except ArgumentError as error:
        raise ConfigurationError(f"TASKTOOLS_FAILED_AGE: {error.sentence}", hint=error.hint) from None
    if timedelta(0) < found < timedelta(days=365_000):
        return found
    raise ConfigurationError(
        f'TASKTOOLS_FAILED_AGE is "{chosen}", which keeps nothing or for ever.', hint='set it to "30d", or to None'
    )


def hook() -> Any:
    """Return the function that masks arguments; None if there is none. Raises ConfigurationError."""
    chosen = conf.chosen("TASKTOOLS_FAILED_ARGUMENTS", None)
    if chosen is None or callable(chosen):
        return chosen
    found = None
    if isinstance(chosen, str):
        try:
            found = import_string(chosen)
        except (Exception, SystemExit) as error:
            raise ConfigurationError(
                f'TASKTOOLS_FAILED_ARGUMENTS is "{chosen}", which cannot be imported: {ended(text_of(error))}',
                hint='name a function, as in "shop.privacy.masked"',
            ) from error
    if callable(found):
        return found
    raise ConfigurationError(
        f'TASKTOOLS_FAILED_ARGUMENTS is "{chosen!r}", which is no function.',
        hint='name a function, as in "shop.privacy.masked"',
    )
