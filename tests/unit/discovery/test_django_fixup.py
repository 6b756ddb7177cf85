from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from django.core.checks import registry
from django.urls import clear_url_caches

from tasktools.checks import schedule as schedule_check
from tasktools.discovery import django_fixup
from tasktools.discovery.celery_app import Found
from tasktools.project import Project


def report() -> None:
    pass


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Iterator[Found]:
    monkeypatch.delenv("CELERY_SKIP_CHECKS", raising=False)
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "tests.settings")
    app = Celery("fixed", set_as_current=False)
    yield Found(app=app)
    app.close()


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Replace all checks by one that notes its runs, or raises what stands in the list."""
    ran: list[Any] = []

    def check(app_configs: Any, **kwargs: Any) -> list[Any]:
        if ran and isinstance(ran[-1], BaseException):
            raise ran[-1]
        ran.append("ran")
        return []

    check.tags = ()  # type: ignore[attr-defined]
    monkeypatch.setattr(registry.registry, "registered_checks", {check})
    return ran


def test_load_rest__runs_the_checks_once(found: Found, checks: list[Any]) -> None:
    assert django_fixup.load_rest(found) == []
    assert django_fixup.load_rest(found) == []
    assert checks == ["ran"]


@pytest.mark.parametrize("error", [ImportError("no shop.views"), SystemExit(3)])
def test_load_rest__a_check_that_raises_is_an_error_to_report(
    found: Found, checks: list[Any], error: BaseException
) -> None:
    checks.append(error)
    (problem,) = django_fixup.load_rest(found)
    assert problem.sentence == f"The system checks cannot be run: {type(error).__name__}: {error}."
    assert problem.hint == "manage.py check shows where; runworker --skip-checks starts all the same"


def test_load_rest__nothing_where_celery_runs_no_checks(
    found: Found, checks: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CELERY_SKIP_CHECKS", "1")
    assert django_fixup.is_complete(found)
    django_fixup.load_rest(found)
    assert checks == []


def test_load_rest__nothing_for_an_app_without_the_fixup(checks: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CELERY_SKIP_CHECKS", raising=False)
    app = Celery("bare", fixups=[], set_as_current=False)
    django_fixup.load_rest(Found(app=app))
    assert checks == []
    app.close()


def test_skip_checks_once__the_next_import_runs_none_and_the_one_after_runs_them(
    found: Found, checks: list[Any]
) -> None:
    django_fixup.skip_checks_once(found.app)
    assert os.environ["CELERY_SKIP_CHECKS"]
    found.app.loader.import_default_modules()
    assert (checks, "CELERY_SKIP_CHECKS" in os.environ) == ([], False)
    found.app.loader.import_default_modules()
    assert checks == ["ran"]


def test_skip_checks_once__leaves_the_variable_of_the_user(
    found: Found, checks: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CELERY_SKIP_CHECKS", "yes")
    django_fixup.skip_checks_once(found.app)
    found.app.loader.import_default_modules()
    assert (checks, os.environ["CELERY_SKIP_CHECKS"]) == ([], "yes")


def test_without_checks__after_the_import_that_skipped_them_once(found: Found, checks: list[Any]) -> None:
    """A task that a worker runs may call a command, which imports the tasks again."""
    django_fixup.skip_checks_once(found.app)
    found.app.loader.import_default_modules()
    for _ in range(2):
        with django_fixup.without_checks():
            found.app.loader.import_default_modules()
            assert "CELERY_SKIP_CHECKS" in os.environ
        assert "CELERY_SKIP_CHECKS" not in os.environ
    assert checks == []


def test_without_checks__around_the_import_that_skips_them_once(found: Found, checks: list[Any]) -> None:
    django_fixup.skip_checks_once(found.app)
    with django_fixup.without_checks():
        found.app.loader.import_default_modules()
    assert (checks, "CELERY_SKIP_CHECKS" in os.environ) == ([], False)


def test_without_checks__in_two_threads_at_a_time(found: Found) -> None:
    first, second = django_fixup.without_checks(), django_fixup.without_checks()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert os.environ["CELERY_SKIP_CHECKS"]
    second.__exit__(None, None, None)
    assert "CELERY_SKIP_CHECKS" not in os.environ


@pytest.mark.parametrize("before", ["yes", ""])
def test_without_checks__leaves_the_variable_of_the_user(
    found: Found, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    monkeypatch.setenv("CELERY_SKIP_CHECKS", before)
    with django_fixup.without_checks():
        assert django_fixup.checks_skipped()
    assert os.environ["CELERY_SKIP_CHECKS"] == before


@pytest.fixture
def urls(monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path) -> Iterator[Path]:
    """The file of the URLconf, which is imported when somebody asks for it."""
    monkeypatch.syspath_prepend(tmp_path)
    settings.ROOT_URLCONF = "urls_of_this_test"
    clear_url_caches()
    yield tmp_path / "urls_of_this_test.py"
    sys.modules.pop("urls_of_this_test", None)
    clear_url_caches()


def test_load_urlconf__runs_no_checks(found: Found, checks: list[Any], urls: Path) -> None:
    urls.write_text("urlpatterns = []\n")
    assert django_fixup.load_urlconf(found) == []
    assert ("urls_of_this_test" in sys.modules, checks) == (True, [])


def test_load_urlconf__imports_the_template_tag_libraries(
    found: Found, urls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls.write_text("urlpatterns = []\n")
    monkeypatch.delitem(sys.modules, "django.templatetags.i18n", raising=False)
    assert django_fixup.load_urlconf(found) == []
    assert "django.templatetags.i18n" in sys.modules


@pytest.mark.parametrize("name", [None, ""])
def test_load_urlconf__of_a_project_without_one(found: Found, settings: Any, name: str | None) -> None:
    settings.ROOT_URLCONF = name
    assert django_fixup.load_urlconf(found) == []


def test_load_urlconf__that_is_broken_is_an_error_to_report(found: Found, urls: Path) -> None:
    urls.write_text("raise RuntimeError('no views')\n")
    for _ in range(2):
        (problem,) = django_fixup.load_urlconf(found)
        sentence = "The URLconf and the template tag libraries cannot be imported: RuntimeError: no views."
        assert problem.sentence == sentence
        assert problem.hint == "manage.py check --traceback shows where"


def test_load_urlconf__nothing_where_celery_runs_no_checks(
    found: Found, urls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls.write_text("raise RuntimeError('no views')\n")
    monkeypatch.setenv("CELERY_SKIP_CHECKS", "1")
    assert django_fixup.load_urlconf(found) == []


LATE = "from tests.unit.discovery import test_django_fixup as here\nhere.late()\nurlpatterns = []\n"
late: Any = None


def test_schedule_check__loads_the_urlconf_ahead_of_W010(
    found: Found, checks: list[Any], urls: Path, monkeypatch: pytest.MonkeyPatch, project: Project
) -> None:
    """A task that a module of views imports is known in the end, and no check has run."""
    urls.write_text(LATE)
    monkeypatch.setattr(f"{__name__}.late", lambda: found.app.task(report, name="shop.jobs.report", shared=False))
    project.found = found
    found.app.conf.beat_schedule = {"nightly": {"task": "shop.jobs.report", "schedule": 60}}
    assert schedule_check.check(found) == []
    assert checks == []


def test_schedule_check__a_broken_urlconf_is_reported_in_place_of_W010(
    found: Found, urls: Path, project: Project
) -> None:
    """Other faults are sure all the same."""
    urls.write_text("raise RuntimeError('no views')\n")
    project.found = found
    entry = {"task": "shop.jobs.report", "schedule": 60}
    found.app.conf.beat_schedule = {"nightly": entry, "hourly": {**entry, "schedule": "never"}}
    assert [message.id for message in schedule_check.check(found)] == ["tasktools.W002", "tasktools.E012"]


def test_schedule_check__tasks_that_cannot_be_imported_are_reported(
    found: Found, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.found = found
    found.app.conf.update(beat_schedule={"nightly": {"task": "x", "schedule": 60}}, imports=["nonexistent_lib"])
    ((told, check_id),) = ((message.msg, message.id) for message in schedule_check.check(found))
    assert told == "The tasks cannot be imported: ModuleNotFoundError: No module named 'nonexistent_lib'."
    assert check_id == "tasktools.W002"


def test_schedule_check__silenced_it_loads_nothing(found: Found, urls: Path, settings: Any, project: Project) -> None:
    urls.write_text("urlpatterns = []\n")
    settings.SILENCED_SYSTEM_CHECKS = ["tasktools.W010"]
    project.found = found
    found.app.conf.beat_schedule = {"nightly": {"task": "elsewhere", "schedule": 60}}
    assert [message.id for message in schedule_check.check(found)] == ["tasktools.W010"]
    assert "urls_of_this_test" not in sys.modules
