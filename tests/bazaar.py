"""An installed app on disk, with jobs of django-extensions, for the tests of one process."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from importlib import import_module, invalidate_caches
from pathlib import Path
from typing import Any

import pytest
from django.apps import AppConfig, apps
from django.core.management import get_commands

from tasktools.project import Jobs, Project
from tasktools.scheduled_jobs import join


def job(kind: str, body: str = "pass") -> str:
    """Return the module of a job."""
    lines = textwrap.indent(textwrap.dedent(body).strip(), " " * 8)
    return (
        f"from django_extensions.management.jobs import {kind}\nclass Job({kind}):\n    def execute(self):\n{lines}\n"
    )


class Bazaar:
    """The installed apps are tasktools and `bazaar`, which is on disk, and whose modules are imported from there."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, project: Project) -> None:
        self.root, self.project, self._monkeypatch = root, project, monkeypatch
        self.write("bazaar/__init__.py")
        self.install("bazaar")

    def write(self, path: str, text: str = "") -> None:
        """Write a file; its folders become packages."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        for folder in file.relative_to(self.root).parents[:-1]:
            (self.root / folder / "__init__.py").touch()
        file.write_text(textwrap.dedent(text))
        invalidate_caches()

    def install(self, *names: str) -> None:
        configs = {"tasktools": apps.get_app_config("tasktools")}
        for name in names:
            configs[name] = AppConfig(name, import_module(name))
            configs[name].apps, configs[name].models = apps, {}
        self._monkeypatch.setattr(apps, "app_configs", configs)

    def look(self, app: Any) -> Jobs:
        """Look for the jobs anew, as start-up does."""
        self.project.jobs = None
        join(app)
        jobs: Jobs | None = self.project.jobs
        assert jobs is not None
        return jobs

    def join(self, app: Any) -> Jobs:
        """Look for the jobs anew, and have Celery make the tasks of `app`."""
        jobs = self.look(app)
        app.finalize()
        return jobs

    def told(self, app: Any) -> list[tuple[str, str]]:
        """Return the sentence and the hint of each problem of the jobs."""
        return [(each.sentence, each.hint) for each in self.join(app).problems]


@pytest.fixture
def bazaar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, project: Project, settings: Any) -> Iterator[Bazaar]:
    """An installed app on disk; TASKTOOLS_JOBS is on."""
    get_commands()  # Django keeps the answer: it must be that of all apps
    monkeypatch.syspath_prepend(tmp_path)
    settings.TASKTOOLS_JOBS = True
    yield Bazaar(tmp_path, monkeypatch, project)
    for name in [name for name in sys.modules if name.partition(".")[0] == "bazaar"]:
        del sys.modules[name]
