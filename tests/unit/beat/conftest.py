"""Beats of one app in one process, on the private Valkey of the test run, whose clock the test moves."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from celery import Celery

from tasktools.beat import scheduler as module
from tasktools.beat.clock import Clock
from tasktools.beat.records import key_of, lease_of
from tasktools.beat.scheduler import Scheduler
from tasktools.brokers.redis_lease import RedisLease
from tests.brokers.bulk import client, make
from tests.commands.conftest import server_that_ends_with_the_suite

__all__ = ["client", "make", "server_that_ends_with_the_suite"]


@pytest.fixture(autouse=True)
def log_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let records of beat reach pytest, whatever other tests have done to the loggers."""
    for name in ("celery", "celery.beat"):
        logger = logging.getLogger(name)
        monkeypatch.setattr(logger, "propagate", True)
        monkeypatch.setattr(logger, "disabled", False)


class Moved(Clock):
    """A clock that the test moves, and that of the machine with it."""

    #: How far it is ahead of the real one, in seconds.
    by = 0.0

    def __init__(self, timezone: Any) -> None:
        super().__init__(timezone, wall=lambda: time.time() + Moved.by)

    def time(self) -> float:
        return super().time() + Moved.by


class Beats:
    """The beats of an app whose messages and records a test looks at."""

    def __init__(self, app: Celery, client: redis.Redis) -> None:
        self.app = app
        self.client = client
        self.made: list[Scheduler] = []

    @property
    def hash(self) -> str:
        return key_of(self.app)

    @property
    def lease(self) -> str:
        return lease_of(self.app)

    def start(self, **options: Any) -> Scheduler:
        """Return a beat that has not yet ticked."""
        self.made.append(Scheduler(self.app, **options))
        return self.made[-1]

    def go(self, beat: Scheduler) -> None:
        """Have a beat tick until it has nothing more to send, or stands by."""
        for _ in range(50):
            if (beat.tick() > 0 and beat._is_loaded) or not beat.leadership.in_charge:
                return
        raise AssertionError("it ticks for ever")

    def pass_on(self) -> None:
        """Let the lease end, as that of a beat which is stopped does."""
        self.client.delete(self.lease)

    def sent(self, queue: str = "celery") -> list[str]:
        """Return the first argument of each task in the queue, oldest first, or its name."""
        found = []
        for message in self.client.lrange(queue, 0, -1)[::-1]:  # type: ignore[union-attr]
            parsed = json.loads(message)
            found.append(parsed["headers"]["argsrepr"].strip("(),'") or parsed["headers"]["task"])
        return found

    def headers(self, queue: str = "celery") -> list[dict[str, Any]]:
        return [json.loads(each)["headers"] for each in self.client.lrange(queue, 0, -1)[::-1]]  # type: ignore[union-attr]

    def kept(self, name: str) -> dict[str, Any]:
        """Return what the broker keeps of an entry."""
        text: Any = self.client.hget(self.hash, f"entry:{name}")
        found: dict[str, Any] = json.loads(text)
        return found

    def names(self) -> list[str]:
        fields: Any = self.client.hkeys(self.hash)
        return sorted(field.decode().removeprefix("entry:") for field in fields if field != b"charge")


@pytest.fixture
def forward(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Move the clock of every beat, in seconds."""
    monkeypatch.setattr(module, "Clock", Moved)
    monkeypatch.setattr(Moved, "by", 0.0)

    def move(seconds: float) -> None:
        Moved.by += seconds

    return move


@pytest.fixture
def beats(
    client: redis.Redis, make: Any, forward: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Beats]]:
    """Make an app with this schedule and these settings, for beats that stand by without waiting."""
    monkeypatch.setattr(RedisLease, "wait", lambda self, text, seconds: None)
    made: list[Beats] = []

    def start(schedule: dict[str, Any], task_options: dict[str, Any] | None = None, **conf: Any) -> Beats:
        app = make(task_options, beat_schedule=schedule, **{"result_expires": None, **conf})
        made.append(Beats(app, client))
        return made[-1]

    yield start
    for each in made:
        for beat in each.made:
            beat.close()


def every(seconds: float, *args: Any, **fields: Any) -> dict[str, Any]:
    """Return an entry of the schedule that sends shop.add."""
    return {"task": "shop.add", "schedule": seconds, "args": args or ("one",), **fields}
