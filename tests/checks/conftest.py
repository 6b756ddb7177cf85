"""Fixtures of the check tests: an app of the project, gone after the test. Celery remembers every app that lives."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from celery import Celery
from django.apps import AppConfig, apps
from django.conf import settings as django_settings
from django.core.checks import run_checks

from tasktools import checks
from tasktools.discovery import syntax
from tasktools.discovery.celery_app import Found
from tasktools.discovery.sources import File
from tasktools.project import Project


@pytest.fixture(autouse=True)
def other_settings_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the settings out of the package `tests`: the checks read every file of their package, and here that is the suite."""
    monkeypatch.setattr(django_settings, "SETTINGS_MODULE", "elsewhere.settings")


@pytest.fixture
def brokerless(project: Project) -> Iterator[Any]:
    """A ready-made app with one task and no broker."""
    app = Celery("shop", set_as_current=False)

    @app.task(name="shop.reckon", shared=False)
    def reckon(x: int, y: int = 2) -> int:
        return x + y

    project.found = Found(app=app, ready_made=True)
    yield app
    app.close()


@pytest.fixture
def shop(brokerless: Any) -> Any:
    """The same app with a broker in memory."""
    brokerless.conf.broker_url = "memory://"
    return brokerless


@pytest.fixture
def mysite(project: Project, settings: Any) -> Iterator[Any]:
    """An app that reads the settings of Django with the prefix CELERY_, which name a broker."""
    for name in ("CELERY_TASK_ROUTES", "CELERY_TIMEZONE"):
        delattr(settings, name)
    settings.CELERY_BROKER_URL = "redis://localhost/0"
    app = Celery("mysite", set_as_current=False)
    app.config_from_object("django.conf:settings", namespace="CELERY")
    project.found = Found(app=app)
    yield app
    app.close()


class Market:
    """An installed app `market` on disk, and the package of the settings, `bazaar`. No file of them is run."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, app: Any) -> None:
        self.root, self._monkeypatch, self.app = root, monkeypatch, app

    def write(self, path: str, text: str, *, imported: bool = True, name: str = "") -> ModuleType:
        """Write a file, and import it in appearance: its module holds `app`, and nothing else."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))
        module: Any = ModuleType(name or path.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
        module.__file__ = str(file)
        module.app = self.app
        if imported:
            self._monkeypatch.setitem(sys.modules, module.__name__, module)
        return module

    def found(self, *, deploy: bool = False) -> list[tuple[str | None, str, str | None]]:
        """Return the id, the sentence and the hint of each message."""
        messages = run_checks(tags=[checks.TAG], include_deployment_checks=deploy)
        return [(each.id, each.msg, each.hint) for each in messages]


@pytest.fixture
def market(shop: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Market:
    """A ready-made app, with a project on disk whose files the checks read."""
    monkeypatch.chdir(tmp_path)
    made = Market(tmp_path, monkeypatch, shop)
    for name in ("market", "bazaar"):
        module = made.write(f"{name}/__init__.py", "")
        module.__path__ = [str(tmp_path / name)]
    config = AppConfig("market", sys.modules["market"])
    config.apps, config.models = apps, {}
    monkeypatch.setattr(apps, "app_configs", {**apps.app_configs, "market": config})
    settings.SETTINGS_MODULE = "bazaar.settings"
    return made


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The modules whose files are parsed during the test: a check looks at the others only."""
    names: list[str] = []
    original = syntax.parsed

    def record(file: File) -> Any:
        names.append(file.module)
        return original(file)

    monkeypatch.setattr(syntax, "parsed", record)
    return names


def checked(app: Any, entry: Any) -> list[Any]:
    """Return what the checks say of a schedule with one entry."""
    app.conf.beat_schedule = {"nightly": entry}
    return run_checks(tags=[checks.TAG])


def found(*, deploy: bool = False) -> list[tuple[str, str, str]]:
    """Return the id, the sentence and the hint of all that the checks report now."""
    messages = run_checks(tags=[checks.TAG], include_deployment_checks=deploy)
    return [(message.id, message.msg, message.hint) for message in messages]


def ids(*others: str, deploy: bool = False) -> list[str]:
    """Return the ids of all that the checks report now, but for `others`, which report the same from another side."""
    all_ids = [check_id.removeprefix("tasktools.") for check_id, _, _ in found(deploy=deploy)]
    return [each for each in all_ids if each not in others]
