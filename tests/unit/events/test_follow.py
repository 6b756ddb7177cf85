"""Events over the memory transport, whose broker is this process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest
from celery import Celery

from tasktools.events import follow as following
from tasktools.events import handing_on
from tasktools.events.follow import Connected, Lost, Step, Unreadable, follow
from tasktools.exceptions import Unreachable
from tests.support import refusing_port


def publish(app: Any, kind: str, **fields: Any) -> None:
    with app.connection_for_write() as connection, app.events.Dispatcher(connection, hostname="w") as dispatcher:
        dispatcher.send(kind, **fields)


def first_events(steps: Iterator[Step]) -> list[dict[str, Any]]:
    return next(step for step in steps if isinstance(step, list) and step)


def test_follow__yields_what_arrives(shop: Any) -> None:
    steps = follow(shop, 0.02)
    assert next(steps) == Connected(again=False)
    assert next(steps) == []
    publish(shop, "task-started", uuid="id")
    publish(shop, "task-succeeded", uuid="id")
    found = first_events(steps)
    found += [] if len(found) == 2 else first_events(steps)
    assert [(each["type"], each["hostname"]) for each in found] == [("task-started", "w"), ("task-succeeded", "w")]


def test_follow__a_silent_broker_is_lost_and_tried_again(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_: Any) -> None:
        raise Unreachable("It does not answer.")

    monkeypatch.setattr(following, "SILENCE", 0.0)
    monkeypatch.setattr(following, "check_broker", silent)
    monkeypatch.setattr(following, "REST", 0.05)
    steps = follow(shop, 0.01)
    assert list(islice((step for step in steps if step), 3)) == [
        Connected(again=False),
        Lost(why="It does not answer."),
        Connected(again=True),
    ]


def test_follow__what_cannot_be_read_is_passed_over_and_said_once(shop: Any) -> None:
    """What came with it is not lost, and the connection stays."""
    steps = follow(shop, 0.02)
    assert next(steps) == Connected(again=False)
    with shop.connection_for_write() as connection:
        producer = connection.Producer(serializer="pickle")
        for _ in range(3):
            producer.publish({"type": "task-sent"}, exchange="celeryev", routing_key="task.sent", serializer="pickle")
    publish(shop, "task-started", uuid="id")
    seen: list[Step] = []
    for step in steps:
        seen += [step] if step else []
        if any(isinstance(each, list) for each in seen):
            break
    seen += [step for step in islice(steps, 5) if step]
    faults = [step for step in seen if isinstance(step, Unreadable)]
    assert len(faults) == 1
    assert "pickle" in faults[0].why
    assert not any(isinstance(step, (Lost, Connected)) for step in seen)


def test_follow__rests_between_two_tries(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise ConnectionResetError("reset by peer")

    monkeypatch.setattr(following, "REST", 0.1)
    monkeypatch.setattr(following, "_drain", broken)
    steps = follow(shop, 0.03)
    assert [type(next(steps)) for _ in range(4)] == [Connected, Lost, list, list]


def test_follow__a_broken_connection_is_lost(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise ConnectionResetError("reset by peer")

    steps = follow(shop, 0.01)
    next(steps)
    monkeypatch.setattr(following, "_drain", broken)
    assert next(steps) == Lost(why="The connection to the broker is lost: reset by peer.")


def test_follow__a_broker_that_stays_away_is_tried_in_peace(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise Unreachable("It refuses.")

    steps = follow(shop, 0.3)
    next(steps)
    monkeypatch.setattr(following, "connect", refuse)
    monkeypatch.setattr(following, "_drain", lambda *_: refuse())
    assert next(steps) == Lost(why="It refuses.")
    assert next(steps) == []
    assert next(step for step in steps if step) == Lost(why="It refuses.")


def test_follow__a_broker_that_refuses_at_first_is_an_error() -> None:
    app = Celery("away", broker=f"redis://127.0.0.1:{refusing_port()}/0", set_as_current=False)
    with pytest.raises(Unreachable):
        next(follow(app, 0.02))
    app.close()


def test_hand_on__hears_whether_another_stays(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not handing_on.hand_on(shop, "me", ["a"])
    monkeypatch.setattr(handing_on, "PATIENCE", 5.0)
    steps = follow(shop, 0.02)
    next(steps)
    outcome: list[bool] = []
    leaver = threading.Thread(target=lambda: outcome.append(handing_on.hand_on(shop, "me", ["a"])))
    leaver.start()
    leaves = next(
        each for step in steps if isinstance(step, list) for each in step if each["type"] == handing_on.LEAVES
    )
    assert handing_on.taken_over(leaves, "other") == ("me", {"a"})
    handing_on.stay(shop, "me")
    leaver.join(5)
    assert outcome == [True]
