from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery

from tasktools.exceptions import ConfigurationError, Unreachable
from tasktools.management import awaiting
from tasktools.management.awaiting import PATIENCE, Awaiting
from tasktools.results.locate import Located
from tasktools.results.outcome import Outcome


class Bench:
    """What is said while a call waits; the broker says where it is, and who listens."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, queue: str = "celery") -> None:
        self.said: list[str] = []
        self.place: str | None = "queued"
        self.worker: str | None = None
        self.taking: list[str] = []
        #: What was not read of the queues.
        self.unread: dict[str, int] = {}
        self.asked = 0
        command: Any = SimpleNamespace(note=self.said.append, stderr=io.StringIO(), as_json=False)
        self.awaiting = Awaiting(command, Celery(set_as_current=False), queue, 60.0)
        monkeypatch.setattr(awaiting, "broker_of", lambda app: SimpleNamespace(uri=lambda: "redis://h/0"))
        monkeypatch.setattr(awaiting, "locate", self._locate)
        monkeypatch.setattr(awaiting, "listeners", lambda app, queue: self.taking)

    def _locate(self, app: Any, outcomes: Any) -> Located:
        self.asked += 1
        self.queues = [each.queue for each in outcomes]
        found = Outcome(id="1", state="PENDING", place=self.place, worker=self.worker)
        return Located(outcomes=[found], unread=self.unread)

    def look(self, seconds: float, state: str = "PENDING", result: Any = None) -> None:
        self.awaiting([Outcome(id="1", state=state, result=result)], seconds)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


def test_waiting__names_the_queue_that_a_worker_does_not_read_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, "slow mails")
    bench.look(PATIENCE)
    assert "(manage.py runworker -Q 'slow mails' starts one; " in bench.said[0]


def test_waiting__nothing_is_said_at_first_and_then_once(bench: Bench) -> None:
    bench.look(PATIENCE - 0.1)
    assert bench.said == []
    bench.look(PATIENCE)
    bench.look(PATIENCE + 1)
    assert bench.said == [
        'Waiting: the task is in the queue "celery" of redis://h/0; '
        "no worker answers that takes from it (manage.py runworker starts one; "
        "a busy one of the solo pool does not answer)."
    ]


@pytest.mark.parametrize(
    ("place", "worker", "taking", "said"),
    [
        ("queued", None, ["a@h", "b@h"], 'the task is in the queue "celery" of redis://h/0; a@h, b@h takes from it.'),
        ("unknown", None, ["a@h"], 'the task was sent to the queue "celery" of redis://h/0; a@h takes from it.'),
        ("active", "a@h", [], "a@h runs it."),
        ("reserved", None, [], "a worker has taken it and not finished it."),
        ("none", None, [], "no queue holds the task, and no worker answers that has it."),
    ],
)
def test_waiting__where_the_task_is(
    bench: Bench, place: str | None, worker: str | None, taking: list[str], said: str
) -> None:
    bench.place, bench.worker, bench.taking = place, worker, taking
    bench.look(PATIENCE)
    assert bench.said == [f"Waiting: {said}"]


def test_waiting__what_was_not_read_may_hold_the_task(bench: Bench) -> None:
    bench.place, bench.taking, bench.unread = "none", ["a@h"], {"mails": 5}
    bench.look(PATIENCE)
    assert bench.said == ['Waiting: the task was sent to the queue "celery" of redis://h/0; a@h takes from it.']
    assert bench.queues == ["celery"]  # which is read first


def test_waiting__not_long_enough_to_find_out(bench: Bench) -> None:
    bench.awaiting.timeout = PATIENCE + awaiting.MOST - 0.1
    bench.look(PATIENCE)
    assert (bench.said, bench.asked) == ([], 0)


@pytest.mark.parametrize("asked", ["locate", "listeners"])
@pytest.mark.parametrize("error", [Unreachable("gone"), ConfigurationError("odd")])
def test_waiting__goes_on_if_nobody_can_say_why(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, error: Any, asked: str
) -> None:
    def fail(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(awaiting, asked, fail)
    bench.look(PATIENCE)
    assert bench.said == [error.sentence]


def test_waiting__for_one_that_has_begun(bench: Bench) -> None:
    bench.look(PATIENCE, "STARTED")
    assert (bench.said, bench.asked) == ([], 0)


def test_progress__is_printed_when_it_changes(bench: Bench) -> None:
    for state, result in (("PENDING", None), ("STEP", {"n": 1}), ("STEP", {"n": 1}), ("STEP", {"n": 2}), ("RETRY", 5)):
        bench.look(0.0, state, result)
    assert bench.said == ['STEP {"n": 1}', 'STEP {"n": 2}']


def test_progress__of_several_has_their_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, queue="")
    bench.look(PATIENCE, "STEP", [1])
    bench.look(PATIENCE)
    assert (bench.said, bench.asked) == (["1 STEP [1]"], 0)
