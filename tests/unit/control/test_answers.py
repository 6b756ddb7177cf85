"""One round of remote control, whose replies come when the test says it."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from kombu.exceptions import ContentDisallowed, DecodeError

from tasktools.control import answers as module
from tasktools.control import broadcast
from tasktools.control.answers import BEYOND, CONNECTING, Answers, ask, leaving
from tasktools.control.broadcast import Sent
from tests.nodes import node

#: A reply: when it comes, of which worker, to which command, and what it says.
Reply = tuple[float, str, str, Any]

PONG = {"ok": "pong"}

LEAVING = {"pid": 2, "tasktools": {"leaves": True}}


class Bench:
    """A broker with these replies, and a clock that only waiting moves on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *replies: Reply, **sent: Any) -> None:
        self.now = self.began = 1000.0
        self.left = sorted(replies, key=lambda each: each[0])
        self.sent = Sent(**sent)
        self.asked: list[Any] = []
        self.gone: list[str] = []
        self.tickets: dict[str, str] = {}
        channel = SimpleNamespace(after_reply_message_received=self.gone.append)
        connection = SimpleNamespace(default_channel=channel)
        queue = SimpleNamespace(name="replies", get=self.get)
        self.mailbox = SimpleNamespace(connection=connection, reply_queue=lambda _: queue, accept=["json"])
        monkeypatch.setattr(broadcast, "send", self.send)
        monkeypatch.setattr(module, "_PAUSE", 1 / 128)  # so that sums of it are exact
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.now, sleep=self.sleep))

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def send(self, mailbox: Any, tickets: Any, commands: Any, destination: Any, limit: float, own: Any) -> Sent:
        assert mailbox is self.mailbox
        assert own is None
        self.tickets = {command: ticket for ticket, command in tickets.items()}
        self.asked.append((dict(commands), destination, limit))
        return self.sent

    def get(self, *, no_ack: bool, accept: list[str]) -> Any:
        assert (no_ack, accept) == (True, ["json"])
        if not self.left or self.left[0][0] > self.took:
            return None
        _, worker, command, answer = self.left.pop(0)
        return Message({"ticket": self.tickets.get(command, command)}, {worker: answer} if worker else answer)

    def ask(self, *commands: str, limit: float = 1.0, destination: Any = None, only_bound: bool = False) -> Answers:
        asked = {each: {} for each in commands or ("ping",)}
        made = module._Round(self.mailbox, asked, destination, only_bound=only_bound)
        return made.run(limit)

    @property
    def took(self) -> float:
        return self.now - self.began


class Message:
    def __init__(self, headers: Any, payload: Any) -> None:
        self.headers, self._payload = headers, payload

    @property
    def payload(self) -> Any:
        if isinstance(self._payload, Exception):
            raise self._payload
        return self._payload


A, B = (1 / 8, "a@h", "ping", PONG), (3 / 16, "b@h", "ping", PONG)


@pytest.mark.parametrize(
    ("listening", "limit", "replies", "took"),
    [
        (0, 1.0, [], 0.0),
        (1, 1.0, [A], 1 / 8),
        (2, 1.0, [A, B], 3 / 16),
        (2, 1.0, [A], 1 / 2),  # quiet for three times what the latest reply has taken
        (2, 1.0, [(1 / 16, *A[1:])], 5 / 16),  # and for a quarter of a second
        (3, 1.0, [A, B], 3 / 4),
        (2, 1.0, [(3 / 8, *A[1:])], 1.0),
        (2, 1.0, [], 1.0),
        (2, 1.5, [A], 1.5),  # who gives more time waits for all
        (None, 1.5, [A], 1 / 2),  # if the broker knows them
        (None, 1.0, [A], 1 / 2),
        (None, 1.0, [], 1.0),
    ],
)
def test_round__ends_when_nobody_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, listening: int | None, limit: float, replies: list[Reply], took: float
) -> None:
    bench = Bench(monkeypatch, *replies, listening=listening)
    found = bench.ask(limit=limit)
    assert (bench.took, found.workers) == (took, [each[1] for each in replies])
    assert (bench.asked, bench.gone) == ([({"ping": {}}, None, limit)], ["replies"])
    assert found.listening == listening


@pytest.mark.parametrize(
    ("listening", "names", "took"), [(None, ["a@h"], 1 / 8), (3, ["a@h", "b@h"], 3 / 16), (1, ["a@h", "b@h"], 1 / 8)]
)
def test_round__of_some_ends_with_the_last_of_them(
    monkeypatch: pytest.MonkeyPatch, listening: int | None, names: list[str], took: float
) -> None:
    bench = Bench(monkeypatch, A, B, listening=listening)
    bench.ask(destination=names)
    assert bench.took == took
    assert bench.asked[0][1] == names


@pytest.mark.parametrize(("listening", "took"), [(3, 0.0), (None, 1.0)])
def test_round__waits_for_nobody_whose_name_the_broker_does_not_have(
    monkeypatch: pytest.MonkeyPatch, listening: int | None, took: float
) -> None:
    bench = Bench(monkeypatch, listening=listening, bound=frozenset({"b@h"}))
    assert bench.ask(destination=["a@h"], only_bound=True).workers == []
    assert bench.took == took


