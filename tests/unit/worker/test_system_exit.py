"""sys.exit() in a task of a pool without processes: the task fails, and its place is free again."""

from __future__ import annotations

import logging
import sys
from typing import Any

import pytest
from billiard.exceptions import WorkerLostError
from celery.concurrency import get_implementation
from celery.exceptions import WorkerShutdown, WorkerTerminate

from tasktools.worker.system_exit import fail_on_exit
from tests.support import wait_for


def result_of(name: str, target: Any) -> list[Any]:
    """Return what the pool reports of a task, as Celery's worker hears it."""
    heard: list[Any] = []
    pool = get_implementation(name)(limit=1)
    pool.start()
    try:
        fail_on_exit(pool)
        pool.apply_async(target, (), {}, callback=heard.append, accept_callback=lambda *_: None)
        wait_for(lambda: heard)
    finally:
        pool.stop()
    return heard


@pytest.mark.parametrize(("code", "text"), [(None, "sys.exit()"), (3, "sys.exit(3)"), ("why", "sys.exit('why')")])
def test_exit__fails_the_task(caplog: pytest.LogCaptureFixture, code: Any, text: str) -> None:
    with caplog.at_level(logging.ERROR):
        [(failed, info, _)] = result_of("threads", lambda: sys.exit(code))
    assert failed
    assert isinstance(info.exception.exc, WorkerLostError)
    assert str(info.exception.exc) == f"The task called {text}."
    assert f"A task has called {text}: it has failed." in caplog.text


def test_result__is_handed_on() -> None:
    assert result_of("threads", lambda: (0, "result", 0.1)) == [(0, "result", 0.1)]


def test_pool_of_a_consumer_that_connects_again__is_changed_once() -> None:
    pool = get_implementation("threads")(limit=1)
    fail_on_exit(pool)
    changed = pool.apply_async
    fail_on_exit(pool)
    assert pool.apply_async is changed


@pytest.mark.parametrize("kind", [WorkerShutdown, WorkerTerminate])
def test_stop_of_the_worker__is_none(kind: type[SystemExit]) -> None:
    class Pool:
        is_green = True

        def apply_async(self, target: Any) -> Any:
            return target()

    def stop() -> None:
        raise kind(0)

    pool = Pool()
    fail_on_exit(pool)
    with pytest.raises(kind):
        pool.apply_async(stop)


@pytest.mark.parametrize("name", ["solo", "prefork"])
def test_other_pools__stay_as_they_are(name: str) -> None:
    pool = get_implementation(name)(limit=1)
    fail_on_exit(pool)
    assert "apply_async" not in vars(pool)
