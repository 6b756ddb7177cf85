"""Wait for the outcomes of tasks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from tasktools.results.backend import look
from tasktools.results.outcome import Outcome

if TYPE_CHECKING:
    from celery import Celery


def wait(
    app: Celery,
    task_ids: Sequence[str],
    *,
    timeout: float | None,
    interval: float = 0.5,
    on_look: Callable[[Sequence[Outcome], float], object] = lambda unfinished, seconds: None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> Iterator[Outcome]:
    """Yield each task's outcome when it is final. After `timeout` (seconds), yield those that are not final.

    It looks every 10 ms at first; the pauses grow up to `interval` seconds. After each look it calls `on_look` with the
    outcomes that are not final, if any, and the seconds since the first look.
    """
    began = clock()
    deadline = None if timeout is None else began + timeout
    open_ids, pause = list(task_ids), min(0.01, interval)
    while open_ids:
        outcomes = [look(app, task_id) for task_id in open_ids]
        timed_out = deadline is not None and clock() >= deadline
        yield from (each for each in outcomes if each.finished or timed_out)
        unfinished = [] if timed_out else [each for each in outcomes if not each.finished]
        open_ids = [each.id for each in unfinished]
        if open_ids:
            on_look(unfinished, clock() - began)
            sleep(pause if deadline is None else max(0.0, min(pause, deadline - clock())))
            pause = min(pause * 1.5, interval)
