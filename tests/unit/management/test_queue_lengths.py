"""The lengths of queues over the memory transport, whose broker is this process."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tasktools.control.answers import Answers
from tasktools.exceptions import TasktoolsError, Unreachable
from tasktools.management import queue_lengths
from tasktools.management.queue_lengths import Lengths, lengths
from tasktools.queues.depth import Depth
from tasktools.queues.found import Found
from tests.support import wait_for


def test_lengths__of_the_queues_of_the_app(shop: Any) -> None:
    with Lengths(shop) as found:
        assert wait_for(lambda: found.known) == {"celery": 0}


def test_lengths__of_what_is_empty_and_declared_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    depths = {"celery": 0, "mails": 3, "old": 0, "stray": 2, "unknown": None}

    def read(connection: Any, queues: Any, into: dict[str, Depth]) -> None:
        into.update({name: Depth(waiting=depths[name]) for name in queues})

    monkeypatch.setattr(queue_lengths.depth, "read", read)
    found = Found(declared={"celery", "mails", "unknown"}, bound={"old"}, stray={"stray"})
    assert lengths(None, found) == {"celery": 0, "mails": 3, "stray": 2}


def test_lengths__of_queues_that_workers_read_and_of_those_seen_once_stay(
    shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    depths = {"celery": 0, "mails": 0, "stray": 2, "old": 0}
    answer = {"web": {"active_queues": [{"name": "mails"}, "odd", {}]}, "odd": {"active_queues": "?"}}
    said = Answers(said=answer, failed={}, listening=None, silent=None)

    def read(connection: Any, queues: Any, into: dict[str, Depth]) -> None:
        into.update({name: Depth(waiting=depths[name]) for name in queues})

    monkeypatch.setattr(queue_lengths, "find", lambda *_: Found(declared={"celery"}, stray={"stray"}, bound={"old"}))
    monkeypatch.setattr(queue_lengths, "ask", lambda *_: said)
    monkeypatch.setattr(queue_lengths.depth, "read", read)
    monkeypatch.setattr(queue_lengths, "PERIOD", 0.01)
    with Lengths(shop) as found:
        wait_for(lambda: found.known == {"celery": 0, "mails": 0, "stray": 2})
        depths["stray"] = 0
        wait_for(lambda: found.known == {"celery": 0, "mails": 0, "stray": 0})


def test_lengths__of_a_broker_that_is_away_are_not_known(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = threading.Event()

    def fail(*_: Any) -> None:
        tried.set()
        raise Unreachable("away")

    monkeypatch.setattr(queue_lengths, "connect", fail)
    with Lengths(shop) as found:
        assert tried.wait(60)
        assert found.known is None


def test_queues_of_workers__without_remote_control_are_none(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise TasktoolsError("no remote control")

    monkeypatch.setattr(queue_lengths, "ask", fail)
    assert queue_lengths.read_by_workers(shop) == set()
