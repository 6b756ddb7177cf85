from __future__ import annotations

from typing import Any

import pytest
from celery import Celery
from django.core.checks import Warning as CheckWarning
from django.core.checks import run_checks

from tasktools import checks
from tasktools.discovery.celery_app import Found
from tasktools.project import Project


def send() -> None: ...


@pytest.mark.parametrize("hard", [19, 20])
def test_W044__fires_without_time_after_the_soft_limit(mysite: Any, settings: Any, hard: int) -> None:
    settings.CELERY_TASK_TIME_LIMIT, settings.CELERY_TASK_SOFT_TIME_LIMIT = hard, 20
    assert run_checks(tags=[checks.TAG]) == [
        CheckWarning(
            f"CELERY_TASK_TIME_LIMIT is {hard} s, and CELERY_TASK_SOFT_TIME_LIMIT 20 s: "
            "a worker kills the task with no time to clean up.",
            hint="CELERY_TASK_TIME_LIMIT = 80, for example",
            id="tasktools.W044",
        )
    ]


@pytest.mark.parametrize(("hard", "soft"), [(21, 20), (None, 20), (19, None), (0, 20), (-1, 0), (None, None)])
def test_W044__is_silent_about(mysite: Any, settings: Any, hard: Any, soft: Any) -> None:
    settings.CELERY_TASK_TIME_LIMIT, settings.CELERY_TASK_SOFT_TIME_LIMIT = hard, soft
    assert run_checks(tags=[checks.TAG]) == []


@pytest.mark.parametrize(
    ("conf", "options", "hard", "soft"),
    [
        ({}, {"time_limit": 10, "soft_time_limit": 60}, 10, 60),
        ({}, {"time_limit": 60, "soft_time_limit": 60}, 60, 60),
        ({"task_time_limit": 40, "task_soft_time_limit": 30}, {"soft_time_limit": 60}, 40, 60),
    ],
)
def test_W044__fires_for_a_task(shop: Any, conf: Any, options: Any, hard: int, soft: int) -> None:
    shop.conf.update(conf)
    shop.task(name="shop.send", shared=False, **options)(send)
    assert run_checks(tags=[checks.TAG]) == [
        CheckWarning(
            f'The time limit of the task "shop.send" is {hard} s, and its soft one {soft} s: '
            "a worker kills the task with no time to clean up.",
            hint=f"give the task time_limit={soft + 60}, for example",
            id="tasktools.W044",
        )
    ]


@pytest.mark.parametrize(
    ("conf", "options"),
    [
        ({"task_soft_time_limit": 30}, {"time_limit": 10}),  # it is killed when it says, and has asked for nothing more
        ({"task_time_limit": 40}, {"soft_time_limit": 30}),
    ],
)
def test_W044__is_silent_about_a_task(shop: Any, conf: Any, options: Any) -> None:
    shop.conf.update(conf)
    shop.task(name="shop.send", shared=False, **options)(send)
    assert run_checks(tags=[checks.TAG]) == []


def test_W044__names_the_settings_of_an_app_without_a_prefix(shop: Any) -> None:
    shop.conf.update(task_time_limit=10, task_soft_time_limit=20)
    (message,) = run_checks(tags=[checks.TAG])
    assert message.msg.startswith("task_time_limit is 10 s, and task_soft_time_limit 20 s: ")
    assert message.hint == "task_time_limit = 80, for example"


def test_W044__each_fault_is_given_once(shop: Any) -> None:
    shop.conf.update(task_time_limit=10, task_soft_time_limit=20)
    assert [message.id for message in run_checks(tags=[checks.TAG])] == ["tasktools.W044"]


def test_W044__waits_for_limits_that_can_be_compared(shop: Any) -> None:
    shop.conf.update(task_time_limit="10", task_soft_time_limit=20)
    assert [message.id for message in run_checks(tags=[checks.TAG])] == ["tasktools.W042"]


def test_W044__makes_no_tasks_of_an_app_of_the_project(project: Project) -> None:
    with Celery("own", broker="memory://", set_as_current=False) as app:
        app.task(name="own.send", shared=False, time_limit=10, soft_time_limit=60)(send)
        project.found = Found(app=app)
        assert run_checks(tags=[checks.TAG]) == []
        assert not app.finalized
        app.finalize()
        assert [message.id for message in run_checks(tags=[checks.TAG])] == ["tasktools.W044"]
