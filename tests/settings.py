"""Settings of the suite: a site whose broker is the private Valkey, in a folder of this test process alone."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

if "TESTS_BASE_DIR" in os.environ:
    BASE_DIR = Path(os.environ["TESTS_BASE_DIR"])
else:
    BASE_DIR = Path(tempfile.mkdtemp(prefix="tt-"))
    atexit.register(shutil.rmtree, BASE_DIR, ignore_errors=True)
SECRET_KEY = "tests"
DEBUG = True
USE_TZ = True
TIME_ZONE = "Europe/Berlin"
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django_extensions",
    "tasktools",
    "tests.site",
    "project.demo",
]
ROOT_URLCONF = "project.urls"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True, "OPTIONS": {}}]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
CELERY_TIMEZONE = TIME_ZONE
CELERY_TASK_TRACK_STARTED = True
CELERY_RESULT_EXTENDED = True
CELERY_TASK_ROUTES = {"tests.site.tasks.bound": "slow"}
TASKTOOLS_LINGER = "2s"
