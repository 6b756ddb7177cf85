"""The ready-made Celery app, for projects that have none. `celery -A tasktools worker` works too.

It is named after the project, reads the CELERY_* settings, and imports the tasks module of every installed app.
"""

from __future__ import annotations

import os

import django
from celery import Celery
from django.apps import apps

from tasktools.exceptions import ConfigurationError

_settings = os.environ.get("DJANGO_SETTINGS_MODULE")
if not _settings:
    raise ConfigurationError(
        "The Celery app of tasktools needs the settings of a Django project.",
        hint="set DJANGO_SETTINGS_MODULE, or run it as manage.py runworker",
    )

app = Celery(_settings.partition(".")[0])
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

if not (apps.ready or apps.loading):
    # `celery -A tasktools call ...` imports this before anything of Django, and calls no django.setup() of its own.
    django.setup()
