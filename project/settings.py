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
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django_extensions",
    "tasktools",
    "project.demo",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
# `make demo` has a database of its own, too.
DATABASE = os.environ.get("DEMO_DATABASE", BASE_DIR / "db.sqlite3")
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATABASE}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# The worker has processes of its own: what it notes must not be in the memory of one of them.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
        "LOCATION": os.environ.get("DEMO_CACHE", BASE_DIR / "build" / "demo-cache"),
    }
}
STATIC_URL = "static/"
USE_TZ = True
TIME_ZONE = "Europe/Berlin"

# Celery reads every setting that begins with CELERY_.
CELERY_TIMEZONE = TIME_ZONE
CELERY_TASK_TRACK_STARTED = True
CELERY_RESULT_EXTENDED = True

# Celery runs the tasks of Django's Tasks framework, too, as `fahrenheit` in project/demo/tasks.py.
TASKS = {"default": {"BACKEND": "tasktools.backend.CeleryBackend"}}

WEATHER_INTERVAL = float(os.environ.get("DEMO_WEATHER_INTERVAL", "30"))  # seconds
CELERY_BEAT_SCHEDULE = {
    "fetch-weather": {
        "task": "project.demo.tasks.fetch_weather",
        "schedule": timedelta(seconds=WEATHER_INTERVAL),
        # A report that nobody fetched in time is not needed: the next one is due.
        "options": {"expires": WEATHER_INTERVAL},
    },
}

# The jobs of django-extensions, as project/demo/jobs/daily/warmest_place.py. `make demo` does not wait for midnight.
TASKTOOLS_JOBS = (
    {"project.demo.jobs.daily.warmest_place": float(os.environ["DEMO_JOB_INTERVAL"])}
    if "DEMO_JOB_INTERVAL" in os.environ
    else True
)

# `make demo` uses its own data folder, so that it does not disturb a worker that runs in this folder.
TASKTOOLS_DATA_DIR = os.environ.get("DEMO_DATA_DIR")
TASKTOOLS_LINGER = os.environ.get("DEMO_LINGER", "10s")

# shell_plus imports every registered task.
SHELL_PLUS_IMPORTS = SimpleLazyObject(task_imports)
