from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from tasktools.control import presence as module
from tasktools.control.answers import Answers
from tasktools.control.names import MARK, connection_name, worker_of
from tasktools.control.presence import Presence, of_redis, presence
from tasktools.exceptions import Unreachable


@pytest.mark.parametrize(
    ("silent", "absent", "named", "found"),
    [
        (0, "", "", Presence(silent=[], unknown=[], unnamed=0)),
        (0, "ab", "", Presence(silent=[], unknown=[], unnamed=0)),  # all were killed
        (2, "ab", "", Presence(silent=["a", "b"], unknown=[], unnamed=0)),
        (1, "ab", "", Presence(silent=[], unknown=["a", "b"], unnamed=1)),
        (1, "ab", "b", Presence(silent=["b"], unknown=[], unnamed=0)),
        (2, "abc", "b", Presence(silent=["b"], unknown=["a", "c"], unnamed=1)),
        (3, "abc", "b", Presence(silent=["a", "b", "c"], unknown=[], unnamed=0)),
        (3, "a", "", Presence(silent=["a"], unknown=[], unnamed=2)),
        (1, "ab", "ab", Presence(silent=["a", "b"], unknown=[], unnamed=0)),  # one has just begun to listen
        (1, "a", "x", Presence(silent=["a"], unknown=[], unnamed=0)),
    ],
)
def test_of_redis__who_is_silent(silent: int, absent: str, named: str, found: Presence) -> None:
    assert of_redis(silent, frozenset(absent), frozenset(named)) == found


def test_connection_name__is_one_that_redis_takes() -> None:
    assert connection_name("celery@h 1\n") == f"{MARK}celery@h%201%0A"
    assert worker_of(connection_name("celery@h 1\n")) == "celery@h 1\n"
    assert worker_of("celery@h") is None


def answers(silent: int | None, absent: str = "") -> Answers:
    return Answers(said={}, failed={}, listening=None, silent=silent, absent=frozenset(absent))


class Looks:
    """What the broker says when it is asked; an app with one declared queue."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, found: Any) -> None:
        self.asked: list[Any] = []
        self.found = found
        self.app: Any = SimpleNamespace(amqp=SimpleNamespace(queues={"celery": None}))
        monkeypatch.setattr(module, "_look", self.look)
        monkeypatch.setattr(module, "_consumers", lambda connection, queues: self.asked.append(queues) or self.found)

    def look(self, app: Any, call: Any) -> Any:
        if call is module._named:
            self.asked.append("names")
            return self.found
        return call(None)


@pytest.mark.parametrize(
    ("silent", "absent", "found", "asked"),
    [
        (0, "ab", Presence(silent=[], unknown=[], unnamed=0), []),
        (2, "ab", Presence(silent=["a", "b"], unknown=[], unnamed=0), []),
        (1, "ab", Presence(silent=["b"], unknown=[], unnamed=0), ["names"]),
        (2, "abc", Presence(silent=["b"], unknown=["a", "c"], unnamed=1), ["names"]),
    ],
)
def test_presence__names_are_asked_for_only_in_doubt(
    monkeypatch: pytest.MonkeyPatch, silent: int, absent: str, found: Presence, asked: list[str]
) -> None:
    looks = Looks(monkeypatch, frozenset("b"))
    assert presence(looks.app, answers(silent, absent), []) == found
    assert looks.asked == asked


def test_presence__consumers_beyond_the_workers_that_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = Looks(monkeypatch, {"mails": 3, "celery": 1, "slow": 0, "routed": 1})
    found = presence(looks.app, answers(None), ["celery", "mails", "mails"], ["routed"])
    assert found == Presence(silent=[], unknown=[], consumers={"mails": 1, "routed": 1})
    assert looks.asked == [{"celery", "mails", "routed"}]


def test_presence__a_broker_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert presence(Looks(monkeypatch, None).app, answers(None), []) == Presence(silent=[], unknown=[])


class Channel:
    """A channel of py-amqp; the error for a queue that is not there closes it."""

    opened: list[Channel]

    def __init__(self) -> None:
        self.opened.append(self)
        self.is_open = True

    def __enter__(self) -> Channel:
        return self

    def __exit__(self, *_: object) -> None:
        self.is_open = False

    def queue_declare(self, queue: str, *, passive: bool) -> Any:
        assert passive
        assert self.is_open
        if queue == "none":
            raise LookupError
        return SimpleNamespace(consumer_count=len(queue))


@pytest.mark.parametrize(("driver", "found"), [("py-amqp", {"a": 1, "zz": 2}), ("memory", None)])
def test_consumers__where_the_broker_says_them(driver: str, found: Any) -> None:
    Channel.opened = []
    transport = SimpleNamespace(driver_name=driver)
    connection = SimpleNamespace(transport=transport, channel=Channel, channel_errors=(LookupError,))
    assert module._consumers(connection, {"a", "none", "zz"}) == found
    assert not any(each.is_open for each in Channel.opened)


@pytest.mark.parametrize(("database", "found"), [("3", {"a@h"}), (3, {"a@h"}), (None, {"b@h"}), (1, set())])
def test_named__are_those_of_this_database(monkeypatch: pytest.MonkeyPatch, database: Any, found: set[str]) -> None:
    clients = [("3", "a@h"), ("0", "b@h"), ("4", "c@h")]
    listed = [{"db": number, "name": connection_name(worker)} for number, worker in clients]
    listed += [{"db": "3", "name": ""}, {"db": "3"}, {"db": "0", "name": "b@h"}]
    client = SimpleNamespace(client_list=lambda: listed)
    monkeypatch.setattr("tasktools.brokers.keys.Keys", lambda channel: SimpleNamespace(client=client))
    pool = SimpleNamespace(connection_kwargs={"db": database})
    connection = SimpleNamespace(default_channel=SimpleNamespace(pool=pool))
    assert module._named(connection) == found


def test_named__nobody_if_the_user_may_not_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise redis.exceptions.NoPermissionError

    keys = SimpleNamespace(client=SimpleNamespace(client_list=refuse))
    monkeypatch.setattr("tasktools.brokers.keys.Keys", lambda channel: keys)
    assert module._named(SimpleNamespace(default_channel=None)) == frozenset()


class Silent:
    """A connection to a server that says no goodbye."""

    def __init__(self) -> None:
        self.ends = threading.Event()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        self.ends.wait(60)


def test_look__a_server_that_says_no_goodbye_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise Unreachable("It does not answer.")

    connection = Silent()
    monkeypatch.setattr(module, "broker_of", lambda _: SimpleNamespace(name="The broker"))
    monkeypatch.setattr(module, "connect", lambda *_: connection)
    monkeypatch.setattr(module, "reach", fail)
    began = time.monotonic()
    with pytest.raises(Unreachable):
        module._look(None, None)  # type: ignore[arg-type]
    connection.ends.set()
    assert time.monotonic() - began < 30
