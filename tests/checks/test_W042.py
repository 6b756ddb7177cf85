from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.checks import Warning as CheckWarning
from django.core.checks import run_checks

from tasktools import checks
from tasktools.celery_compat import DEFAULTS
from tasktools.checks import kinds


@pytest.mark.parametrize(
    ("name", "value", "why", "line"),
    [
        ("CELERY_TASK_TIME_LIMIT", "30", "is no number", "30"),
        ("CELERY_TASK_TIME_LIMIT", "half an hour", "is no number", "30, for example"),
        ("CELERY_TASK_SOFT_TIME_LIMIT", timedelta(minutes=5), "is no number", "300"),
        ("CELERY_WORKER_MAX_TASKS_PER_CHILD", [100], "is no number", "30, for example"),
        ("CELERY_REDIS_SOCKET_TIMEOUT", "soon", "is no number", "30, for example"),
        ("CELERY_BROKER_CONNECTION_TIMEOUT", (1, 2), "is no number", "30, for example"),
        ("CELERY_ACCEPT_CONTENT", "json", "is text and no list", '["json"]'),
        ("CELERY_TASK_ALWAYS_EAGER", "False", "is text and counts as true", "False"),
        ("CELERY_TASK_REJECT_ON_WORKER_LOST", "no", "is text and counts as true", "False"),
        ("CELERY_BROKER_USE_SSL", "0", "is text and counts as true", "False"),
    ],
)
def test_W042__fires_for_a_wrong_kind(mysite: Any, settings: Any, name: str, value: Any, why: str, line: str) -> None:
    settings.DEBUG = True
    setattr(settings, name, value)
    assert run_checks(tags=[checks.TAG]) == [
        CheckWarning(f"{name} is {value!r}, which {why}.", hint=f"{name} = {line}", id="tasktools.W042")
    ]


@pytest.mark.parametrize(
    ("name", "value", "is_now", "line"),
    [
        ("CELERY_REDIS_SOCKET_TIMEOUT", {"timeout": 5}, "a dict, which is no number", "30, for example"),
        ("CELERY_BROKER_TRANSPORT_OPTIONS", [("timeout", 60)], "a list, which is no dictionary", "{...}"),
        ("CELERY_TASK_PUBLISH_RETRY_POLICY", "password=pw", "a str, which is no dictionary", "{...}"),
        ("CELERY_MONGODB_BACKEND_SETTINGS", 12345, "an int, which is no dictionary", "{...}"),
        (
            "CELERY_REDIS_BACKEND_USE_SSL",
            True,
            "a bool, which is no dictionary",
            '{"ssl_cert_reqs": "required"}',
        ),
    ],
)
def test_W042__shows_no_value_that_may_hold_a_password(
    mysite: Any, settings: Any, name: str, value: Any, is_now: str, line: str
) -> None:
    setattr(settings, name, value)
    assert run_checks(tags=[checks.TAG]) == [
        CheckWarning(f"{name} is {is_now}.", hint=f"{name} = {line}", id="tasktools.W042")
    ]


def test_W042__hides_a_password_before_it_cuts_the_text(mysite: Any, settings: Any) -> None:
    settings.CELERY_BROKER_URL = "redis://:S3cretPassw0rdLong99@localhost"
    settings.CELERY_TASK_TIME_LIMIT = "x" * 70 + "S3cretPassw0rdLong99"
    (message,) = (each for each in run_checks(tags=[checks.TAG]) if each.id == "tasktools.W042")
    assert message.msg == f"CELERY_TASK_TIME_LIMIT is '{'x' * 70}**', which is no number."


def test_W042__fires_for_what_code_has_set(shop: Any) -> None:
    """Its name is the one that the code writes, if the app has no prefix."""
    shop.conf.task_time_limit = "30"
    (message,) = run_checks(tags=[checks.TAG])
    assert (message.id, message.hint) == ("tasktools.W042", "task_time_limit = 30")


