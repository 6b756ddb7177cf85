"""What a worker does when its supervisor says it, and what it says of itself: both ends of the line are real."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from celery import signals
from celery.worker import state

from tasktools.supervisor.child import Child
from tasktools.supervisor.line import Line
from tasktools.worker.admission import Intake, Limits
from tasktools.worker.supervisor_client import obey
from tests.support import wait_for


class Bench:
    def __init__(self) -> None:
        self.supervisor, theirs = socket.socketpair()
        self.child = Child(0, self.supervisor, number=1)
        self.line = Line(theirs.detach())
        self.intake = Intake(Limits(), supervised=True)
        self.changed: list[str] = []
        self.done: list[Any] = []
        sources: Any = SimpleNamespace(changed=lambda: self.changed, renew=self.renew)
        stop: Any = SimpleNamespace(be_replaced=lambda grace: self.done.append(grace))
        obey(self.line, self.intake, sources, stop)

    def renew(self) -> None:
        self.done.append(("renewed", self.intake.paused))

    def heard(self) -> Any:
        """Return the next message; there is no other one."""
        messages: list[Any] = []
        wait_for(lambda: messages.extend(self.child.heard()) or messages)
        [message] = messages
        return message


@pytest.fixture
def bench(receivers: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(state, "should_stop", None)
    ended = threading.Event()
    monkeypatch.setattr(os, "kill", lambda pid, signum: ended.set())
    made = Bench()
    yield made
    made.supervisor.close()
    is_ended = ended.wait(60)
    made.line._socket.close()
    assert is_ended  # a worker whose supervisor has gone ends


def test_ready__is_said_when_celery_is(bench: Bench) -> None:
    signals.worker_ready.send(sender=None)
    assert bench.heard() == {"say": "ready"}


def test_pause_and_resume(bench: Bench) -> None:
    bench.child.say("pause")
    wait_for(lambda: bench.intake.paused)
    assert bench.done == []
    bench.child.say("resume")
    wait_for(lambda: not bench.intake.paused)
    assert bench.done == [("renewed", True)]  # first: what it then takes is run by the code that it has


def test_leave__has_the_grace(bench: Bench) -> None:
    bench.child.say("leave", grace=7.0)
    wait_for(lambda: bench.done)
    assert bench.done == [7.0]


@pytest.mark.parametrize(("before", "after"), [(None, 0), (3, 3), (False, False)])
def test_end__stops_a_worker_that_does_not_stop_yet(bench: Bench, before: Any, after: Any) -> None:
    state.should_stop = before
    bench.child.say("end")
    bench.child.say("pause")
    wait_for(lambda: bench.intake.paused)
    assert state.should_stop is after


def test_message__when_a_file_has_changed__goes_back_and_is_reported_once(bench: Bench) -> None:
    assert bench.intake.refuses() is False
    assert not bench.intake.paused
    bench.changed.append("a.py")
    assert bench.intake.refuses() is True
    assert bench.intake.paused
    assert bench.heard() == {"say": "stale", "paths": ["a.py"]}
    assert bench.intake.refuses() is True  # a second message; nothing more is said
    signals.worker_ready.send(sender=None)
    assert bench.heard() == {"say": "ready"}
