"""E001, E002: the app can be found, and what it needs can be imported."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error

from tasktools import startup
from tasktools.exceptions import ProjectError


def check(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Say again what went wrong at start-up."""
    return [
        Error(
            problem.sentence,
            hint=problem.hint,
            id="tasktools.E001" if isinstance(problem, ProjectError) else "tasktools.E002",
        )
        for problem in startup.problems
    ]
