from __future__ import annotations

import sys
import sysconfig
from types import ModuleType
from typing import Any

import pytest
from celery import Celery

from tasktools.checks import imports
from tasktools.discovery import django_fixup
from tasktools.discovery.celery_app import Found
from tasktools.exceptions import ProjectError
from tasktools.project import Project
from tests.checks.conftest import Market

JOB = "from celery import shared_task\n\n@shared_task\ndef rebuild(): ...\n"
HINT = 'CELERY_IMPORTS = ["market.jobs"] in the settings, or import it in market.tasks'


def test_W052__fires_for_a_module_that_nothing_imports(market: Market) -> None:
    market.write("market/jobs.py", JOB, imported=False)
    sentence = 'market/jobs.py defines the task "market.jobs.rebuild", and nothing imports that file.'
    assert market.found() == [("tasktools.W052", sentence, HINT)]


@pytest.mark.parametrize("mark", ["models.py", "apps.py"])
def test_W052__is_silent_for_an_optional_app_below(market: Market, mark: str) -> None:
    """Imported without its app, its models would belong to another one."""
    market.write("market/billing/__init__.py", "", imported=False)
    market.write("market/billing/tasks.py", JOB, imported=False)
    assert [each[0] for each in market.found()] == ["tasktools.W052"]
    market.write(f"market/billing/{mark}", "", imported=False)
    assert market.found() == []


def test_W052__is_silent_for_examples(market: Market) -> None:
    market.write("market/examples/jobs.py", JOB, imported=False)
    assert market.found() == []


@pytest.mark.parametrize(
    ("count", "named"),
    [
        (2, '"market.jobs.t0", "t.1"'),
        (3, '"market.jobs.t0", "t.1", "t.2"'),
        (4, '"market.jobs.t0", "t.1", "t.2" and 1 more'),
    ],
)
def test_W052__names_some_of_the_tasks(market: Market, count: int, named: str) -> None:
    given = "".join(f'@shared_task(name="t.{each}")\ndef t{each}(): ...\n' for each in range(1, count))
    market.write(
        "market/jobs.py", f"from celery import shared_task\n@shared_task\ndef t0(): ...\n{given}", imported=False
    )
    sentence = f"market/jobs.py defines the tasks {named}, and nothing imports that file."
    assert market.found() == [("tasktools.W052", sentence, HINT)]


def test_W052__fires_for_a_task_of_the_app(market: Market) -> None:
    market.write("bazaar/celery.py", "")
    text = "from bazaar.celery import app\n@app.task\ndef rebuild(): ...\n"
    market.write("market/jobs.py", text, imported=False)
    assert [each[0] for each in market.found()] == ["tasktools.W052"]


def test_W052__is_silent_for_the_task_of_another_app(market: Market) -> None:
    other: Any = market.write("bazaar/other.py", "")
    text = "from bazaar.other import app\n@app.task\ndef rebuild(): ...\n"
    market.write("market/jobs.py", text, imported=False)
    with Celery("other", broker="memory://", set_as_current=False) as other.app:
        assert market.found() == []


