"""The project's app, as the pages of the admin use it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasktools import startup
from tasktools.discovery import celery_app
from tasktools.project import current_project

if TYPE_CHECKING:
    from tasktools.discovery.celery_app import Found


def found() -> Found:
    """Return the project's app with a broker chosen. Raises TasktoolsError if there is none."""
    project = current_project()
    if project.found is None:
        startup.run()  # again: the error that it keeps is raised below
    chosen = project.found
    if chosen is None:
        chosen = celery_app.find()
        startup.choose_broker(chosen)
    startup.read_settings(chosen)
    return chosen
