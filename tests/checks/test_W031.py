from __future__ import annotations

import re
import sys
import types
from typing import Any

import pytest

from tasktools import startup
from tasktools.checks import queues
from tasktools.discovery.celery_app import Found
from tasktools.exceptions import ProjectError
from tasktools.project import Project
from tests.checks.conftest import found, ids


@pytest.fixture
def site(shop: Any) -> Any:
    """An app with tasks of two modules."""

    @shop.task(name="shop.tasks.send_mail", shared=False)
    def send_mail() -> None: ...

    @shop.task(name="shop.reports.tasks.monthly", shared=False)
    def monthly() -> None: ...

    return shop


def test_W031__fires_for_a_task_that_its_module_does_not_have(site: Any) -> None:
    site.conf.task_routes = {"shop.tasks.old": "mails"}
    assert found() == [
        (
            "tasktools.W031",
            'The route for "shop.tasks.old" in CELERY_TASK_ROUTES matches no task.',
            "manage.py showtasks lists the tasks; remove the route if its task is gone",
        )
    ]


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [
        ("shop.tasks.send_mial", "did you mean shop.tasks.send_mail?"),
        ("shop.task.*", "did you mean shop.tasks.*?"),
        ("shop.report.tasks.*", "did you mean shop.reports.tasks.*?"),
        ("shop.report.tasks.month*", "did you mean shop.reports.tasks.month*?"),
    ],
)
def test_W031__says_what_is_likely_to_be_meant(site: Any, pattern: str, hint: str) -> None:
    site.conf.task_routes = {pattern: "mails"}
    assert [hint for _, _, hint in found()] == [hint]