def test_W052__is_silent_for_the_task_of_an_app_that_is_no_part_of_the_project(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The app of a library has workers of its own."""
    library: Any = ModuleType("library")
    library.__file__ = f"{sysconfig.get_path('purelib')}/library.py"
    monkeypatch.setitem(sys.modules, "library", library)
    text = "from library import app\n@app.task\ndef rebuild(): ...\n"
    market.write("market/jobs.py", text, imported=False)
    library.app = market.app
    assert [each[0] for each in market.found()] == ["tasktools.W052"]
    with Celery("library", broker="memory://", set_as_current=False) as library.app:
        assert market.found() == []


@pytest.mark.parametrize(
    "text",
    [
        "from huey import shared_task\n\n@shared_task\ndef rebuild(): ...\n",
        "from market.huey import app\n\n@app.task\ndef rebuild(): ...\n",
        "@shared_task\ndef rebuild(): ...\n",
        "from celery import shared_task\n\ndef rebuild(): ...\n",
        "from celery import *\n@shared_task\ndef rebuild(): ...\n",
        JOB + "shared_task = print\n",
        JOB + "def other(shared_task): ...\n",
        JOB + "def (:\n",
    ],
)
def test_W052__is_silent_for_what_may_be_no_task_of_celery(market: Market, text: str) -> None:
    market.write("market/jobs.py", text, imported=False)
    assert market.found() == []


@pytest.mark.parametrize("name", ["tests.py", "test_jobs.py", "tests/jobs.py", "migrations/jobs.py", "sub/__init__.py"])
def test_W052__is_silent_for_files_of_another_kind(market: Market, name: str) -> None:
    market.write(f"market/{name}", JOB, imported=False)
    assert market.found() == []


def test_W052__is_silent_inside_a_virtual_environment(market: Market) -> None:
    market.write("market/venv/jobs.py", JOB, imported=False)
    assert [each[0] for each in market.found()] == ["tasktools.W052"]
    (market.root / "market/venv/pyvenv.cfg").touch()
    assert market.found() == []


@pytest.mark.parametrize("name", ["", "jobs"])
def test_W052__is_silent_for_a_module_that_is_imported(
    market: Market, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Under another name, too: the folder of the apps may be on the path. Nothing more is imported then."""
    market.write("market/jobs.py", JOB, name=name)
    called = loading(monkeypatch, "other")
    assert market.found() == []
    assert called == []


def test_W052__a_file_without_tasks_is_not_parsed(market: Market, parsed: list[str]) -> None:
    market.write("market/jobs.py", "def send():\n    add.delay(1)\n", imported=False)
    assert market.found() == []
    assert parsed == []


def test_W052__is_silent_where_the_project_has_several_apps(market: Market) -> None:
    market.write("market/jobs.py", JOB, imported=False)
    other: Any = market.write("bazaar/other.py", "")
    with Celery("other", broker="memory://", set_as_current=False) as other.app:
        assert market.found() == []


def loading(monkeypatch: pytest.MonkeyPatch, module: str, *, tasks: Any = (), urlconf: Any = ()) -> list[str]:
    """Have what a worker imports import `module`; return what was asked for."""
    called: list[str] = []

    def load(step: str, errors: Any) -> Any:
        called.append(step)
        monkeypatch.setitem(sys.modules, module, ModuleType(module))
        return list(errors)

    monkeypatch.setattr(imports.startup, "load_tasks", lambda found: load("tasks", tasks))
    monkeypatch.setattr(imports.django_fixup, "load_urlconf", lambda found: load("urlconf", urlconf))
    return called


def test_W052__is_silent_for_what_a_worker_imports(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    market.write("market/jobs.py", JOB, imported=False)
    called = loading(monkeypatch, "market.jobs")
    assert market.found() == []
    assert called == ["tasks"]


def test_W052__asks_for_the_urlconf_too(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    market.write("market/jobs.py", JOB, imported=False)
    called = loading(monkeypatch, "other")
    assert [each[0] for each in market.found()] == ["tasktools.W052"]
    assert called == ["tasks", "urlconf"]


@pytest.mark.parametrize("step", ["tasks", "urlconf"])
def test_W052__what_cannot_be_imported_is_reported_in_its_place(
    market: Market, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    market.write("market/jobs.py", JOB, imported=False)
    market.write("market/routes.py", "")
    market.app.conf.task_routes = {"market.routes.old": "mails"}  # another check that loads the tasks
    loading(monkeypatch, "other", **{step: [ProjectError("A module is broken.", hint="fix it")]})
    assert market.found() == [("tasktools.W002", "A module is broken.", "fix it")]


def test_W052__runs_no_checks(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the project may take long, or use the network."""
    monkeypatch.delenv("CELERY_SKIP_CHECKS", raising=False)
    monkeypatch.setattr(django_fixup, "_has_fixup", lambda app: True)
    monkeypatch.setattr(django_fixup, "run_checks", lambda: pytest.fail("the checks run"))
    market.write("market/jobs.py", JOB, imported=False)
    assert [each[0] for each in market.found()] == ["tasktools.W052"]


def test_W052__silenced_it_imports_nothing(market: Market, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    market.write("market/jobs.py", JOB, imported=False)
    called = loading(monkeypatch, "other")
    settings.SILENCED_SYSTEM_CHECKS = ["tasktools.W052"]
    assert market.found() == []
    assert called == []


@pytest.fixture
def own(market: Market, project: Project) -> Market:
    """The app is one of the project's own, which the tasks.py of `market` is not imported for."""
    market.write("market/tasks.py", JOB, imported=False)
    project.found = Found(app=market.app)
    market.app.config_from_object("django.conf:settings", namespace="CELERY")
    market.app.conf.broker_url = "memory://"
    return market


def test_W052__fires_for_tasks_that_an_app_does_not_discover(own: Market) -> None:
    own.write("bazaar/celery.py", "app = Celery()\n# app.autodiscover_tasks()\n")
    sentence = 'market/tasks.py defines the task "market.tasks.rebuild", and the Celery app does not import it.'
    assert own.found() == [("tasktools.W052", sentence, "call app.autodiscover_tasks()")]


@pytest.mark.parametrize(
    "call",
    [
        "app.autodiscover_tasks()",
        "a.b.autodiscover_tasks(\n    settings.APPS)",
        "app.autodiscover_tasks(lambda: x)",
    ],
)
def test_W052__is_silent_where_the_app_discovers_them(own: Market, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    called = loading(monkeypatch, "other")
    own.write("bazaar/celery.py", call)
    assert own.found() == []
    assert called == []


@pytest.mark.parametrize("path", ["market/jobs.py", "market/sub/tasks.py"])
def test_W052__fires_for_what_no_app_discovers(own: Market, path: str) -> None:
    own.write("bazaar/celery.py", "app.autodiscover_tasks()")
    own.write(path, JOB, imported=False)
    assert [(each[0], each[1].partition(" ")[0]) for each in own.found()] == [("tasktools.W052", path)]


def test_W052__the_ready_made_app_has_imported_what_it_discovers(market: Market) -> None:
    """Its tasks.py are imported at start-up; one that is not belongs to an app that came later."""
    market.write("bazaar/celery.py", "app.autodiscover_tasks()")
    market.write("market/tasks.py", JOB, imported=False)
    assert [each[0] for each in market.found()] == ["tasktools.W052"]
