"""System checks, one subject a file. Every id stands in docs/checks.md with its remedy."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from django.core.checks import CheckMessage
from django.core.checks import register as register_check

#: The tag under which `manage.py check --tag tasktools` runs them.
TAG = "tasktools"

#: Every id that the checks can give.
IDS = ("tasktools.E002", "tasktools.W001", "tasktools.W002", "tasktools.W010", "tasktools.E011", "tasktools.E012")


def register() -> None:
    """Register the checks with Django; called by the app config."""
    from tasktools.checks import broker, project, schedule

    for check in (project.check, broker.check, schedule.check):
        register_check(_for_a_person(check), TAG)


def _for_a_person(check: Callable[..., list[CheckMessage]]) -> Callable[..., list[CheckMessage]]:
    """Have its messages hold no password, and nothing that a terminal would obey: Django prints them as they are."""

    @functools.wraps(check)
    def cleaned(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
        from tasktools import startup, terminal

        messages = check(app_configs, **kwargs)
        hide = startup.hider(startup.found and startup.found.app)
        for message in messages:
            message.msg = terminal.line(hide(message.msg))
            message.hint = message.hint and terminal.line(hide(message.hint))
        return messages

    return cleaned
