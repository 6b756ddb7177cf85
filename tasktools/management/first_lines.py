"""Warnings of the commands before they begin: the settings work, and may not be what is meant."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from tasktools import conf, startup
from tasktools.arguments.names import shown
from tasktools.brokers import broker_of, private
from tasktools.brokers.portable import PortableBroker
from tasktools.brokers.result_backend import backend_of
from tasktools.brokers.timeouts import TimedOut, within_thread
from tasktools.checks.broker import unset
from tasktools.checks.eager import EAGER
from tasktools.exceptions import ConfigurationError
from tasktools.overview.tables import LIMIT, require_tables
from tasktools.project import current_project
from tasktools.supervisor import reports

if TYPE_CHECKING:
    from celery import Celery

    from tasktools.discovery.celery_app import Found
    from tasktools.management.base import TasktoolsCommand

_EAGER = {
    "worker": EAGER,
    "beat": "beat runs each task itself, and no worker gets it",
    "site": ".delay() and beat run each task in their own process, and no worker gets it",
}

_SHARE_BROKER = (
    "set CELERY_BROKER_URL to a broker that processes share, such as redis://localhost:6379/0; "
    "with DEBUG on you may leave it unset"
)


def require_broker(command: TasktoolsCommand, found: Found) -> None:
    """Warn of a broker that only this process has, if the command sends and then ends.

    Code that uses call_command, such as a test, may have a worker in its own process. It gets no warning.

    Raises ConfigurationError when the ready-made app has no broker and needs one.
    """
    startup.require_broker(found)
    if command.is_own_process and not found.app.conf.task_always_eager:
        command.warn(*_lonely_broker(found.app))


def require_servers(app: Celery) -> None:
    """Raise an error if Celery's worker would end with a traceback, of a broker or of a result backend: see `backend_of`."""
    PortableBroker.connection(app, reads=True)
    backend_of(app)


def doubts(app: Celery, command: str) -> list[ConfigurationError]:
    """Return the warnings to print before `command`, "worker", "beat" or the whole "site", starts."""
    found = []
    if app.conf.task_always_eager:
        sentence = f"CELERY_TASK_ALWAYS_EAGER is set: {_EAGER[command]}."
        found.append(ConfigurationError(sentence, hint="unset it outside tests"))
    else:
        found += _lonely_broker(app)
    if not private.configured(app.conf):
        found.append(unset(app))
    return found


def _lonely_broker(app: Celery) -> list[ConfigurationError]:
    try:
        broker = broker_of(app)
        if not broker.is_in_process:
            return []
    except ConfigurationError:  # whoever needs a broker that cannot be used reports it
        return []
    sentence = f"{broker.name} exists only inside each process: a worker gets nothing that another process sends."
    return [ConfigurationError(sentence, hint=_SHARE_BROKER)]


def doubts_of_record() -> list[ConfigurationError]:
    """Return the warnings of a worker that cannot record the tasks that fail, because the site is not migrated."""
    from tasktools.failures import access
    from tasktools.failures.storage import is_configured

    if conf.chosen("TASKTOOLS_FAILED", True):
        # Nobody knows whether the table is there: the worker reports the database when it needs it.
        with contextlib.suppress(Exception, TimedOut):
            if is_configured() and within_thread(LIMIT, access.is_missing):
                current_project().told_missing = True  # the writer of the worker need not say it again
                sentence = "Failed tasks are not recorded: their table is not in the database."
                return [ConfigurationError(sentence, hint=access.migrate_hint())]
    return []


def doubts_of_name(app: Celery, typed: str | None) -> list[ConfigurationError]:
    """Return the warning of a worker whose node name, `typed` or Celery's own, another one has that runs."""
    from tasktools.control.names import node_name
    from tasktools.control.namesakes import CONSEQUENCE, already_runs

    name = node_name(typed)
    if app.conf.task_always_eager or not already_runs(app, name):
        return []
    other = "worker3@%h" if name.startswith("worker2@") else "worker2@%h"
    hint = f'manage.py rundev --worker "-n {other}"' if reports.is_part() else f"manage.py runworker -n {other}"
    sentence = f'A worker with the name "{shown(name)}" already runs: {CONSEQUENCE}.'
    return [ConfigurationError(sentence, hint=f"give this one another name: {hint}")]


def doubts_of_backend(app: Celery) -> list[ConfigurationError]:
    """Return the warnings of a worker whose results nobody can read."""
    from tasktools.results.backend import SET_BACKEND, lost_results  # enqueue needs none of it

    try:
        require_tables("The result backend", type(app.backend))
        local = lost_results(app.backend)
    except ConfigurationError as error:
        return [error]
    except Exception:  # noqa: BLE001 - whoever needs a backend that cannot be used reports it
        return []
    return [ConfigurationError(local, hint=SET_BACKEND)] if local else []
