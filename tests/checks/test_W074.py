from __future__ import annotations

import re
from typing import Any

import pytest

from tasktools.checks import redelivery
from tasktools.discovery.celery_app import Found
from tasktools.project import Project
from tests.checks.conftest import found, ids


@pytest.fixture
def site(shop: Any) -> Any:
    shop.conf.broker_url = "redis://localhost:6379/0"
    return shop


def task(app: Any, name: str = "shop.report", **options: Any) -> None:
    @app.task(name=name, shared=False, **options)
    def function() -> None: ...


def test_W074__fires_for_a_time_limit_with_acks_late(site: Any) -> None:
    task(site, acks_late=True, time_limit=3601)
    assert found() == [
        (
            "tasktools.W074",
            'The task "shop.report" may run for 3601 s with acks_late, and after 3600 s the broker gives its message to '
            "another worker as well: it runs twice.",
            'CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 7200}',
        )
    ]


def test_W074__fires_for_a_soft_limit_without_a_hard_one(site: Any) -> None:
    task(site, acks_late=True, soft_time_limit=7200)
    ((_, sentence, hint),) = found()
    assert "may run for 7200 s" in sentence
    assert hint == 'CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 10800}'


@pytest.mark.parametrize("setting", ["task_time_limit", "task_soft_time_limit"])
def test_W074__fires_once_for_the_limit_of_all_tasks(site: Any, setting: str) -> None:
    site.conf.task_acks_late = True
    site.conf[setting] = 7000
    ((_, sentence, _),) = found()
    assert re.match(
        r"Each of the tasks \S+, \S+, \S+ and \d+ more may run for 7000 s with acks_late, and after 3600", sentence
    )


@pytest.mark.parametrize("url", ["redis://localhost:port", "localhost", ["redis://localhost:port", "redis"]])
def test_W074__is_silent_where_nobody_knows_the_broker(site: Any, url: Any) -> None:
    """The kind of the result backend says nothing of it."""
    site.conf.broker_url, site.conf.result_backend = url, "redis://localhost:6379/1"
    task(site, acks_late=True, time_limit=3601)
    assert ids("W078") == []


def test_W074__looks_at_all_tasks_of_the_ready_made_app(site: Any) -> None:
    task(site, acks_late=True, time_limit=3601)
    assert [message.id for message in redelivery.check(Found(app=site, ready_made=True))] == ["tasktools.W074"]


@pytest.mark.parametrize(
    ("options", "limits"),
    [
        ({"time_limit": 60}, (7200, None)),
        ({"soft_time_limit": 7200}, (60, None)),
        ({"soft_time_limit": 60}, (None, 7200)),
    ],
)
def test_W074__the_limit_that_ends_the_task_counts(shop: Any, options: dict[str, Any], limits: tuple[Any, Any]) -> None:
    task(shop, acks_late=True, **options)
    assert list(redelivery.kept(shop.tasks["shop.report"], *limits)) == [("may run for {:g} s with acks_late", 60)]


def test_W074__fires_for_the_delay_of_a_retry(site: Any) -> None:
    task(site, default_retry_delay=3601)
    ((_, sentence, _),) = found()
    assert sentence.startswith('The task "shop.report" may wait for 3601 s before a retry, and after 3600 s the broker')


@pytest.mark.parametrize(
    ("options", "seconds"),
    [
        ({"retry_backoff": 1000, "retry_backoff_max": 9000}, 4000),
        ({"retry_backoff": 1000, "retry_backoff_max": 3700}, 3700),
        ({"retry_backoff": True, "retry_backoff_max": 9000, "max_retries": 13}, 4096),
        ({"retry_backoff": True, "retry_backoff_max": 9000, "max_retries": 50}, 9000),
        ({"retry_backoff": 0.5, "retry_backoff_max": 9000, "max_retries": 13}, 4096),
        ({"retry_backoff": True, "retry_backoff_max": 9000, "max_retries": None}, 9000),
        ({"retry_kwargs": {"countdown": 3700}}, 3700),
        ({"default_retry_delay": 3700}, 3700),
    ],
)
def test_W074__fires_for_the_delay_of_an_automatic_retry(site: Any, options: dict[str, Any], seconds: float) -> None:
    task(site, autoretry_for=(OSError,), **options)
    ((_, sentence, _),) = found()
    assert f"may wait for {seconds} s before a retry" in sentence


