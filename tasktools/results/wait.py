"""Wait for the outcomes of tasks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from tasktools.exceptions import Unreachable
from tasktools.results.looking import BREATH, Polling, watcher_of
from tasktools.results.outcome import Outcome

if TYPE_CHECKING:
    from celery import Celery

#: For how long the backend may be away after it has answered once, in seconds: it may be restarted.
PATIENCE = 4.0

#: The first pause, by how much pauses grow, and how much longer than the look before a pause is at least.
_FIRST, _GROWTH, _SHARE = 0.01, 1.5, 10


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

    Where the backend can tell, it wakes as soon as an outcome is there. It also looks by itself: every 10 ms at first, and the
    pauses grow up to `interval` seconds. After each look it calls `on_look` with the outcomes that are not final, if any, and the
    seconds since the first look; likewise with those that it was told of.

    Raises Unreachable when the backend does not answer; one that has answered may be away for PATIENCE.
    """
    began = clock()
    deadline = None if timeout is None else began + timeout
    waiting, pause = dict.fromkeys(task_ids), min(_FIRST, interval)
    with watcher_of(app, sleep) as watcher:
        look = _Look(watcher, clock, sleep)
        while waiting:
            outcomes = look(list(waiting))
            timed_out = deadline is not None and clock() >= deadline
            yield from _taken(outcomes, waiting, timed_out=timed_out)
            if waiting:
                on_look([each for each in outcomes if not each.finished], clock() - began)
                until = look.ended + max(pause, look.took * _SHARE)
                heard = _listen(watcher, waiting, until if deadline is None else min(until, deadline), clock)
                for some in heard:
                    yield from _taken(some, waiting)
                    if unfinished := [each for each in some if not each.finished]:
                        on_look(unfinished, clock() - began)
                pause = min(pause * _GROWTH, interval)


def _taken(outcomes: Sequence[Outcome], waiting: dict[str, None], *, timed_out: bool = False) -> Iterator[Outcome]:
    """Yield those that are final, or all when time is up, and strike them off."""
    for each in outcomes:
        if (each.finished or timed_out) and each.id in waiting:
            del waiting[each.id]
            yield each


def _listen(
    watcher: Polling, waiting: dict[str, None], until: float, clock: Callable[[], float]
) -> Iterator[Sequence[Outcome]]:
    """Yield what is heard until that time."""
    while waiting and (heard := watcher.pause(max(0.0, until - clock()), waiting)):
        yield heard


class _Look:
    """Looks for results, and again if the backend has answered before and is away now."""

    def __init__(self, watcher: Polling, clock: Callable[[], float], sleep: Callable[[float], object]) -> None:
        self.watcher, self.clock, self.sleep = watcher, clock, sleep
        #: When the last look ended, and how long it took, in seconds.
        self.ended = self.took = 0.0
        self._has_answered = False

    def __call__(self, task_ids: Sequence[str]) -> Sequence[Outcome]:
        while True:
            begun = self.clock()
            try:
                outcomes = self.watcher.look(task_ids)
            except Unreachable:
                if not self._has_answered or self.clock() - self.ended >= PATIENCE:
                    raise
                self.sleep(BREATH)
            else:
                self._has_answered, self.ended, self.took = True, self.clock(), self.clock() - begun
                return outcomes
