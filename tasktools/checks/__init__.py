"""System checks, one subject a file. Every id stands in docs/checks.md with its remedy."""

from __future__ import annotations

from django.core.checks import register as register_check

#: The tag under which `manage.py check --tag tasktools` runs them.
TAG = "tasktools"

#: Every id that the checks can give.
IDS = (
    "tasktools.E002",
    "tasktools.W001",
    "tasktools.W002",
    "tasktools.W003",
    "tasktools.W010",
    "tasktools.E011",
    "tasktools.E012",
)


def register() -> None:
    """Register the checks with Django; called by the app config."""
    from tasktools.checks import broker, project, schedule

    for check in (project.check, broker.check, schedule.check):
        register_check(check, TAG)
