"""The backend of Django's Tasks framework that sends by Celery.

    TASKS = {"default": {"BACKEND": "tasktools.backend.CeleryBackend"}}

The framework is `django.tasks` from Django 6.0 on, or the package django-tasks. Nothing imports this module but a site that
uses it.
"""

from __future__ import annotations

from typing import Any

from tasktools.framework import library
from tasktools.framework.celery_backend import BackendMixin

LIBRARY = library.load()
_Base: Any = LIBRARY.Backend


class CeleryBackend(BackendMixin, _Base):
    """Enqueues tasks by Celery, for `manage.py runworker` and any other worker of the app."""

    library = LIBRARY
