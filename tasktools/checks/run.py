"""Runs the checks. It imports all of them, which takes a while: most commands of the site run none."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django.core.checks import CheckMessage

from tasktools import startup, terminal
from tasktools.checks import (
    broker,
    code,
    commands,
    eager,
    failed,
    framework,
    jobs,
    malformed,
    models,
    old_names,
    overlap,
    project,
    queues,
    redbeat,
    redelivery,
    registration,
    results,
    schedule,
    security,
    serialization,
    shared_redis,
    tasks,
    timezone,
    transport_options,
    unknown_names,
    unread,
    urls,
    values,
)
from tasktools.discovery.celery_app import Found
from tasktools.project import current_project

_Check = Callable[[], list[CheckMessage]]

#: The checks of the site: they take nothing.
_SITE_MODULES: tuple[Any, ...] = (project, commands, failed, framework)

#: Those of the Celery app, which they take with its settings read. `schedule` may load the tasks that `tasks` looks at.
_APP_MODULES: tuple[Any, ...] = (
    old_names,
    unknown_names,
    values,
    registration,
    jobs,
    broker,
    unread,
    urls,
    malformed,
    shared_redis,
    transport_options,
    security,
    eager,
    timezone,
    schedule,
    overlap,
    redbeat,
    code,
    tasks,
    models,
    redelivery,
    results,
    serialization,
    queues,
)

#: Every id that the checks can give.
IDS: tuple[str, ...] = tuple(sorted({each for module in _SITE_MODULES + _APP_MODULES for each in module.IDS}))


def site_checks() -> list[CheckMessage]:
    """Run `check` of all modules. An error in code of the project becomes a message, which is given only once."""
    return _run([module.check for module in _SITE_MODULES], _named("check"))


def deployment_checks() -> list[CheckMessage]:
    """Run `check_deploy` of the modules that have it: checks that not every machine of the project can pass."""
    return _run([], _named("check_deploy"))


def _named(name: str) -> list[Callable[[Found], list[CheckMessage]]]:
    return [getattr(module, name) for module in _APP_MODULES if hasattr(module, name)]


def _run(of_site: list[_Check], of_app: list[Callable[[Found], list[CheckMessage]]]) -> list[CheckMessage]:
    found = current_project().found
    messages: list[CheckMessage] = []
    for each in of_site:
        messages += project.guarded(each)
    if found is not None:
        unreadable = project.guarded(partial(_read_settings, found))
        messages += unreadable if of_site else []  # with --deploy, the other run reports it
        for each in [] if unreadable else [partial(check, found) for check in of_app]:
            messages += (message for message in project.guarded(each) if message not in messages)
    return _for_a_person(messages)


def _read_settings(found: Found) -> list[CheckMessage]:
    startup.read_settings(found)
    return []


def _for_a_person(messages: list[CheckMessage]) -> list[CheckMessage]:
    """Remove passwords and escape terminal control characters in the messages: Django prints them unchanged."""
    if messages:
        found = current_project().found
        hide = startup.hider(None if found is None else found.app)
        for message in messages:
            message.msg = terminal.line(hide(message.msg))
            message.hint = message.hint and terminal.line(hide(message.hint))
    return messages
