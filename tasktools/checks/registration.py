"""W002: Celery can create the tasks that start-up has imported."""

from __future__ import annotations

from django.core.checks import CheckMessage

from tasktools.discovery.celery_app import Found
from tasktools.registry import registry

#: The ids that this module can give.
IDS = ("tasktools.W002",)


def check(found: Found) -> list[CheckMessage]:
    """Make Celery create the tasks. Those of the project's own app are imported later."""
    if found.ready_made:
        registry.finalize(found.app)
    return []
