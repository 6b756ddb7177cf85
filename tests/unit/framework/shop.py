"""Tasks of the framework."""

from __future__ import annotations

import asyncio
import importlib
import sys
from typing import Any

from celery import current_task
from celery.exceptions import Ignore, Reject

from tasktools.framework import library

task: Any = importlib.import_module(library.name()).task


class Unlucky(Exception):
    pass


@task
def add(x: int, y: int = 2) -> int:
    """Add."""
    return x + y


@task(queue_name="mails", priority=50)
def mail(to: str) -> str:
    return to


@task(takes_context=True)
def told(context: Any, word: str) -> list[Any]:
    return [word, context.attempt, context.task_result.id]


@task
async def later(x: int) -> int:
    return x


@task
def fail() -> None:
    raise Unlucky("no luck")


@task
def leave() -> None:
    sys.exit(3)


@task
def give() -> Any:
    return object()


@task
def interrupted() -> None:
    raise KeyboardInterrupt


@task
def again() -> None:
    raise current_task.retry(exc=Unlucky("not yet"), countdown=0, throw=False)


@task
async def cancelled() -> None:
    raise asyncio.CancelledError("stopped")


@task
def ignored() -> None:
    raise Ignore("not mine")


@task
def rejected(requeue: bool) -> None:
    raise Reject("no room", requeue=requeue)