def test_round__each_has_to_answer_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    stats = (1 / 4, "a@h", "stats", {"pid": 1})
    bench = Bench(monkeypatch, A, stats, listening=1)
    assert bench.ask("ping", "stats").said == {"a@h": {"ping": PONG, "stats": {"pid": 1}}}
    assert bench.took == 1 / 4


@pytest.mark.parametrize(
    ("listening", "replies", "silent"), [(3, [A, B], 1), (2, [A, B], 0), (1, [A, B], 0), (2, [], 2), (None, [A], None)]
)
def test_silent__all_that_listen_but_those_that_have_answered(
    monkeypatch: pytest.MonkeyPatch, listening: int | None, replies: list[Reply], silent: int | None
) -> None:
    found = Bench(monkeypatch, *replies, listening=listening, bound=frozenset({"a@h", "c@h"})).ask()
    assert found.silent == silent
    assert found.absent == ({"c@h"} if replies else {"a@h", "c@h"})


@pytest.mark.parametrize(("listening", "silent"), [(4, 1), (None, None)])
def test_silent__of_those_that_were_asked(
    monkeypatch: pytest.MonkeyPatch, listening: int | None, silent: int | None
) -> None:
    bench = Bench(monkeypatch, A, listening=listening, bound=frozenset({"a@h", "b@h", "c@h"}))
    found = bench.ask(destination=["a@h", "b@h", "nosuch@h"])
    assert (found.silent, found.absent) == (silent, {"b@h"})


def test_replies__that_are_errors_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    replies = [
        (1 / 8, "a@h", "ping", {"error": "no such command"}),
        (1 / 8, "b@h", "ping", {"error": "one", "more": 1}),
        (1 / 8, "", "ping", ContentDisallowed("pickle")),
        (1 / 8, "", "ping", DecodeError("no JSON")),
        (1 / 8, "", "ping", ["no mapping"]),
        (1 / 8, "c@h", "of an earlier round", PONG),
        (1 / 8, "d@h", "ping", ["error"]),
    ]
    bench = Bench(monkeypatch, *replies, listening=7)
    found = bench.ask()
    assert found.failed == {"a@h": {"ping": "no such command"}}
    assert found.said == {"b@h": {"ping": {"error": "one", "more": 1}}, "d@h": {"ping": ["error"]}}
    assert (found.silent, found.workers) == (1, ["a@h", "b@h", "d@h"])  # six have answered, in whatever form


@pytest.mark.parametrize(
    ("first", "second", "merged"),
    [
        ([1, 2], [2, 3], [1, 2, 3]),
        ({"a": 1, "b": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ([1], {"a": 1}, {"a": 1}),
        ({"a": 1}, [1], [1]),
        ("old", "new", "new"),
        ({"pid": 1}, LEAVING, {"pid": 1}),
        (LEAVING, {"pid": 1}, {"pid": 1}),
    ],
)
def test_replies__of_two_with_one_name(monkeypatch: pytest.MonkeyPatch, first: Any, second: Any, merged: Any) -> None:
    bench = Bench(monkeypatch, (1 / 8, "a@h", "ping", first), (1 / 4, "a@h", "ping", second), listening=2)
    found = bench.ask()
    assert found.said == {"a@h": {"ping": merged}}
    assert found.each == {"a@h": {"ping": [first, second]}}


def test_of__those_that_have_answered_in_this_form() -> None:
    said = {"a@h": {"ping": PONG}, "b@h": {"stats": {}}, "c@h": {"ping": ["pong"]}}
    found = Answers(said=said, failed={"d@h": {"ping": "no"}}, listening=4, silent=0)
    assert found.of("ping", dict) == {"a@h": PONG}
    assert found.of("ping") == {"a@h": PONG, "c@h": ["pong"]}
    assert found.workers == ["a@h", "b@h", "c@h", "d@h"]


def test_ask__has_a_limit_for_each_part(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[Any] = []
    reach, connect = module.reach, module.connect
    broker = SimpleNamespace(name="The broker", prepare=lambda: limits.append("prepare"))

    def reached(name: str, limit: float, *call: Any) -> Any:
        limits.append((name, limit, call[1:]))
        return reach(name, limit, *call)

    real = module.broker_of(shop)
    monkeypatch.setattr(module, "broker_of", lambda app: broker)
    monkeypatch.setattr(module, "connect", lambda _, limit: limits.append(limit) or connect(real, limit))
    monkeypatch.setattr(module, "reach", reached)
    assert ask(shop, {"ping": {}}, 0.02).workers == []
    assert limits == ["prepare", CONNECTING, ("The broker", 0.02 + BEYOND, (0.02,))]


def test_ask__a_transport_that_does_not_say_who_listens(shop: Any) -> None:
    with node(shop, "a@h", {"ping": lambda: PONG, "echo": lambda word: [word]}):
        found = ask(shop, {"ping": {}, "echo": {"word": "x"}})
    assert found.said == {"a@h": {"ping": PONG, "echo": ["x"]}}
    assert (found.listening, found.silent, found.absent) == (None, None, frozenset())


class Goodbye:
    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.said = error, threading.Event()

    def release(self) -> None:
        self.said.set()
        if self.error is not None:
            raise self.error


@pytest.mark.parametrize("error", [None, OSError("broken")])
def test_leaving__says_goodbye_and_nothing_of_it(error: Exception | None) -> None:
    connection = Goodbye(error)
    with leaving(connection):
        assert not connection.said.is_set()
    assert connection.said.is_set()
