"""Which kinds of values Celery can use for a setting."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from tasktools.celery_compat import DEFAULTS

#: Celery computes with these. Most of them, it does not convert from text. Others, such as a port, it converts.
NUMBERS = frozenset(
    [
        "beat_cron_starting_deadline",
        "beat_max_loop_interval",
        "beat_sync_every",
        "broker_connection_max_retries",
        "broker_connection_timeout",
        "redis_socket_connect_timeout",
        "redis_socket_timeout",
        "result_chord_join_timeout",
        "task_soft_time_limit",
        "task_time_limit",
        "worker_lost_wait",
        "worker_max_memory_per_child",
        "worker_max_tasks_per_child",
        "worker_proc_alive_timeout",
        "worker_soft_shutdown_timeout",
        "worker_timer_precision",
    ]
)

#: Of those, the ones that Celery or kombu gives to float().
_CONVERTED = frozenset({"redis_socket_connect_timeout", "redis_socket_timeout", "worker_timer_precision"})

#: Celery reads keys of these. Another check reads the schedule.
DICTIONARIES = frozenset(
    [
        "broker_transport_options",
        "cache_backend_options",
        "database_engine_options",
        "database_table_names",
        "database_table_schemas",
        "mongodb_backend_settings",
        "redis_backend_use_ssl",
        "result_backend_transport_options",
        "task_publish_retry_policy",
    ]
)

#: Celery iterates over these; of text it takes the letters.
LISTS = frozenset({"accept_content", "result_accept_content"})

#: One piece of text. A tuple of brokers is a list of them, and other checks read the time zone and the usual queue.
TEXTS = frozenset(
    [
        "beat_schedule_filename",
        "beat_scheduler",
        "cache_backend",
        "result_backend",
        "result_serializer",
        "task_serializer",
        "worker_pool",
        "worker_state_db",
    ]
)

#: On, off, or left to Celery: their default is None.
_SWITCHES = frozenset(
    [
        "broker_connection_retry_on_startup",
        "elasticsearch_retry_on_timeout",
        "result_persistent",
        "task_acks_on_failure",
        "task_acks_on_timeout",
        "task_reject_on_worker_lost",
        "worker_log_color",
    ]
)

#: Text that is meant as "no" and counts as true.
_NO = frozenset({"0", "f", "false", "n", "no", "off"})


def is_switch(name: str) -> bool:
    """Whether a setting is on or off."""
    return name in _SWITCHES or isinstance(DEFAULTS.here().get(name), bool)


def has_comma(name: str, value: Any) -> bool:
    """Whether the value is the tuple that a comma at the end of the line makes."""
    single = name in NUMBERS or name in DICTIONARIES or name in TEXTS or is_switch(name)
    return single and isinstance(value, tuple) and len(value) == 1


def why_wrong(name: str, value: Any) -> str:
    """Return why Celery cannot use the value, as the end of "it is X, which ..."; "" if it can, or if nobody knows."""
    is_converted = name in _CONVERTED and isinstance(value, str) and _seconds(value) is not None
    if name in NUMBERS and not is_converted and isinstance(value, (str, list, tuple, Mapping, timedelta)):
        return "is no number"
    if name in DICTIONARIES and value and not isinstance(value, Mapping):
        return "is no dictionary"
    if name in LISTS and isinstance(value, str):
        return "is text and no list"
    if is_switch(name) and isinstance(value, str) and value.lower() in _NO:
        return "is text and counts as true"
    return ""


def line_for(name: str, value: Any) -> str:
    """Return what to write in place of a wrong value, as Python."""
    if name in LISTS:
        return f'["{value}"]'
    if name in DICTIONARIES:
        return '{"ssl_cert_reqs": "required"}' if name == "redis_backend_use_ssl" else "{...}"
    if is_switch(name):
        return "False"
    seconds = _seconds(value.total_seconds() if isinstance(value, timedelta) else value)
    return "30, for example" if seconds is None else f"{seconds:g}"


def _seconds(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
