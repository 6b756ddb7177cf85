"""What a beat lets be seen of its rounds, for those who ask whether it is alive (tasktools.health)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from celery.signals import beat_init

from tasktools.celery_compat import TICK
from tasktools.health.beat_watch import BeatWatch
from tasktools.health.gauge import Gauge, one
from tasktools.health.memory import resident


def install(watch: BeatWatch) -> None:
    """Have the beat that is about to start in this process followed."""

    def begin(sender: Any, **_: Any) -> None:
        scheduler = sender.scheduler
        leadership = getattr(scheduler, "leadership", None)
        if leadership is not None:
            watch.role = lambda: role(leadership)
            watch.waits_until = lambda: float(leadership.waits_until)
        TICK.wrap(scheduler, lambda tick: _noting(tick, watch))

    beat_init.connect(begin, weak=False)


def _noting(tick: Callable[..., Any], watch: BeatWatch) -> Callable[..., Any]:
    def noted(*args: Any, **options: Any) -> Any:
        watch.begin_round()
        interval = tick(*args, **options)
        watch.end_round(float(interval or 0))
        return interval

    return noted


def role(leadership: Any) -> str | None:
    """Return what a beat does; None if it does not reach its lease."""
    if leadership.lease is None:
        return None
    return "is in charge" if leadership.in_charge else "stands by"


def gauges(watch: BeatWatch) -> list[Gauge]:
    """Return the numbers of a beat."""
    memory = resident([os.getpid()])
    return [
        one("tasktools_beat_up_seconds", "How long this beat has run.", watch.clock() - watch.since),
        one("tasktools_beat_live", "Whether /livez says that it is alive.", watch.live().ok),
        one("tasktools_beat_ready", "Whether /readyz says that it is ready.", watch.ready().ok),
        one(
            "tasktools_beat_in_charge",
            "Whether it sends; 0 for one that stands by.",
            watch.role() in ("", "is in charge"),
        ),
        one("tasktools_beat_last_round_timestamp_seconds", "When its last round ended.", watch.last_round or None),
        one("tasktools_beat_round_age_seconds", "How long ago that was.", _age(watch)),
        one("tasktools_beat_lag_seconds", "How much later than planned its last round began.", watch.lag),
        Gauge(
            "tasktools_resident_memory_bytes", "Resident memory.", {} if memory is None else {"main": memory}, "process"
        ),
    ]


def _age(watch: BeatWatch) -> float | None:
    return max(0.0, time.time() - watch.last_round) if watch.last_round else None
