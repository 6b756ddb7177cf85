from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
from celery import group
from celery.exceptions import TimeoutError as WaitTimeout
from celery.result import allow_join_result

from tasktools.exceptions import WaitingWarning

WAITS: list[Callable[[Any], Any]] = [
    lambda add: add.delay(1).get(timeout=0.01),
    lambda add: add.delay(1).wait(timeout=0.01),
    lambda add: add.delay(1).get(timeout=0.01, disable_sync_subtasks=False),
    lambda add: group([add.s(1), add.s(2)]).delay().get(timeout=0.01),
    lambda add: group([add.s(1), add.s(2)]).delay().join(timeout=0.01),
    lambda add: group([add.s(1), add.s(2)]).delay().join_native(timeout=0.01),
]


@pytest.fixture
def run(add: Any) -> Callable[[Callable[[Any], Any]], None]:
    """Run a function inside a task."""

    def run_inside(function: Callable[[Any], Any]) -> None:
        @add.app.task(name="watched.outer", shared=False)
        def outer() -> None:
            with allow_join_result(), pytest.raises(WaitTimeout):
                function(add)

        outer.apply().get()

    return run_inside


@pytest.mark.parametrize("wait", WAITS)
def test_waiting__inside_a_task(run: Any, wait: Callable[[Any], Any]) -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("default")
        run(wait)
    assert {str(each.message) for each in seen} == {
        "The task watched.outer waits for another task: when all processes of the worker wait, no task runs any more. "
        "Use a chain, a chord, or the option link."
    }
    assert {(each.category, each.filename) for each in seen} == {(WaitingWarning, __file__)}


@pytest.mark.parametrize("wait", WAITS)
def test_waiting__outside_a_task(add: Any, wait: Callable[[Any], Any]) -> None:
    with pytest.raises(WaitTimeout):
        wait(add)


def test_waiting__in_a_task_that_is_called_as_a_function(add: Any) -> None:
    @add.app.task(name="watched.outer", shared=False)
    def outer() -> None:
        with pytest.raises(WaitTimeout):
            WAITS[0](add)

    outer()


def test_waiting__for_a_task_that_has_run_here(add: Any) -> None:
    @add.app.task(name="watched.outer", shared=False)
    def outer() -> Any:
        return add.apply((1,)).get()

    assert outer.apply().get() == 1


def test_waiting__is_turned_off_by_its_setting(run: Any, settings: Any) -> None:
    settings.TASKTOOLS_WARN_WAITING = False
    run(WAITS[0])
