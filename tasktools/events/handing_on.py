"""Several watchers and one switch: the last one that leaves turns off the events of tasks.

A watcher that has turned on workers says so when it leaves, by an event of its own type, which Celery's and Flower's receivers
pass over. Another one that stays answers, and has to turn these workers off from then on.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tasktools.brokers import broker_of
from tasktools.brokers.reach import connect
from tasktools.events.follow import LIMIT, read
from tasktools.events.nodes import MOST_WORKERS

if TYPE_CHECKING:
    from celery import Celery

LEAVES, STAYS = "watcher-leaves", "watcher-stays"

#: How long an answer is waited for, in seconds.
PATIENCE = 0.5


def hand_on(app: Celery, watcher: str, workers: Sequence[str]) -> bool:
    """Say that this watcher leaves; return whether another one stays.

    Raises whatever the transport raises, and Unreachable.
    """
    with connect(broker_of(app), LIMIT) as connection:
        steps = read(app, connection, 0.05)
        next(steps)  # from then on the answer is heard
        _send(app, connection, LEAVES, watcher=watcher, workers=list(workers))
        until = time.monotonic() + PATIENCE
        for events in steps:
            if any(each.get("type") == STAYS and each.get("watcher") == watcher for each in events or ()):
                return True
            if time.monotonic() > until:
                break
    return False


def taken_over(event: Mapping[str, Any], watcher: str) -> tuple[str, set[str]] | None:
    """Return which other watcher leaves and the workers that it has turned on, if this is its event."""
    leaver, workers = event.get("watcher"), event.get("workers")
    if event.get("type") != LEAVES or leaver == watcher or not (isinstance(leaver, str) and isinstance(workers, list)):
        return None
    return leaver, {each for each in workers[:MOST_WORKERS] if isinstance(each, str)}


def stay(app: Celery, leaver: str) -> None:
    """Tell a watcher that leaves that this one stays."""
    with connect(broker_of(app), LIMIT) as connection:
        _send(app, connection, STAYS, watcher=leaver)


def _send(app: Celery, connection: Any, kind: str, **fields: Any) -> None:
    with app.events.Dispatcher(connection, enabled=True) as dispatcher:
        dispatcher.send(kind, **fields)
