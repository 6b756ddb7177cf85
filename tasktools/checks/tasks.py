"""W005: a worker runs the body of every task."""

from __future__ import annotations

import importlib.util
import inspect
from typing import Any

from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning

from tasktools.discovery.celery_app import Found
from tasktools.registry.registry import function_of, names, place_of, why_idle

#: The ids that this module can give.
IDS = ("tasktools.W005",)

#: Packages with a pool that awaits tasks. A worker may get it on its command line, which this process does not see.
_ASYNC_POOLS = ("celery_aio_pool", "celery_pool_asyncio")


def check(found: Found) -> list[CheckMessage]:
    """Warn of async functions and generators that are tasks. Of the project's own app, only tasks that exist are checked."""
    app: Any = found.app
    if not (found.ready_made or app.finalized):
        return []
    tasks = (app.tasks[name] for name in sorted(names(app)))
    idle = [(task, why) for task in tasks if (why := why_idle(app, task))]
    if not idle or any(map(importlib.util.find_spec, _ASYNC_POOLS)):
        return []
    return [_message(task, why) for task, why in idle]


def _message(task: Any, why: str) -> CheckMessage:
    place = f" ({where})" if (where := place_of(task)) else ""
    sentence = f'The task "{task.name}"{place} is {why}: no worker runs its body.'
    return CheckWarning(sentence, hint=_hint(inspect.unwrap(function_of(task))), id="tasktools.W005")


def _hint(function: Any) -> str:
    call = f"{getattr(function, '__name__', 'it')}(...)"
    loop = f"for _ in {call}: pass"
    if inspect.isgeneratorfunction(function):
        line = loop
    elif inspect.isasyncgenfunction(function):
        line = f"async_to_sync(run)(), with async def run(): async {loop}"
    else:
        line = f"return async_to_sync({call[:-5]})(...)"
    source = "" if line == loop else " (from asgiref.sync import async_to_sync)"
    return f"write a plain function as the task, with the body: {line}{source}"
