from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import run_checks
from kombu import Queue

from tasktools import checks

QUEUES = 'from kombu import Queue; CELERY_TASK_QUEUES = [Queue("mails")]'
ROUTER = 'give {"shop.tasks.add": "mails"}, a function, or the path of one'


@pytest.mark.parametrize(
    ("setting", "value", "sentence", "hint"),
    [
        ("task_queues", ["mails", "news"], "CELERY_TASK_QUEUES has 'mails', which is no queue.", QUEUES),
        ("task_queues", [{"name": "mails"}], "CELERY_TASK_QUEUES has {'name': 'mails'}, which is no queue.", QUEUES),
        ("task_queues", {"mails": 3}, "CELERY_TASK_QUEUES has 3, which is no queue.", QUEUES),
        ("task_queues", "mails", "CELERY_TASK_QUEUES is 'mails', which is no list of queues.", QUEUES),
        ("task_queues", 3, "CELERY_TASK_QUEUES is 3, which is no list of queues.", QUEUES),
        ("task_routes", 5, "CELERY_TASK_ROUTES has 5, which is no router.", ROUTER),
        ("task_routes", [{}, None], "CELERY_TASK_ROUTES has None, which is no router.", ROUTER),
        (
            "task_default_queue",
            5,
            "CELERY_TASK_DEFAULT_QUEUE is 5, which is no name of a queue.",
            'give text, as in "celery"',
        ),
    ],
)
def test_E030__fires_for_a_wrong_kind(shop: Any, setting: str, value: Any, sentence: str, hint: str) -> None:
    shop.conf[setting] = value
    (message,) = run_checks(tags=[checks.TAG])
    assert (message.id, message.msg, message.hint) == ("tasktools.E030", sentence, hint)
    assert len(run_checks(tags=[checks.TAG], include_deployment_checks=True)) == 1


@pytest.mark.parametrize("queues", [None, (), [Queue("mails")], {"mails": {}}, {"mails": Queue("mails")}])
def test_E030__is_silent_for_queues(shop: Any, queues: Any) -> None:
    shop.conf.task_queues = queues
    assert run_checks(tags=[checks.TAG]) == []


def test_E030__an_iterator_of_queues_is_left_to_celery(shop: Any) -> None:
    shop.conf.task_queues = iter([Queue("mails")])
    assert run_checks(tags=[checks.TAG]) == []
    assert list(shop.amqp.queues) == ["mails"]


class Router:
    def route_for_task(self, task: str, args: Any = None, kwargs: Any = None) -> Any:
        return "mails"


@pytest.mark.parametrize("routes", [None, {}, Router(), [Router()], "celery.app.routes.prepare", lambda *_, **__: None])
def test_E030__is_silent_for_routers(shop: Any, routes: Any) -> None:
    shop.conf.task_routes = routes
    assert [message for message in run_checks(tags=[checks.TAG]) if message.id == "tasktools.E030"] == []


def test_E030__is_silent_without_a_default_queue(shop: Any) -> None:
    """Celery sends a task that has a route."""
    shop.conf.task_default_queue = None
    shop.conf.task_routes = {"*": "mails"}
    assert run_checks(tags=[checks.TAG]) == []
