from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.core.signals import request_started

from tasktools.apps import after_start_up


class ReadOnlyEvent:
    """An event whose methods cannot be replaced, as gevent's."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    def is_set(self) -> bool:
        return self._event.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        return self._event.wait(timeout)


@pytest.fixture(params=[threading.Event, ReadOnlyEvent])
def event(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    made = request.param()
    monkeypatch.setattr(apps, "ready_event", made)
    return made


def test_after_start_up__calls_once_when_the_event_is_set(event: Any) -> None:
    calls: list[bool] = []
    after_start_up(lambda: calls.append(event.is_set()))
    assert (calls, apps.ready_event.is_set(), apps.ready_event.wait(timeout=0)) == ([], False, False)
    apps.ready_event.set()
    assert calls == [True]
    assert apps.ready_event is event
    apps.ready_event.set()
    assert calls == [True]


def test_after_start_up__wakes_who_waited_before(event: Any) -> None:
    waiting = threading.Thread(target=event.wait, daemon=True)
    waiting.start()
    after_start_up(lambda: None)
    apps.ready_event.set()
    waiting.join(5)
    assert not waiting.is_alive()


def test_after_start_up__two_may_wait_for_it(event: Any) -> None:
    calls: list[str] = []
    after_start_up(lambda: calls.append("first"))
    after_start_up(lambda: calls.append("second"))
    apps.ready_event.set()
    assert sorted(calls) == ["first", "second"]
    assert apps.ready_event.is_set()


@pytest.fixture
def frozen_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    receivers, request_started.receivers = request_started.receivers, []
    request_started.sender_receivers_cache.clear()

    class Frozen:
        @property
        def ready_event(self) -> threading.Event:
            return threading.Event()

    monkeypatch.setattr("tasktools.apps.apps", Frozen())
    yield
    request_started.receivers = receivers
    request_started.sender_receivers_cache.clear()


@pytest.mark.usefixtures("frozen_registry")
def test_after_start_up__a_registry_that_cannot_be_told__waits_for_the_first_request() -> None:
    calls: list[int] = []
    after_start_up(lambda: calls.append(1))
    assert calls == []
    request_started.send(sender=None, environ={})
    assert calls == [1]