def test_W042__fires_for_an_old_name(mysite: Any, settings: Any) -> None:
    """Celery 5.7 reads it; older ones do not, and the value does no harm."""
    settings.CELERYD_TASK_TIME_LIMIT = "30"
    wrong = [message.id for message in run_checks(tags=[checks.TAG]) if message.id == "tasktools.W042"]
    assert bool(wrong) is (mysite.conf.task_time_limit == "30")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CELERY_TASK_TIME_LIMIT", 30),
        ("CELERY_TASK_TIME_LIMIT", 30.5),
        ("CELERY_TASK_TIME_LIMIT", None),
        ("CELERY_WORKER_PREFETCH_MULTIPLIER", "1"),  # Celery converts it
        ("CELERY_RESULT_EXPIRES", "3600"),
        ("CELERY_REDIS_SOCKET_TIMEOUT", "5"),
        ("CELERY_REDIS_SOCKET_CONNECT_TIMEOUT", "2.5"),
        ("CELERY_WORKER_TIMER_PRECISION", "1"),
        ("CELERY_EVENT_QUEUE_TTL", "5"),
        ("CELERY_RESULT_EXPIRES", timedelta(days=3)),
        ("CELERY_WORKER_CONCURRENCY", "4"),
        ("CELERY_BROKER_TRANSPORT_OPTIONS", {"visibility_timeout": 60}),
        ("CELERY_BROKER_TRANSPORT_OPTIONS", None),
        ("CELERY_BROKER_USE_SSL", {"ssl_cert_reqs": 2}),
        ("CELERY_ACCEPT_CONTENT", ("json", "yaml")),
        ("CELERY_RESULT_EXTENDED", "True"),  # it counts as what it says
        ("CELERY_RESULT_EXTENDED", "1"),
        ("CELERY_RESULT_EXTENDED", ""),
        ("CELERY_RESULT_EXTENDED", 0),
        ("CELERY_WORKER_LOG_COLOR", None),
        ("CELERY_TASK_DEFAULT_RATE_LIMIT", "10/m"),
        ("CELERY_TASK_ANNOTATIONS", [{"*": {}}]),
    ],
)
def test_W042__is_silent_about(mysite: Any, settings: Any, name: str, value: Any) -> None:
    setattr(settings, name, value)
    assert run_checks(tags=[checks.TAG]) == []


@pytest.mark.parametrize("names", [kinds.NUMBERS, kinds.DICTIONARIES, kinds.LISTS, kinds.TEXTS])
def test_kinds__every_name_is_a_setting(names: frozenset[str]) -> None:
    assert names <= set(DEFAULTS.here())


@pytest.mark.parametrize(
    ("why", "value", "names"),
    [
        (
            "is no number",
            "soon",
            """beat_cron_starting_deadline beat_max_loop_interval beat_sync_every broker_connection_max_retries
            broker_connection_timeout redis_socket_connect_timeout redis_socket_timeout result_chord_join_timeout
            task_soft_time_limit task_time_limit worker_lost_wait worker_max_memory_per_child worker_max_tasks_per_child
            worker_proc_alive_timeout worker_soft_shutdown_timeout worker_timer_precision""",
        ),
        (
            "is no dictionary",
            "text",
            """broker_transport_options cache_backend_options database_engine_options database_table_names
            database_table_schemas mongodb_backend_settings redis_backend_use_ssl result_backend_transport_options
            task_publish_retry_policy""",
        ),
        ("is text and no list", "json", "accept_content result_accept_content"),
        (
            "is text and counts as true",
            "No",
            """broker_connection_retry_on_startup elasticsearch_retry_on_timeout result_persistent task_acks_on_failure
            task_acks_on_timeout task_reject_on_worker_lost worker_log_color task_always_eager broker_use_ssl""",
        ),
    ],
)
def test_kinds__of_each_setting(why: str, value: str, names: str) -> None:
    assert {kinds.why_wrong(name, value) for name in names.split()} == {why}


@pytest.mark.parametrize("value", ["0", "f", "False", "n", "NO", "off"])
def test_kinds__text_that_is_meant_as_no(value: str) -> None:
    assert kinds.why_wrong("task_always_eager", value) == "is text and counts as true"


def test_kinds__a_name_that_celery_does_not_list_has_no_kind() -> None:
    assert kinds.why_wrong("redbeat_lock_timeout", "no") == ""
