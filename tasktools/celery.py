"""The ready-made Celery app, for projects that have none. `celery -A tasktools worker` works too.

It is named after the project, reads the CELERY_* settings, and imports the tasks module of every installed app.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import django
from celery import Celery
from django.apps import apps

from tasktools.exceptions import ConfigurationError

_django_runs = apps.ready or apps.loading


def _name() -> str:
    """Return the name of the project: its settings package, or the script that called settings.configure().

    The tasks of that script are registered under this name (celery.utils.imports.gen_task_name).
    """
    module = os.environ.get("DJANGO_SETTINGS_MODULE")
    if module:
        return module.partition(".")[0]
    if not _django_runs:
        raise ConfigurationError(
            "The Celery app of tasktools needs the settings of a Django project.",
            hint="set DJANGO_SETTINGS_MODULE, or run it as manage.py runworker",
        )
    return Path(getattr(sys.modules["__main__"], "__file__", None) or "django").stem


app = Celery(_name())
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

if not _django_runs:
    # `celery -A tasktools call ...` imports this module before anything of Django, and does not call django.setup() itself.
    django.setup()
