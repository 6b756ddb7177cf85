from __future__ import annotations

from typing import Any

import pytest
from celery.exceptions import QueueNotFound
from kombu import Queue

from tests.checks.conftest import found, ids


def scheduled(app: Any, **options: Any) -> None:
    app.conf.beat_schedule = {"nightly": {"task": "shop.reckon", "args": [1], "schedule": 86400, "options": options}}


@pytest.fixture
def site(shop: Any) -> Any:
    """An app whose queues are all declared."""
    shop.conf.task_queues = [Queue("celery"), Queue("mails", alias="post")]
    shop.conf.task_create_missing_queues = False
    return shop


def test_W015__fires_for_a_queue_that_is_not_declared(site: Any) -> None:
    scheduled(site, queue="reports")
    assert found() == [
        (
            "tasktools.W015",
            'The beat schedule\'s entry "nightly" is never sent: its queue "reports" is not in CELERY_TASK_QUEUES, and '
            "CELERY_TASK_CREATE_MISSING_QUEUES is off.",
            'add Queue("reports") to CELERY_TASK_QUEUES, or choose another queue in the options of the entry',
        )
    ]
    with pytest.raises(QueueNotFound):
        site.send_task("shop.reckon", queue="reports")


@pytest.mark.parametrize("queue", ["celery", "mails", "post", None, "", Queue("reports")])
def test_W015__is_silent_for_a_queue_that_celery_finds(site: Any, queue: Any) -> None:
    scheduled(site, queue=queue)
    assert ids() == []


def test_W015__is_silent_if_celery_makes_the_queue(site: Any) -> None:
    site.conf.task_create_missing_queues = True
    scheduled(site, queue="reports")
    assert ids() == []
    assert "reports" not in site.amqp.queues


def test_W015__looks_at_each_entry(site: Any) -> None:
    entry = {"task": "shop.reckon", "args": [1], "schedule": 86400}
    site.conf.beat_schedule = {
        "one": entry,
        "two": {**entry, "options": {"queue": "a"}},
        "three": {**entry, "options": {"queue": "b"}},
    }
    assert ids() == ["W015", "W015"]


@pytest.mark.parametrize(
    "schedule",
    [
        ["nightly"],
        {"nightly": 5},
        {"nightly": {"task": "shop.reckon", "options": ["queue"]}},
        {"nightly": {"task": ["shop.reckon"], "schedule": 60}},
    ],
)
def test_W015__leaves_a_schedule_of_a_wrong_kind_to_other_checks(site: Any, schedule: Any) -> None:
    site.conf.beat_schedule = schedule
    assert "W015" not in ids()
    assert "W002" not in ids()
