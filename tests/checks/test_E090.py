from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import Error

from tasktools.checks import framework
from tasktools.framework import library

OURS = {"default": {"BACKEND": "tasktools.backend.CeleryBackend"}}


@pytest.fixture
def old_django(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Django without the framework, where nobody has installed the package."""
    monkeypatch.setattr(library, "name", lambda: "")


def test_E090__fires_without_the_framework(settings: Any, old_django: None) -> None:
    settings.TASKS = OURS
    assert framework.check() == [
        Error(
            'TASKS["default"] names CeleryBackend. This Django has no Tasks framework, which came with Django 6.0, and the '
            "package django-tasks is not installed.",
            hint="pip install django-tasks, or upgrade Django",
            id="tasktools.E090",
        )
    ]


@pytest.mark.parametrize("tasks", [None, {}, [], {"default": None}, {"default": {"BACKEND": "shop.Backend"}}])
def test_E090__is_silent_for_other_backends(settings: Any, old_django: None, tasks: Any) -> None:
    settings.TASKS = tasks
    assert framework.check() == []


def test_E090__is_silent_with_the_framework(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "name", lambda: "django.tasks")
    settings.TASKS = OURS
    assert framework.check() == []


def test_backend__cannot_be_imported_without_the_framework(old_django: None) -> None:
    library.load.cache_clear()
    with pytest.raises(Exception, match="Hint: pip install django-tasks") as raised:
        library.load()
    assert type(raised.value).__name__ == "ImproperlyConfigured"
