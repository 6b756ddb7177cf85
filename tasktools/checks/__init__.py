"""System checks, one subject per file. docs/checks.md lists every id with its fix."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage
from django.core.checks import register as register_check

from tasktools.checks import broker, commands, eager, project, queues, redbeat, schedule, serialization, tasks, timezone
from tasktools.project import current_project

#: The tag under which `manage.py check --tag tasktools` runs them.
TAG = "tasktools"

#: Every id that the checks can give.
IDS = (
    "tasktools.E002",
    "tasktools.E003",
    "tasktools.W001",
    "tasktools.W002",
    "tasktools.W003",
    "tasktools.W004",
    "tasktools.W005",
    "tasktools.W006",
    "tasktools.W010",
    "tasktools.E011",
    "tasktools.W011",
    "tasktools.E012",
    "tasktools.E013",
    "tasktools.W013",
    "tasktools.W014",
    "tasktools.W020",
    "tasktools.W021",
    "tasktools.E030",
    "tasktools.W030",
)

#: In this order: `schedule` may load the tasks that `tasks` looks at.
_CHECKS = (
    project.check,
    project.check_tasks,
    commands.check,
    broker.check,
    eager.check,
    timezone.check,
    schedule.check,
    redbeat.check,
    tasks.check,
    serialization.check,
    queues.check,
)


def register() -> None:
    """Register the checks with Django. The app config calls this each time INSTALLED_APPS is set."""
    register_check(check, TAG)


def check(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Run all checks. An error in code of the project becomes a message, which is given only once."""
    messages: list[CheckMessage] = []
    for each in _CHECKS:
        messages += (message for message in project.guarded(each) if message not in messages)
    return _for_a_person(messages)


def _for_a_person(messages: list[CheckMessage]) -> list[CheckMessage]:
    """Remove passwords and escape terminal control characters in the messages: Django prints them unchanged."""
    from tasktools import startup, terminal

    if messages:
        found = current_project().found
        hide = startup.hider(None if found is None else found.app)
        for message in messages:
            message.msg = terminal.line(hide(message.msg))
            message.hint = message.hint and terminal.line(hide(message.hint))
    return messages
