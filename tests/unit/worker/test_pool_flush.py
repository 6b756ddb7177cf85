"""What a flush of the pool keeps: the tasks that a living process has been given."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from celery.concurrency.base import BasePool

from tasktools.worker.pool_flush import keep_given_tasks


class Job:
    def __init__(self, *, to: object = None, accepted: bool = False) -> None:
        self._write_to = to
        self.accepted = lambda: accepted


def process(fd: int, *, alive: bool = True) -> Any:
    return SimpleNamespace(inqW_fd=fd, is_alive=lambda: alive)


def flushed(**jobs: Job) -> tuple[set[str], set[int]]:
    """Return the jobs that are there, and the busy processes, after a flush that forgets like Celery's."""
    inner = SimpleNamespace(_cache=dict(jobs), _busy_workers=set())

    def forget() -> None:
        for key in [key for key, job in inner._cache.items() if not job.accepted()]:
            del inner._cache[key]

    pool: Any = SimpleNamespace(_pool=inner, flush=forget)
    keep_given_tasks(pool)
    pool.flush()
    return set(inner._cache), inner._busy_workers


def test_flush__keeps_what_a_living_process_has_been_given() -> None:
    assert flushed(given=Job(to=process(5)), waiting=Job()) == ({"given"}, {5})


def test_flush__of_a_dead_process_is_celerys() -> None:
    assert flushed(given=Job(to=process(5, alive=False))) == (set(), set())


def test_flush__what_runs_stays_as_celery_has_it() -> None:
    assert flushed(running=Job(to=process(5), accepted=True)) == ({"running"}, set())


@pytest.mark.parametrize("inner", [None, SimpleNamespace()])
def test_other_pools__are_left_alone(inner: object) -> None:
    pool: Any = SimpleNamespace(_pool=inner, flush=BasePool.flush)
    keep_given_tasks(pool)
    assert pool.flush is BasePool.flush
