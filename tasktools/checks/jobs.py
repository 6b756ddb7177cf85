"""W017: each job of django-extensions is a task."""

from __future__ import annotations

from django.core.checks import CheckMessage

from tasktools import startup
from tasktools.checks import project
from tasktools.discovery.celery_app import Found
from tasktools.project import current_project
from tasktools.registry import registry

#: The ids that this module can give.
IDS = ("tasktools.E002", "tasktools.W017")


def check(found: Found) -> list[CheckMessage]:
    """Report the jobs that are no tasks. The checks that follow see the entries of the others."""
    jobs = current_project().jobs
    if jobs is None:
        return []
    errors = startup.load_tasks(found) if jobs.found else []
    if jobs.found and not errors:
        registry.finalize(found.app)
    return project.messages([*errors, *jobs.problems])
