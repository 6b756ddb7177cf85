from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import Warning as CheckWarning
from django.core.checks import run_checks
from kombu import Queue

from tasktools import checks
from tasktools.discovery.celery_app import Found
from tasktools.project import Project


def fail(name: str, *_: Any, **__: Any) -> Any:
    raise KeyError("europe")


@pytest.mark.parametrize("route", [["mails"], 7, {"queue": ["mails"]}])
def test_W030__fires_for_a_route_of_a_wrong_kind(shop: Any, route: Any) -> None:
    shop.conf.task_routes = {"shop.reckon": route}
    (message,) = run_checks(tags=[checks.TAG])
    why = f"its route in CELERY_TASK_ROUTES is {route!r}, which is no queue and no options"
    assert (message.id, message.msg) == ("tasktools.W030", f"No queue can be found for shop.reckon: {why}.")


@pytest.mark.parametrize("routes", [{"shop.*": 7}, [{}, {"shop.*": 7}]])
def test_W030__fires_for_other_routes_that_celery_cannot_use(shop: Any, routes: Any) -> None:
    shop.conf.task_routes = routes
    assert [message.id for message in run_checks(tags=[checks.TAG])] == ["tasktools.W030"]


def test_W030__fires_once_for_the_tasks_of_a_queue_that_is_not_declared(shop: Any) -> None:
    def task() -> None: ...

    for name in "abcd":
        shop.task(name=f"shop.{name}", shared=False)(task)
    shop.conf.task_queues = [Queue("celery")]
    shop.conf.task_create_missing_queues = False
    shop.conf.task_routes = {"shop.*": "mails"}
    why = '"mails" is not in CELERY_TASK_QUEUES, and CELERY_TASK_CREATE_MISSING_QUEUES is off'
    sentence = f"No queue can be found for shop.a, shop.b, shop.c and 2 more: {why}."
    hint = 'add Queue("mails") to CELERY_TASK_QUEUES, or choose another queue in CELERY_TASK_ROUTES'
    assert run_checks(tags=[checks.TAG]) == [CheckWarning(sentence, hint=hint, id="tasktools.W030")]


@pytest.mark.parametrize(
    "routes",
    [
        None,
        (),
        {"shop.*": "mails"},
        {"shop.*": {"queue": Queue("mails")}},
        {"other.*": 7},
        (fail,),
        (fail, {"shop.*": 7}),
        [[("a", "b")]],
    ],
)
def test_W030__is_silent_where_each_task_may_have_a_queue(shop: Any, routes: Any) -> None:
    """A router that is code is not called: it may need arguments, or the database."""
    shop.conf.task_routes = routes
    assert run_checks(tags=[checks.TAG]) == []


def test_W030__makes_no_tasks_of_an_app_whose_tasks_all_have_a_queue(shop: Any, project: Project) -> None:
    project.found = Found(app=shop)
    assert run_checks(tags=[checks.TAG]) == []
    assert not shop.finalized


def test_W030__leaves_the_queues_of_the_app_as_they_were(shop: Any) -> None:
    """Celery 5.5 and 5.6 take from all queues that the app has, and a look-up adds missing ones."""
    shop.conf.task_routes = {"shop.*": "mails", "other": {"queue": "slow"}}
    assert run_checks(tags=[checks.TAG]) == []
    assert list(shop.amqp.queues) == ["celery"]
