"""W074: no task is given to a second worker while the first one still has it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning

from tasktools.arguments.names import shown
from tasktools.brokers.addresses import servers
from tasktools.checks.entries import entries, options_of
from tasktools.checks.transport_options import visibility
from tasktools.discovery.celery_app import Found
from tasktools.registry.registry import names
from tasktools.registry.routes import listed

#: The ids that this module can give.
IDS = ("tasktools.W074",)

#: The longest that SQS allows, in seconds.
_MOST_OF_SQS = 43200

#: The most of a delay that grows, in seconds, if nobody sets it (celery.app.autoretry).
_LONGEST = 600


def check(found: Found) -> list[CheckMessage]:
    """Compare what a worker keeps for a while with the visibility timeout. Of the project's own app, only tasks that exist."""
    app: Any = found.app
    kind = next((each.address.kind for each in servers(app) if each.is_broker and each.address), "")
    limit = visibility(app.conf, kind)
    if limit is None:
        return []
    groups: dict[tuple[str, float], list[str]] = {}
    if found.ready_made or app.finalized:
        limits = (app.conf.task_time_limit, app.conf.task_soft_time_limit)  # a look-up in the settings takes a while
        for name in sorted(names(app)):
            for why, seconds in kept(app.tasks[name], *limits):
                groups.setdefault((why, seconds), []).append(name)
    messages = [
        _of_tasks(tasks, why, seconds, limit, kind) for (why, seconds), tasks in groups.items() if seconds > limit
    ]
    return [*messages, *_of_entries(app.conf.beat_schedule, limit, kind)]


def kept(task: Any, hard: float | None, soft: float | None) -> Iterator[tuple[str, float]]:
    """Yield for how long a worker may keep a message of a task before it acknowledges it, in seconds, and why.

    `hard` and `soft` are the time limits of all tasks.
    """
    # Up to Celery 5.6, a task without a limit does not have that of the settings; the pool of the worker has it.
    limits = (task.time_limit, hard, task.soft_time_limit, soft)
    longest: Any = next((limit for limit in limits if limit is not None), None)
    if task.acks_late and _is_number(longest):
        yield "may run for {:g} s with acks_late", longest
    delay = _retry_delay(task)
    if delay is not None:
        yield "may wait for {:g} s before a retry", delay


def _retry_delay(task: Any) -> float | None:
    """Return the longest delay of a retry; None if nobody has chosen one."""
    from celery import Task

    if task.max_retries == 0:
        return None
    if not getattr(task, "autoretry_for", ()):
        delay = task.default_retry_delay
        return delay if _is_number(delay) and delay != Task.default_retry_delay else None
    backoff = float(getattr(task, "retry_backoff", False))
    if backoff:
        most = float(getattr(task, "retry_backoff_max", _LONGEST))
        return most if task.max_retries is None else min(max(1.0, backoff) * 2 ** min(task.max_retries - 1, 30), most)
    chosen = getattr(task, "retry_kwargs", {}).get("countdown", task.default_retry_delay)
    return chosen if _is_number(chosen) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float))


def _of_tasks(tasks: list[str], why: str, seconds: float, limit: float, kind: str) -> CheckMessage:
    subject = f'The task "{tasks[0]}"' if len(tasks) == 1 else f"Each of the tasks {listed(tasks)}"
    return _message(f"{subject} {why.format(seconds)}", seconds, limit, kind)


def _of_entries(schedule: Any, limit: float, kind: str) -> Iterator[CheckMessage]:
    for name, fields in entries(schedule):
        delay: Any = options_of(fields).get("countdown")
        if _is_number(delay) and delay > limit:
            subject = f'The beat schedule\'s entry "{shown(name)}" has a countdown of {delay:g} s'
            yield _message(subject, delay, limit, kind)


def _message(subject: str, seconds: float, limit: float, kind: str) -> CheckMessage:
    hours = (int(seconds) // 3600 + 1) * 3600
    hint = f'CELERY_BROKER_TRANSPORT_OPTIONS = {{"visibility_timeout": {hours}}}'
    if kind.lower() == "sqs" and hours > _MOST_OF_SQS:
        hint = f"shorten it: SQS allows no visibility timeout of more than {_MOST_OF_SQS} s"
    sentence = (
        f"{subject}, and after {limit:g} s the broker gives its message to another worker as well: it runs twice."
    )
    return CheckWarning(sentence, hint=hint, id="tasktools.W074")