def test_W031__of_a_module_without_tasks(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is meant that merely begins with the same packages."""
    module = types.ModuleType("shop.quotas.tasks")
    module.__file__ = "/srv/shop/quotas/tasks.py"
    monkeypatch.setitem(sys.modules, "shop.quotas.tasks", module)
    site.conf.task_routes = {"shop.quotas.tasks.*": "mails"}
    hint = "manage.py showtasks lists the tasks; remove the route if its task is gone"
    assert [each for _, _, each in found()] == [hint]
    monkeypatch.delitem(sys.modules, "shop.quotas.tasks")
    assert found() == []


@pytest.mark.parametrize(
    "routes",
    [
        [{"shop.tasks.*": "mails"}, {"shop.tasks.old": "mails"}],
        [[("shop.tasks.old", "mails")]],
        (
            [
                ("shop.tasks.send_mail", {"queue": "mails"}),
                ("shop.tasks.old?", "slow"),
                ("shop.tasks.old", {"queue": "slow"}),
            ],
        ),
        {"shop.tasks.old_*": {"queue": "mails"}, "shop.*": "other"},
        {"shop.tas?s.old": "mails"},
    ],
)
def test_W031__knows_each_form_of_routes(site: Any, routes: Any) -> None:
    site.conf.task_routes = routes
    assert set(ids()) == {"W031"}


@pytest.mark.parametrize(
    "pattern",
    [
        "shop.tasks.send_mail",
        "shop.tasks.*",
        "shop.*",
        "*.tasks.*",
        "celery.*",
        "celery.chord_unlock",
        "billing.tasks.*",
        "shop.billing.*",
        "shop.billing.invoices.send",
        "shop.report.*",
        "shop.report.jobs.*",
        "json.decoder.*",
        "*.old.*",
        "*",
        "send",
    ],
)
def test_W031__is_silent_for_what_matches_or_may_be_of_another_project(site: Any, pattern: str) -> None:
    site.task(name="alone", shared=False)(startup.run)
    site.conf.task_routes = {pattern: "mails"}
    assert ids() == []


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("shop.reparts.tasks", True),
        ("shop.reparts.jobs", False),
        ("shop.reparts", False),
        ("shop.ripartz.tasks", False),
        ("shop.raparts.tasks", False),
    ],
)
def test_W031__a_slip_is_in_one_part_of_the_name(module: str, expected: bool) -> None:
    assert queues._is_slip(module, "shop.reports.tasks") is expected


@pytest.mark.parametrize(
    ("part", "other", "expected"),
    [
        ("reparts", "reports", True),  # 6 of 7 letters
        ("ordars", "orders", False),  # 5 of 6
        ("internationalisatzzz", "internationalisation", True),  # 17 of 20
        ("internationalisazzzz", "internationalisation", False),
    ],
)
def test_W031__a_slip_leaves_most_letters(part: str, other: str, expected: bool) -> None:
    assert queues._is_slip(f"shop.{part}", f"shop.{other}") is expected


@pytest.mark.parametrize("routes", [[[7]], [[("shop.tasks.old", "mails", "slow")]]])
def test_W031__is_silent_for_pairs_that_are_none(site: Any, routes: Any) -> None:
    site.conf.task_routes = routes
    assert not {"W031", "W002"} & set(ids())


@pytest.mark.parametrize(
    "routes", [None, lambda *_, **__: None, [re.compile("x")], {re.compile(r"shop\.tasks\.old"): "x"}]
)
def test_W031__is_silent_for_routes_that_are_no_text(site: Any, routes: Any) -> None:
    site.conf.task_routes = routes
    assert not {"W031", "W002"} & set(ids())


def test_W031__is_silent_if_it_is_silenced(site: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing more is imported for it."""
    site.conf.task_routes = {"shop.tasks.old": "mails"}
    monkeypatch.setattr(startup, "load_tasks", lambda found: pytest.fail("the tasks are loaded"))
    settings.SILENCED_SYSTEM_CHECKS = ["tasktools.W031"]
    assert ids() == []


def test_W031__loads_nothing_if_each_route_matches(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    site.conf.task_routes = {"shop.tasks.*": "mails"}
    monkeypatch.setattr(startup, "load_tasks", lambda found: pytest.fail("the tasks are loaded"))
    assert ids() == []


def test_W031__looks_at_all_tasks_of_the_ready_made_app(site: Any) -> None:
    site.conf.task_routes = {"shop.tasks.old": "mails"}
    assert [message.id for message in queues.check(Found(app=site, ready_made=True))] == ["tasktools.W031"]


def test_W031__is_silent_if_a_worker_knows_the_task(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other modules that a worker imports may have it."""

    def load(found: Found) -> list[ProjectError]:
        found.app.task(name="shop.tasks.late", shared=False)(startup.run)
        return []

    site.conf.task_routes = {"shop.tasks.late": "mails"}
    monkeypatch.setattr(queues.django_fixup, "load_urlconf", load)
    assert ids() == []


def test_W031__asks_for_the_urlconf_only_if_the_tasks_do_not_match(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(found: Found) -> list[ProjectError]:
        found.app.task(name="shop.tasks.late", shared=False)(startup.run)
        return []

    site.conf.task_routes = {"shop.tasks.late": "mails"}
    monkeypatch.setattr(startup, "load_tasks", load)
    monkeypatch.setattr(queues.django_fixup, "load_urlconf", lambda found: pytest.fail("the URLconf is loaded"))
    assert ids() == []


@pytest.mark.parametrize("step", ["startup.load_tasks", "django_fixup.load_urlconf"])
def test_W031__what_cannot_be_loaded_is_reported_in_its_place(
    site: Any, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    site.conf.task_routes = {"shop.tasks.old": "mails"}
    problem = ProjectError("A module is broken.", hint="fix it")
    monkeypatch.setattr(f"tasktools.checks.queues.{step}", lambda found: [problem])
    assert found() == [("tasktools.W002", "A module is broken.", "fix it")]


@pytest.mark.parametrize(("is_finalized", "expected"), [(False, []), (True, ["W031"])])
def test_W031__of_the_projects_own_app_it_sees_the_tasks_that_exist(
    site: Any, project: Project, is_finalized: bool, expected: list[str]
) -> None:
    site.conf.task_routes = ({"shop.tasks.old": "mails"}, "celery.app.routes.prepare")  # the tasks are not looked up
    project.found = Found(app=site, ready_made=False)
    if is_finalized:
        site.finalize()
    assert ids() == expected
