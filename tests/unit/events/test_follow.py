"""Events over the memory transport, whose broker is this process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import islice
from types import SimpleNamespace
from typing import Any

import pytest
import redis
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


def test_follow__wakes_workers_and_acknowledges_nothing(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that is woken sends a heartbeat: it is known at once."""
    options: list[Any] = []
    prepared: list[Any] = []
    broker = following.broker_of(shop)
    consumer, connect = following.Consumer, following.connect
    connections: list[Any] = []
    closed: list[Any] = []

    def connected(*words: Any) -> Any:
        assert prepared == [broker]
        connections.append(connect(*words))
        collect = connections[-1].collect
        monkeypatch.setattr(connections[-1], "collect", lambda: closed.append(collect()))
        return connections[-1]

    monkeypatch.setattr(type(broker), "prepare", lambda self: prepared.append(broker))
    monkeypatch.setattr(following, "connect", connected)
    monkeypatch.setattr(following, "Consumer", lambda *words, **more: options.append(more) or consumer(*words, **more))
    woken: list[Any] = []
    monkeypatch.setattr(
        "celery.events.receiver.EventReceiver.wakeup_workers", lambda self, channel: woken.append(channel)
    )
    steps = follow(shop, 0.01)
    assert next(steps) == Connected(again=False)
    assert (options[0]["no_ack"], len(woken), closed) == (True, 1, [])
    steps.close()  # type: ignore[attr-defined]
    assert closed == [None]


def test_follow__a_broker_that_was_heard_is_not_asked(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "SILENCE", 600.0)
    monkeypatch.setattr(following, "check_broker", lambda *_: pytest.fail("it asks"))
    assert list(islice(follow(shop, 0.01), 3)) == [Connected(again=False), [], []]


def test_drain__json_that_is_nested_too_deeply_is_a_fault() -> None:
    """The others are read all the same."""
    steps: list[Exception] = [RecursionError("too deep"), TimeoutError()]
    noted: list[Any] = []

    def drain_events(timeout: float) -> None:
        assert 0 < timeout <= 5
        raise steps.pop(0)

    following._drain(SimpleNamespace(drain_events=drain_events), 5.0, lambda *words: noted.append(words))
    assert [(message, str(error)) for message, error in noted] == [(None, "too deep")]
    assert steps == []


def test_rest__is_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    clock = SimpleNamespace(monotonic=lambda: 100 + sum(slept), sleep=slept.append)
    monkeypatch.setattr(following, "time", clock)
    steps = list(islice(following._rest(0.25), 10))
    assert (steps, slept) == ([[]] * 4, [0.25] * 4)


def test_faults__the_first_one_is_told_once() -> None:
    faults = following._Faults()
    assert list(faults.news()) == []
    for word in ("first", "second"):
        faults.note(None, ValueError(word))
    assert [each.why for each in faults.news()] == ["first"]
    assert list(faults.news()) == []


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


def test_follow__of_a_list_only_what_may_be_an_event(shop: Any) -> None:
    steps = follow(shop, 0.02)
    next(steps)
    with shop.connection_for_write() as connection:
        body = [None, {"type": "task-sent"}, "x", {"type": "task-started"}]
        connection.Producer(serializer="json").publish(body, exchange="celeryev", routing_key="task.multi")
    assert [each["type"] for each in first_events(steps)] == ["task-sent", "task-started"]


class Refused(redis.exceptions.NoPermissionError, OSError):
    """What a Redis refuses, as an error that this transport has too."""


def refuse(*_: Any) -> None:
    raise Refused("no permissions to run the 'psubscribe' command")


def test_follow__what_is_refused_before_the_first_events_is_an_error(
    shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Redis is asked for the channels only when events are read."""
    steps = follow(shop, 0.02)
    next(steps)
    monkeypatch.setattr(following, "_drain", refuse)
    with pytest.raises(Unreachable, match="refuses"):
        next(steps)


def test_follow__what_is_refused_later_is_waited_for(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "REST", 0.02)
    steps = follow(shop, 0.02)
    assert [next(steps), next(steps)] == [Connected(again=False), []]
    monkeypatch.setattr(following, "_drain", refuse)
    lost, connected, again = islice((step for step in steps if step), 3)
    assert isinstance(lost, Lost)
    assert lost.why.startswith('The broker "memory://" refuses: no permissions')
    assert (connected, again) == (Connected(again=True), lost)


def test_follow__what_breaks_before_it_is_connected_is_an_error(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_: Any) -> Iterator[None]:
        raise ConnectionResetError("reset by peer")
        yield

    monkeypatch.setattr(following, "read", read)
    with pytest.raises(Unreachable, match="reset by peer"):
        next(follow(shop, 0.02))


def test_follow__rests_between_two_tries(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise ConnectionResetError("reset by peer")

    monkeypatch.setattr(following, "REST", 600)  # it connects within that, on a busy machine too
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

    monkeypatch.setattr(following, "REST", 0.05)
    steps = follow(shop, 0.03)
    next(steps)
    monkeypatch.setattr(following, "connect", refuse)
    monkeypatch.setattr(following, "_drain", lambda *_: refuse())
    assert next(steps) == Lost(why="It refuses.")
    monkeypatch.setattr(following, "read", lambda *_: pytest.fail("there is no connection"))
    assert next(steps) == []
    for _ in range(3):
        assert next(step for step in steps if step) == Lost(why="It refuses.")
        assert next(steps) == []


def test_follow__a_broker_that_refuses_at_first_is_an_error() -> None:
    app = Celery("away", broker=f"redis://127.0.0.1:{refusing_port()}/0", set_as_current=False)
    with pytest.raises(Unreachable):
        next(follow(app, 0.02))
    app.close()


def test_hand_on__hears_an_answer_that_comes_at_once(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    send = handing_on._send

    def answered(app: Any, connection: Any, kind: str, **fields: Any) -> None:
        send(app, connection, kind, **fields)
        if kind == handing_on.LEAVES:
            handing_on.stay(shop, fields["watcher"])

    monkeypatch.setattr(handing_on, "_send", answered)
    assert handing_on.hand_on(shop, "me", ["a"])


@pytest.mark.parametrize(
    ("at", "watcher", "stays"), [(0.0, "me", True), (0.4, "me", True), (0.4, "other", False), (0.6, "me", False)]
)
def test_hand_on__waits_for_its_own_answer(
    shop: Any, monkeypatch: pytest.MonkeyPatch, at: float, watcher: str, stays: bool
) -> None:
    """Nobody listens any longer than that."""
    now = 0.0

    def read(*_: Any) -> Iterator[Any]:
        nonlocal now
        yield None
        while True:
            yield [{"type": handing_on.STAYS, "watcher": watcher}] if now == at else []
            now = round(now + 0.2, 1)

    monkeypatch.setattr(handing_on, "read", read)
    monkeypatch.setattr(handing_on, "_send", lambda *_, **__: None)
    monkeypatch.setattr(handing_on, "time", SimpleNamespace(monotonic=lambda: now + 100))
    monkeypatch.setattr(handing_on, "PATIENCE", 0.3)
    assert handing_on.hand_on(shop, "me", ["a"]) is stays


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
    leaver.join(60)
    assert outcome == [True]