def test_W074__an_automatic_retry_has_the_usual_delay(site: Any) -> None:
    site.conf.broker_transport_options = {"visibility_timeout": 179}
    task(site, autoretry_for=(OSError,))
    ((_, sentence, _),) = found()
    assert "may wait for 180 s before a retry, and after 179 s" in sentence


@pytest.mark.parametrize(
    "options",
    [
        {"acks_late": True, "time_limit": 3600},
        {"acks_late": True, "time_limit": 60, "soft_time_limit": 7200},
        {"acks_late": True},
        {"time_limit": 7200, "soft_time_limit": 7200},
        {"default_retry_delay": 3600},
        {"default_retry_delay": 7200, "max_retries": 0},
        {"default_retry_delay": "soon"},
        {"default_retry_delay": None},
        {"retry_backoff": 7200, "retry_backoff_max": 9000},
        {"autoretry_for": (OSError,), "retry_backoff": 7200},
        {"autoretry_for": (OSError,), "retry_backoff": True, "retry_backoff_max": 9000, "max_retries": 12},
        {"autoretry_for": (OSError,), "retry_kwargs": {"countdown": None}},
        {"autoretry_for": (OSError,), "retry_kwargs": {"countdown": 10}, "default_retry_delay": 7200},
    ],
)
def test_W074__is_silent_for_what_fits(site: Any, options: dict[str, Any]) -> None:
    task(site, **options)
    assert ids("W044") == []


def test_W074__is_silent_for_the_usual_delay_of_a_task_that_may_never_retry(site: Any) -> None:
    site.conf.broker_transport_options = {"visibility_timeout": 60}
    assert ids() == []


def test_W074__fires_for_the_countdown_of_an_entry(site: Any) -> None:
    site.conf.beat_schedule = {
        "late": {"task": "shop.reckon", "args": [1], "schedule": 86400, "options": {"countdown": 3601}},
        "soon": {"task": "shop.reckon", "args": [1], "schedule": 86400, "options": {"countdown": 3600}},
    }
    ((_, sentence, _),) = found()
    assert sentence == (
        'The beat schedule\'s entry "late" has a countdown of 3601 s, and after 3600 s the broker gives its message to '
        "another worker as well: it runs twice."
    )


@pytest.mark.parametrize("schedule", [["late"], {"late": 5}, {"late": {"options": ["countdown"]}}])
def test_W074__leaves_a_schedule_of_a_wrong_kind_to_other_checks(site: Any, schedule: Any) -> None:
    site.conf.beat_schedule = schedule
    assert not {"W074", "W002"} & set(ids())


@pytest.mark.parametrize(
    ("limit", "hint"),
    [
        (43199, 'CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 43200}'),
        (43200, "shorten it: SQS allows no visibility timeout of more than 43200 s"),
    ],
)
def test_W074__sqs_allows_half_a_day(site: Any, limit: int, hint: str) -> None:
    site.conf.broker_url = "SQS://KEY:secret@"
    task(site, acks_late=True, time_limit=limit)
    assert [hint for check_id, _, hint in found() if check_id == "tasktools.W074"] == [hint]


def test_W074__redis_allows_more(site: Any) -> None:
    task(site, acks_late=True, time_limit=43200)
    assert [hint for _, _, hint in found()] == ['CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 46800}']


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("redis://localhost", {"visibility_timeout": 7200}),
        ("amqp://localhost", {}),
        ("memory://", {}),
    ],
)
def test_W074__is_silent_for_a_broker_that_waits(site: Any, url: str, options: dict[str, Any]) -> None:
    site.conf.broker_url = url
    site.conf.broker_transport_options = options
    task(site, acks_late=True, time_limit=7200)
    assert ids() == []


@pytest.mark.parametrize(("is_finalized", "expected"), [(False, []), (True, ["W074"])])
def test_W074__of_the_projects_own_app_it_sees_the_tasks_that_exist(
    site: Any, project: Project, is_finalized: bool, expected: list[str]
) -> None:
    project.found = Found(app=site, ready_made=False)
    task(site, acks_late=True, time_limit=7200)
    if is_finalized:
        site.finalize()
    assert ids() == expected
    assert site.finalized is is_finalized
