from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from django.apps import apps
from django.core.checks import Warning as CheckWarning
from django.core.checks import run_checks

from tasktools import checks
from tasktools.brokers import private
from tasktools.checks import results
from tasktools.discovery.celery_app import Found
from tasktools.project import Project
from tasktools.valkey.server import Home


def ids() -> list[str | None]:
    """Return what our checks say."""
    return [message.id for message in run_checks(tags=[checks.TAG])]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A site with django-celery-results, which may be missing here."""
    is_installed = apps.is_installed
    monkeypatch.setattr(apps, "is_installed", lambda name: name == "django_celery_results" or is_installed(name))


def test_W046__fires_for_django_celery_results(mysite: Any, installed: None) -> None:
    assert run_checks(tags=[checks.TAG]) == [
        CheckWarning(
            '"django_celery_results" is in INSTALLED_APPS, and CELERY_RESULT_BACKEND is not set: no result is stored.',
            hint='CELERY_RESULT_BACKEND = "django-db"',
            id="tasktools.W046",
        )
    ]


@pytest.mark.parametrize("backend", ["redis://localhost/1", None, "", "disabled", "disabled://"])
def test_W046__is_silent_if_the_setting_is_given(mysite: Any, settings: Any, installed: None, backend: Any) -> None:
    settings.CELERY_RESULT_BACKEND = backend
    assert ids() == []


def test_W046__is_silent_with_a_backend_of_the_class(mysite: Any, installed: None) -> None:
    mysite.backend_cls = "redis://localhost/1"
    assert ids() == []


def test_W046__is_silent_where_tasks_run_at_once(mysite: Any, settings: Any, installed: None) -> None:
    settings.DEBUG = settings.CELERY_TASK_ALWAYS_EAGER = True
    assert ids() == []


def test_W046__is_silent_where_nothing_asks_for_results(mysite: Any) -> None:
    assert ids() == []


def test_W046__names_the_setting_of_an_app_without_a_prefix(shop: Any, installed: None) -> None:
    (message,) = run_checks(tags=[checks.TAG])
    assert message.hint == 'result_backend = "django-db"'


def add() -> None: ...


def site(app: Any, settings: Any, ignored: bool, *tasks: tuple[str, dict[str, Any]]) -> None:
    """Give a site that ignores results by default, or not, these tasks."""
    settings.CELERY_TASK_IGNORE_RESULT = ignored
    for name, options in tasks:
        app.task(name=name, shared=False, **options)(add)
    app.finalize()


KEPT = {"ignore_result": False}


@pytest.mark.parametrize(
    ("tasks", "subject"),
    [
        ([("mysite.kept", KEPT), ("mysite.usual", {})], '"mysite.kept" has'),
        ([("mysite.b", KEPT), ("mysite.a", KEPT)], '"mysite.a" and 1 more have'),
        ([("mysite.b", KEPT), ("mysite.c", KEPT), ("mysite.a", KEPT)], '"mysite.a" and 2 more have'),
    ],
)
def test_W046__fires_for_a_task_that_keeps_its_result(mysite: Any, settings: Any, tasks: Any, subject: str) -> None:
    site(mysite, settings, True, *tasks)
    assert run_checks(tags=[checks.TAG]) == [
        CheckWarning(
            f"The task {subject} ignore_result=False, and CELERY_RESULT_BACKEND is not set: nobody stores the results.",
            hint='CELERY_RESULT_BACKEND = "redis://localhost:6379/1", for example',
            id="tasktools.W046",
        )
    ]


@pytest.mark.parametrize(
    ("ignored", "options"),
    [
        (False, KEPT),  # the default, which most tasks have
        (True, {"ignore_result": True}),
        (True, {**KEPT, "backend": "a backend of its own"}),
    ],
)
def test_W046__is_silent_about_a_task(mysite: Any, settings: Any, ignored: bool, options: Any) -> None:
    site(mysite, settings, ignored, ("mysite.kept", options))
    assert ids() == []


def test_W046__is_silent_about_a_task_with_the_backend_of_the_site(mysite: Any, settings: Any) -> None:
    settings.CELERY_RESULT_BACKEND = "cache+memory://"
    site(mysite, settings, True, ("mysite.kept", KEPT))
    assert ids() == []


def test_W046__is_silent_with_the_backend_of_the_private_valkey(
    mysite: Any, settings: Any, installed: None, tmp_path: Path
) -> None:
    """The setting is not given, and results are stored."""
    settings.DEBUG = True
    del settings.CELERY_BROKER_URL
    private.use(mysite.conf, Home(folder=tmp_path, linger=1))
    assert mysite.conf.result_backend
    assert ids() == []


def test_W046__looks_at_all_tasks_of_the_ready_made_app(shop: Any) -> None:
    shop.conf.task_ignore_result = True
    shop.task(name="shop.kept", shared=False, ignore_result=False)(add)
    assert [message.id for message in results.check(Found(app=shop, ready_made=True))] == ["tasktools.W046"]


def test_W046__makes_no_tasks_of_an_app_of_the_project(project: Project) -> None:
    with Celery("own", broker="redis://localhost/0", set_as_current=False) as app:
        app.conf.task_ignore_result = True
        app.task(name="own.kept", shared=False, ignore_result=False)(add)
        project.found = Found(app=app)
        assert ids() == []
        assert not app.finalized
        app.finalize()
        assert ids() == ["tasktools.W046"]
