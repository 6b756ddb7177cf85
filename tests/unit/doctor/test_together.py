from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Iterator

import pytest

from tasktools.brokers.timeouts import TimedOut
from tasktools.doctor.together import together


@pytest.fixture
def over() -> Iterator[threading.Event]:
    """What ends the calls that wait."""
    event = threading.Event()
    yield event
    event.set()


def test_together__a_silent_one_does_not_take_the_time_of_the_others(over: threading.Event) -> None:
    began = time.monotonic()
    found = together({"silent": lambda: over.wait(60), "mute": lambda: over.wait(60), "quick": lambda: True}, 1.0)
    assert 1 <= time.monotonic() - began < 30
    assert found["quick"] is True
    assert isinstance(found["silent"], TimedOut)
    assert isinstance(found["mute"], TimedOut)


def test_together__they_run_at_once() -> None:
    both = threading.Barrier(2)
    assert set(together({"one": both.wait, "two": both.wait}, 10).values()) == {0, 1}


def test_together__returns_what_is_raised() -> None:
    def fail() -> None:
        raise SystemExit("no")

    found = together({"fails": fail, "works": lambda: None}, 10)
    assert isinstance(found["fails"], SystemExit)
    assert found["works"] is None


def test_together__a_call_has_the_context_of_the_caller() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="no")
    token = variable.set("yes")
    assert together({"context": variable.get}, 10) == {"context": "yes"}
    variable.reset(token)
