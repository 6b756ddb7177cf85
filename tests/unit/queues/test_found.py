from __future__ import annotations

from itertools import groupby
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from tasktools.brokers.keys import Binding
from tasktools.queues import found as room
from tasktools.queues.found import find, finding, holds_messages, is_internal

MESSAGE = b'{"body": "x", "headers": {}, "properties": {}}'

BINDINGS = (
    Binding("celery", "celery", "", "celery"),
    Binding("shop", "a", "", "mails"),
    Binding("shop", "b", "", "celeryev.2"),
    Binding("celery.pidbox", "", "", "celery@host.celery.pidbox"),
    Binding("reply.celery.pidbox", "1", "", "1.reply.celery.pidbox"),
    Binding("celeryev", "worker.#", "", "celeryev.1"),
)


class Pipeline:
    def __init__(self, lists: dict[bytes, bytes]) -> None:
        self.all = lists
        self.answers: list[Any] = []

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def lindex(self, key: str, place: int) -> None:
        assert place == -1
        found = self.all.get(key.encode())
        self.answers.append(redis.exceptions.ResponseError("WRONGTYPE") if found == b"gone" else found)

    def execute(self, *, raise_on_error: bool) -> list[Any]:
        assert not raise_on_error
        return self.answers


class Keys:
    """The keys of a Redis with these lists."""

    def __init__(self, lists: dict[bytes, bytes], *, prefix: str = "", sep: str = "\x06\x16") -> None:
        self.all = lists
        self.prefix = prefix
        self.channel = SimpleNamespace(sep=sep, priority_steps=[0, 3, 6, 9])
        self.client = self

    def bindings(self, most: int | None) -> Any:
        """Each scan finds one."""
        return iter([[each] for each in BINDINGS[:most]])

    def lists(self, queue: str) -> list[str]:
        return [f"{self.prefix}{queue}", *[f"{self.prefix}{queue}{self.channel.sep}{step}" for step in (3, 6, 9)]]

    def scan(self, cursor: int, *, count: int, _type: str) -> Any:
        assert (count, _type) == (1000, "list")
        names = [*self.all]
        return cursor + 1 if cursor + 1 < len(names) else 0, names[cursor : cursor + 1]

    def pipeline(self, *, transaction: bool) -> Pipeline:
        assert not transaction
        return Pipeline(self.all)


def app(*names: str) -> Any:
    return SimpleNamespace(amqp=SimpleNamespace(queues=dict.fromkeys(names)), tasks={}, finalize=lambda **_: None)


@pytest.fixture(autouse=True)
def declared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasktools.queues.found.queue_names", lambda app: set(app.amqp.queues))


def test_find__declared_bound_and_stray() -> None:
    keys: Any = Keys({b"celery": MESSAGE, b"old": MESSAGE, b"jobs": b'{"job": 1}', b"odd": b"gone", b"\xff": MESSAGE})
    found = find(app("celery", "slow"), keys)
    assert (found.declared, found.bound, found.stray) == ({"celery", "slow"}, {"celery", "mails"}, {"old"})
    assert found.is_complete is True
    assert found.bindings == list(BINDINGS[:3])


def test_finding__each_step_is_short() -> None:
    """Whoever is out of time has what was found so far."""
    keys: Any = Keys({b"celery": MESSAGE, b"old": MESSAGE, b"older": MESSAGE})
    steps = [len(each.stray) for each in finding(app("celery"), keys)]
    assert [number for number, _ in groupby(steps)] == [0, 1, 2]
    assert len(steps) > 6  # also while the bindings are read


def test_find__queues_of_remote_control_and_events_are_none() -> None:
    names = ("celeryev.1", "a@h.celery.pidbox", "1.reply.celery.pidbox")
    assert find(app(), Keys({name.encode(): MESSAGE for name in names})).stray == set()  # type: ignore[arg-type]
    assert [is_internal(each) for each in (*names, "celery", "mails.pidbox.old")] == [True, True, True, False, False]


def test_holds_messages__of_one_queue() -> None:
    keys: Any = Keys({b"old\x06\x169": MESSAGE, b"jobs": b"{}"})
    assert [holds_messages(keys, each) for each in ("old", "jobs", "none")] == [True, False, False]


def test_find__a_huge_message_is_known_by_its_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    other_order = b'{"headers": {}, "properties": {}, "body": "x"}'
    monkeypatch.setattr(room, "_LONGEST", len(other_order))
    lists = {b"parsed": other_order, b"longer": other_order + b" ", b"begins": b'{"body": "' + b"x" * 100}
    assert find(app(), Keys(lists)).stray == {"parsed", "begins"}  # type: ignore[arg-type]


def test_find__a_queue_of_which_only_another_priority_holds_anything() -> None:
    keys: Any = Keys({b"old\x06\x169": MESSAGE, b"old\x06\x163": MESSAGE})
    assert find(app(), keys).stray == {"old"}


def test_find__only_what_has_the_prefix() -> None:
    keys: Any = Keys({b"site:old": MESSAGE, b"other:old": MESSAGE}, prefix="site:")
    assert find(app(), keys).stray == {"old"}


def test_find__without_a_separator_of_priorities() -> None:
    keys: Any = Keys({b"old3": MESSAGE}, sep="")
    assert find(app(), keys).stray == {"old3"}


def test_find__in_part_of_a_large_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasktools.queues.found.MOST_SCANS", 2)
    keys: Any = Keys({b"one": MESSAGE, b"two": MESSAGE, b"three": MESSAGE})
    found = find(app(), keys)
    assert (found.stray, found.is_complete) == ({"one", "two"}, False)
    assert find(app(), keys, deep=True).stray == {"one", "two", "three"}


def test_find__bindings_of_the_whole_database_only_if_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasktools.queues.found.MOST_SCANS", 1)
    keys: Any = Keys({b"celery": MESSAGE})
    assert find(app(), keys).bound == {"celery"}
    assert find(app(), keys, deep=True).bound == {"celery", "mails"}


def test_find__many_lists_of_another_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasktools.queues.found.MOST_LISTS", 2)
    keys: Any = Keys({b"celery": MESSAGE, b"one": b"{}", b"two": MESSAGE, b"three": MESSAGE})
    found = find(app("celery"), keys)
    assert (found.stray, found.is_complete) == ({"two"}, False)
    found = find(app("celery"), keys, deep=True)
    assert (found.stray, found.is_complete) == ({"two", "three"}, True)
    del keys.all[b"three"]
    assert find(app("celery"), keys).is_complete is True


def test_find__a_user_who_may_not_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    keys: Any = Keys({b"old": MESSAGE})

    def refuse(*_: Any, **__: Any) -> None:
        raise redis.exceptions.NoPermissionError

    monkeypatch.setattr(keys, "scan", refuse)
    found = find(app("celery"), keys)
    assert (found.names, found.is_complete) == ({"celery", "mails"}, False)


def test_find__a_broker_that_cannot_list_its_queues() -> None:
    found = find(app("celery"), None)
    assert (found.names, found.is_complete) == ({"celery"}, None)
