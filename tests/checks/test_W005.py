from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Callable
from typing import Any

import pytest
from celery import Celery, Task
from django.core.checks import Warning as CheckWarning
from django.core.checks import run_checks

from tasktools import checks
from tasktools.discovery.celery_app import Found
from tasktools.project import Project


async def fetch(url: str) -> None: ...


def steps() -> Any:
    yield 1


async def stream() -> Any:
    yield 1


def line_of(function: Any) -> str:
    return f"tests/checks/test_W005.py:{function.__code__.co_firstlineno}"


@pytest.mark.parametrize(
    ("function", "why", "hint"),
    [
        (
            fetch,
            "an async function, which Celery does not await",
            "return async_to_sync(fetch)(...) (from asgiref.sync import async_to_sync)",
        ),
        (steps, "a generator, which Celery does not iterate over", "for _ in steps(...): pass"),
        (
            stream,
            "an async function, which Celery does not await",
            "async_to_sync(run)(), with async def run(): async for _ in stream(...): pass"
            " (from asgiref.sync import async_to_sync)",
        ),
    ],
)
@pytest.mark.parametrize("options", [{}, {"autoretry_for": (ValueError,)}])
def test_W005__fires_for_a_task_whose_body_no_worker_runs(
    shop: Any, function: Any, why: str, hint: str, options: Any
) -> None:
    shop.task(name="shop.idle", shared=False, **options)(function)
    assert run_checks(tags=[checks.TAG]) == [
        CheckWarning(
            f'The task "shop.idle" ({line_of(function)}) is {why}: no worker runs its body.',
            hint=f"write a plain function as the task, with the body: {hint}",
            id="tasktools.W005",
        )
    ]


def test_W005__is_silent_for_plain_functions(shop: Any) -> None:
    assert run_checks(tags=[checks.TAG]) == []


class Awaiting(Task):
    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return asyncio.run(super().__call__(*args, **kwargs))


def test_W005__is_silent_for_a_class_that_may_await(shop: Any) -> None:
    shop.task(name="shop.idle", shared=False, base=Awaiting)(fetch)
    assert run_checks(tags=[checks.TAG]) == []


def test_W005__is_silent_for_a_pool_that_may_await(shop: Any) -> None:
    shop.task(name="shop.idle", shared=False)(fetch)
    shop.conf.worker_pool = "custom"
    assert run_checks(tags=[checks.TAG]) == []


@pytest.mark.parametrize("package", ["celery_aio_pool", "celery_pool_asyncio"])
def test_W005__is_silent_where_such_a_pool_is_installed(
    shop: Any, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    """The pool may be named on the command line of the worker."""
    shop.task(name="shop.idle", shared=False)(fetch)
    find_spec: Callable[..., Any] = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: name == package or find_spec(name, *rest))
    assert run_checks(tags=[checks.TAG]) == []


def test_W005__makes_no_tasks_of_an_app_of_the_project(project: Project) -> None:
    """They are imported when a command needs them; until then, nothing is known."""
    with Celery("own", broker="memory://", set_as_current=False) as app:
        app.task(name="own.idle", shared=False)(fetch)
        project.found = Found(app=app)
        assert run_checks(tags=[checks.TAG]) == []
        assert not app.finalized
        app.finalize()
        assert [message.id for message in run_checks(tags=[checks.TAG])] == ["tasktools.W005"]
