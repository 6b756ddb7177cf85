"""Fixtures: the backend in TASKS, and tasks of the framework that are gone after the test."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import celery._state
import pytest
from django.core.exceptions import ImproperlyConfigured

from tasktools.framework import library, publishers, registration
from tasktools.framework.library import Library

MODULE = "tests.unit.framework.shop"


@pytest.fixture
def lib() -> Library:
    """The framework of this Django."""
    try:
        return library.load()
    except ImproperlyConfigured:
        pytest.skip("neither a Django with the framework nor django-tasks")


@pytest.fixture
def tasks(lib: Library, settings: Any, app: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The tasks of `shop`, for our backend. Celery would keep them for all tests of this process."""
    finalizers = set(celery._state._on_app_finalizers)
    monkeypatch.setattr(celery._state._tls, "current_app", app)
    monkeypatch.setattr(registration, "_registered", set())
    settings.TASKS = {"default": {"BACKEND": "tasktools.backend.CeleryBackend", "QUEUES": []}}
    sys.modules.pop(MODULE, None)
    yield importlib.import_module(MODULE)
    publishers.close(app)
    celery._state._on_app_finalizers.intersection_update(finalizers)
    for each in celery._state._get_active_apps():
        for name in [] if not each.finalized else [name for name in each.tasks if name.startswith(f"{MODULE}.")]:
            del each.tasks[name]
    sys.modules.pop(MODULE, None)


@pytest.fixture
def eager(app: Any) -> Iterator[None]:
    app.conf.task_always_eager = True
    yield
    app.conf.task_always_eager = False


@pytest.fixture
def run(app: Any, tasks: ModuleType) -> Any:
    """Run the call of a TaskResult as a worker does, in this process."""
    from celery.app.trace import build_tracer

    def run(result: Any, worker: str = "one@here", **more: Any) -> Any:
        task = app.tasks[result.task.module_path]
        info = {"id": result.id, "hostname": worker, "is_eager": False, "delivery_info": {}, "headers": {}, **more}
        request = {"task": task.name, "args": result.args, "kwargs": result.kwargs, **info}
        tracer = build_tracer(task.name, task, app=app, hostname=worker)
        return tracer(result.id, result.args, dict(result.kwargs), request)

    return run
