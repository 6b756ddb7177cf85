"""The tasks that people start with."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any

import django
from celery import Task, shared_task
from django.core.cache import cache

if django.VERSION >= (6, 0):
    from django.tasks import task
else:  # the package django-tasks has the same interface
    from django_tasks import task  # type: ignore[no-redef]

REPORTS = Path(__file__).with_name("weather.json")


class ServiceDown(Exception):
    """The service that a task calls did not answer."""


class NobodyHome(Exception):
    """Nobody has opened the door."""


@shared_task
def add(x: int, y: int) -> int:
    """Add two numbers."""
    return x + y


@shared_task
def greet(name: str, seconds: float = 2.0) -> str:
    """Ask a slow service for a greeting: too slow to be called while somebody waits for a page."""
    time.sleep(seconds)
    return f"Hello, {name}!"


@shared_task(bind=True)
def count(self: Task, steps: int = 10, pause: float = 0.2) -> int:
    """Do a long piece of work and tell on the way how far it has come."""
    for step in range(1, steps + 1):
        time.sleep(pause)
        self.update_state(state="PROGRESS", meta={"done": step, "total": steps})
    return steps


@shared_task(bind=True, autoretry_for=(ServiceDown,), max_retries=3, retry_backoff=True, retry_jitter=False)
def fragile(self: Task, failures: int = 2) -> str:
    """Call a service that is down for the first calls; each failure is tried again, a little later each time."""
    if self.request.retries < failures:
        raise ServiceDown(f"no answer at try {self.request.retries + 1}")
    return f"answered at try {self.request.retries + 1}"


@shared_task
def deliver(parcel: int) -> str:
    """Deliver a parcel. The first time nobody is at home, and the task fails; sent again, it succeeds."""
    if cache.add(f"demo-parcel-{parcel}", "tried", timeout=None):
        raise NobodyHome(f"nobody has opened the door for parcel {parcel}")
    return f"Parcel {parcel} is delivered."


@task
def fahrenheit(celsius: int) -> str:
    """Convert a temperature. A task of Django's own framework, which TASKS in the settings gives to Celery."""
    return f"{celsius} °C are {celsius * 9 / 5 + 32:g} °F."


@shared_task
def fetch_weather() -> dict[str, Any]:
    """Fetch the weather report. It reads a file of this repository: the demo calls nothing outside."""
    report: dict[str, Any] = random.choice(json.loads(REPORTS.read_text()))
    return report
