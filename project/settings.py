"""Settings of the demo site. tasktools needs only its line in INSTALLED_APPS: with DEBUG it brings a broker."""

import os
from datetime import timedelta
from pathlib import Path

from django.utils.functional import SimpleLazyObject

from tasktools.shell import task_imports

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = os.environ.get("DEMO_SECRET_KEY", "only-for-the-demo-which-holds-no-data")
DEBUG = os.environ.get("DEMO_DEBUG", "1") == "1"
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]", "testserver"]

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.staticfiles",
    "django_extensions",
    "tasktools",
    "project.demo",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
]

ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True, "OPTIONS": {}}]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "static/"
USE_TZ = True
TIME_ZONE = "Europe/Berlin"

# Celery reads every setting that begins with CELERY_.
CELERY_TIMEZONE = TIME_ZONE
CELERY_TASK_TRACK_STARTED = True
CELERY_RESULT_EXTENDED = True

WEATHER_INTERVAL = float(os.environ.get("DEMO_WEATHER_INTERVAL", "30"))  # seconds
CELERY_BEAT_SCHEDULE = {
    "fetch-weather": {
        "task": "project.demo.tasks.fetch_weather",
        "schedule": timedelta(seconds=WEATHER_INTERVAL),
        # A report that nobody fetched in time is not needed: the next one is due.
        "options": {"expires": WEATHER_INTERVAL},
    },
}

# `make demo` uses its own data folder, so that it does not disturb a worker that runs in this folder.
TASKTOOLS_DATA_DIR = os.environ.get("DEMO_DATA_DIR")
TASKTOOLS_LINGER = os.environ.get("DEMO_LINGER", "10s")

# shell_plus imports every registered task.
SHELL_PLUS_IMPORTS = SimpleLazyObject(task_imports)
