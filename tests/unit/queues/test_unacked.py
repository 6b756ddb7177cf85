from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from tasktools.brokers.keys import Binding
from tasktools.queues import unacked as room
from tasktools.queues.unacked import Taken, unacked

SOON = (datetime.now(timezone.utc) + timedelta(hours=1)).isoformat()
PAST = (datetime.now(timezone.utc) - timedelta(hours=1)).isoformat()


class Keys:
    """The keys of a Redis with these entries of kombu: when each was taken, and [message, exchange, routing key]."""

    def __init__(self, *entries: tuple[float, Any]) -> None:
        self.entries = entries
        self.channel = SimpleNamespace(unacked_key="unacked", unacked_index_key="index")
        self.client = self
        self.calls: list[int] = []

    def full(self, name: str) -> str:
        return f"full:{name}"

    def zcard(self, key: str) -> int:
        assert key == "full:index"
        return len(self.entries)

    def zrange(self, key: str, first: int, last: int, *, withscores: bool) -> list[tuple[int, float]]:
        assert (key, withscores) == ("full:index", True)
        return [(place, self.entries[place][0]) for place in range(len(self.entries))][first : last + 1]

    def hmget(self, key: str, tags: list[int]) -> list[bytes | None]:
        assert key == "full:unacked"
        self.calls.append(len(tags))
        found = [self.entries[tag][1] for tag in tags]
        return [each if each is None or isinstance(each, bytes) else json.dumps(each).encode() for each in found]


def entry(exchange: str, key: str, eta: Any = None) -> Any:
    return [{"headers": {"task": "a", "eta": eta}}, exchange, key]


def counted(keys: Keys, *bindings: Binding) -> Any:
    *_, found = unacked(keys, bindings)  # type: ignore[arg-type]
    assert found is not None
    return found


def test_unacked__by_queue() -> None:
    keys = Keys((10.0, entry("", "mails")), (20.0, entry("", "celery", SOON)), (30.0, entry("", "celery", PAST)))
    found = counted(keys)
    assert found.by_queue == {"mails": Taken(count=1, since=10.0), "celery": Taken(count=2, later=1, since=20.0)}
    assert found.doubtful == set()


@pytest.mark.parametrize(
    ("exchange", "key", "queue"),
    [
        ("shop", "a", "first"),
        ("shop", "b", "second"),
        ("shop", "c", "c"),
        ("topics", "order.new", "orders"),
        ("topics", "else", "else"),
        ("unknown", "a", "a"),
        ("", "a", "a"),
        ("broken", "a", "a"),
    ],
)
def test_unacked__the_queue_of_an_exchange(exchange: str, key: str, queue: str) -> None:
    bindings = (
        Binding("shop", "a", "", "first"),
        Binding("shop", "b", "", "second"),
        Binding("topics", "order.*", r"^order\..*?$", "orders"),
        Binding("broken", "x", "(", "never"),
    )
    assert [*counted(Keys((1.0, entry(exchange, key))), *bindings).by_queue] == [queue]


def test_unacked__a_message_that_may_be_of_two_queues() -> None:
    bindings = Binding("shop", "a", "", "first"), Binding("shop", "a", "", "second")
    found = counted(Keys((1.0, entry("shop", "a"))), *bindings)
    assert (found.doubtful, found.by_queue) == ({"first", "second"}, {"first": Taken(count=1, since=1.0)})


@pytest.mark.parametrize("value", [b"no json", b"{}", b"[]", b"[1]", b'["a", null, 5]'])
def test_unacked__what_is_no_entry_of_kombu_does_no_harm(value: bytes) -> None:
    found = counted(Keys((1.0, value), (2.0, entry("", "celery"))))
    assert found.by_queue["celery"] == Taken(count=1, since=2.0)


def test_unacked__what_is_acknowledged_meanwhile_is_left_out() -> None:
    assert counted(Keys((1.0, None))).by_queue == {}


@pytest.mark.parametrize("eta", ["never", 5, [1], "9999-99-99"])
def test_unacked__an_eta_that_is_none(eta: Any) -> None:
    assert counted(Keys((1.0, entry("", "celery", eta)))).by_queue["celery"].later == 0


@pytest.mark.parametrize(
    "eta",
    [
        (datetime.now(timezone.utc) + timedelta(hours=1)).replace(tzinfo=None).isoformat(),
        (datetime.now(timezone.utc) + timedelta(hours=1)).astimezone(timezone(timedelta(hours=-3))).isoformat(),
        (datetime.now(timezone.utc) + timedelta(hours=1)).replace(tzinfo=None).isoformat(timespec="seconds") + "Z",
    ],
    ids=["none", "-03:00", "Z"],
)
def test_unacked__an_eta_of_each_zone(eta: str) -> None:
    assert counted(Keys((1.0, entry("", "celery", eta)))).by_queue["celery"].later == 1


def test_unacked__in_slices() -> None:
    keys: Any = Keys(*[(1.0, entry("", "celery"))] * (2 * room.SLICE + 1))
    assert counted(keys).by_queue["celery"].count == 2 * room.SLICE + 1
    assert keys.calls == [room.SLICE, room.SLICE, 1]
    assert len(list(unacked(keys, ()))) == 4  # each slice is a step


def test_unacked__too_many_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MOST_TAKEN", 1)
    keys: Any = Keys((1.0, entry("", "celery")), (1.0, entry("", "celery")))
    assert list(unacked(keys, ())) == [None]
    monkeypatch.setattr(room, "MOST_TAKEN", 2)
    assert None not in list(unacked(keys, ()))
    monkeypatch.setattr(room, "MOST_TAKEN", 1)
    *_, found = unacked(keys, (), deep=True)
    assert found is not None
    assert found.by_queue["celery"].count == 2
