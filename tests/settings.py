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
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django_extensions",
    "tasktools",
    "tests.site",
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
STATIC_URL = "static/"
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
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
CELERY_TIMEZONE = TIME_ZONE
CELERY_TASK_TRACK_STARTED = True
CELERY_RESULT_EXTENDED = True
CELERY_TASK_ROUTES = {"tests.site.tasks.bound": "slow"}
TASKTOOLS_LINGER = "20s"
