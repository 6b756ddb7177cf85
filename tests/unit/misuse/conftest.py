"""Fixtures: an app in memory whose calls are watched, with all warnings on or off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery, Task

from tasktools import misuse

SETTINGS = ("TASKTOOLS_WARN_MODEL_ARGUMENTS", "TASKTOOLS_WARN_TRANSACTION", "TASKTOOLS_WARN_WAITING")


@pytest.fixture
def switch(settings: Any) -> Callable[[bool], None]:
    def to(value: bool) -> None:
        for name in SETTINGS:
            setattr(settings, name, value)

    return to


@pytest.fixture
def add(switch: Callable[[bool], None]) -> Iterator[Any]:
    """A task whose arguments may be anything."""
    switch(True)
    app = Celery("watched", set_as_current=False, broker="memory://", backend="cache+memory://")
    app.conf.task_serializer = "pickle"
    app.conf.accept_content = ["pickle", "json"]

    @app.task(name="watched.add", shared=False)
    def add(*args: Any, **kwargs: Any) -> int:
        return len(args) + len(kwargs)

    assert misuse.is_watched(Task.apply_async)
    yield add
    app.close()
