"""System checks, one subject per file. docs/checks.md lists every id with its fix."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage
from django.core.checks import register as register_check

#: The tag under which `manage.py check --tag tasktools` runs them.
TAG = "tasktools"


def register() -> None:
    """Register the checks with Django. The app config calls this each time INSTALLED_APPS is set."""
    register_check(check, TAG)
    register_check(check_deploy, TAG, deploy=True)


def check(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Run all checks but those of deployment. They are imported now."""
    from tasktools.checks import run

    return run.site_checks()


def check_deploy(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Run the checks of deployment: those that not every machine of the project can pass."""
    from tasktools.checks import run

    return run.deployment_checks()
