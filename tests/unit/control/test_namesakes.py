"""Several workers with one node name."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from celery import Celery

from tasktools.control import namesakes
from tasktools.control.answers import Answers
from tasktools.control.namesakes import already_runs, number_of, queues_of_all

MAILS, SLOW = [{"name": "mails"}], [{"name": "slow"}]
LEAVING = {"tasktools": {"leaves": True}}


def answers(said: dict[str, Any], each: dict[str, Any] | None = None, failed: dict[str, Any] | None = None) -> Answers:
    return Answers(said=said, failed=failed or {}, listening=None, silent=None, each=each or {})


@pytest.mark.parametrize(
    ("each", "number"),
    [
        ({}, 1),
        ({"ping": [1]}, 1),
        ({"ping": [1, 2], "stats": [{}]}, 1),  # the other may be one that leaves
        ({"ping": [1, 2, 3]}, 1),
        ({"ping": [1], "stats": [{}, {}]}, 2),
        ({"ping": [1, 2], "stats": [{}, LEAVING]}, 1),
        ({"ping": [1, 2, 3], "stats": [LEAVING, {}, {}]}, 2),
        ({"stats": [LEAVING]}, 1),
        ({"stats": [LEAVING, LEAVING]}, 1),
        ({"stats": ["garbage", {"tasktools": 5}, None]}, 3),
    ],
)
def test_number__of_those_that_nobody_replaces(each: dict[str, Any], number: int) -> None:
    assert number_of(answers({}, {"a@h": each}), "a@h") == number
    assert number_of(answers({}, {"b@h": each}), "a@h") == 1


def test_queues__of_each_worker_also_of_two_with_one_name() -> None:
    said = {"a@h": {"active_queues": MAILS}, "b@h": {"active_queues": MAILS + SLOW}, "d@h": {"active_queues": "x"}}
    each = {"b@h": {"active_queues": [MAILS, SLOW], "stats": [{}, {}]}, "c@h": {"stats": [{}, {}]}}
    found = queues_of_all(answers(said, each, {"c@h": {"active_queues": "error"}}))
    assert found == [["mails"], ["mails"], ["slow"], None, None, None]


def merged(lists: list[Any]) -> list[Any]:
    return [*{each["name"]: each for answer in lists for each in answer}.values()]


@pytest.mark.parametrize("turn", [1, -1])
@pytest.mark.parametrize(
    ("lists", "stats", "found"),
    [
        ([MAILS, MAILS], [LEAVING, {}], [{"mails"}]),
        ([MAILS, MAILS + SLOW], [LEAVING, {}], [{"mails", "slow"}]),
        ([[], SLOW], [{}, LEAVING], [{"slow"}]),
        ([MAILS, [], SLOW], [LEAVING, {}, {}], [{"mails", "slow"}, {"mails", "slow"}]),
    ],
)
def test_queues__of_one_that_is_replaced(lists: list[Any], stats: list[Any], found: list[set[str]], turn: int) -> None:
    """The new code may read a queue that the old one did not, and either may answer first."""
    each = {"a@h": {"active_queues": lists[::turn], "stats": stats}}
    queues = queues_of_all(answers({"a@h": {"active_queues": merged(lists[::turn])}}, each))
    assert len(queues) == len(found)
    assert set(queues[0] or ()) == found[0]
    assert all(each and set(each) <= all_ for each, all_ in zip(queues[1:], found[1:], strict=True))


def test_queues__of_one_whose_stats_have_not_come() -> None:
    each = {"a@h": {"active_queues": [MAILS, MAILS], "stats": [{}]}}
    assert queues_of_all(answers({"a@h": {"active_queues": MAILS}}, each)) == [["mails"], ["mails"]]


@pytest.mark.parametrize(
    ("rounds", "sleeps", "found"),
    [
        ([{"a@h": {"stats": {}}}, {"a@h": {"stats": {}}}], 1, True),
        ([{"a@h": {"stats": {}}}, {}], 1, False),  # it was about to end
        ([{"a@h": {"stats": {}}}, {"a@h": {"stats": LEAVING}}], 1, False),
        ([{"a@h": {"stats": LEAVING}}], 0, False),
        ([{"b@h": {"stats": {}}}], 0, False),
        ([{}], 0, False),  # a usual start
        ([ConnectionError("gone")], 0, False),
    ],
)
def test_already_runs__who_answers_twice(
    monkeypatch: pytest.MonkeyPatch, rounds: list[Any], sleeps: int, found: bool
) -> None:
    slept: list[float] = []
    asked: list[str] = []
    said_in = iter(rounds)

    def ask(app: Any, commands: Any, limit: float, destination: Any, *, only_bound: bool) -> Answers:
        assert (commands, limit, destination, only_bound) == ({"stats": {}}, 0.5, ["a@h"], True)
        asked.append("again" if asked else "first")
        said = next(said_in, {})
        if isinstance(said, Exception):
            raise said
        return answers(said)

    monkeypatch.setattr(namesakes, "ask", ask)
    monkeypatch.setattr(namesakes, "OVERALL", 120.0)
    with Celery(broker="redis://nowhere", set_as_current=False) as app:
        assert already_runs(app, "a@h", slept.append) is found
    assert len(asked) == len(rounds)
    assert slept == [namesakes.AGAIN] * sleeps


def test_already_runs__a_slow_broker_does_not_delay_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may take seconds to connect, to answer, and to do both again."""
    released = threading.Event()

    def ask(*_: Any, **__: Any) -> Answers:
        assert released.wait(120)
        return answers({"a@h": {"stats": {}}})

    monkeypatch.setattr(namesakes, "ask", ask)
    monkeypatch.setattr(namesakes, "OVERALL", 0.05)
    try:
        with Celery(broker="redis://nowhere", set_as_current=False) as app:
            assert already_runs(app, "a@h", lambda _: None) is False
    finally:
        released.set()


@pytest.mark.parametrize(("broker", "is_on"), [("memory://", True), ("redis://nowhere", False), ("nosuch://", True)])
def test_already_runs__nobody_is_asked(monkeypatch: pytest.MonkeyPatch, broker: str, is_on: bool) -> None:
    monkeypatch.setattr(namesakes, "ask", lambda *_, **__: pytest.fail("it takes time"))
    with Celery(broker=broker, set_as_current=False) as app:
        app.conf.worker_enable_remote_control = is_on
        assert already_runs(app, "a@h", time.sleep) is False
