from __future__ import annotations

from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from tasktools.brokers.base import Trace
from tasktools.results import locate as module
from tasktools.results.locate import locate
from tasktools.results.outcome import Outcome

ETA = "2030-01-31T18:00:00+00:00"
TIME = datetime(2030, 1, 31, 18, tzinfo=timezone.utc)


class Bench:
    """A broker and its workers, which say what the test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, traces: dict[str, Trace] | None, **replies: Any) -> None:
        self.asked: list[str] = []
        self.replies = replies
        broker = SimpleNamespace(
            name="The broker",
            prepare=lambda: None,
            supports_find=traces is not None,
            find=lambda ids: {task_id: trace for task_id, trace in (traces or {}).items() if task_id in ids},
        )
        monkeypatch.setattr(module, "broker_of", lambda app: broker)
        inspect = SimpleNamespace(query_task=self._query, scheduled=lambda: self._reply("scheduled"))
        self.app: Any = SimpleNamespace(control=SimpleNamespace(inspect=lambda timeout: inspect))

    def _query(self, *ids: str) -> Any:
        return self._reply("query_task")

    def _reply(self, name: str) -> Any:
        self.asked.append(name)
        return self.replies.get(name)

    def find(self, state: str = "PENDING", **known: Any) -> Outcome:
        [found] = locate(self.app, [Outcome(id="1", state=state, **known)])
        return found


def held(place: str) -> dict[str, Any]:
    return {"query_task": {"a@h": {"1": [place, {"id": "1", "name": "shop.add"}]}}}


def test_queued__name_and_time_come_from_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, {"1": Trace(place="queued", queue="q", task="shop.add", eta=ETA)})
    assert bench.find() == Outcome(id="1", state="PENDING", place="queued", task="shop.add", eta=TIME)
    assert bench.asked == []


def test_held__name_comes_from_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, {}, **held("active"))
    assert bench.find() == Outcome(id="1", state="PENDING", place="active", worker="a@h", task="shop.add")
    assert bench.asked == ["query_task"]


@pytest.mark.parametrize(
    "known",
    [held("scheduled"), {}],  # {}: Celery before 5.7, and a task that the same worker has run before
)
def test_held__until_a_time_that_only_the_worker_knows(monkeypatch: pytest.MonkeyPatch, known: Any) -> None:
    one, other = {"id": "1", "name": "shop.add"}, {"id": "2", "name": "shop.other"}
    entries = [{"eta": "2031-01-01T00:00:00+00:00", "request": other}, {"eta": ETA, "request": one}]
    bench = Bench(monkeypatch, None, **known, scheduled={"a@h": entries})
    found = bench.find()
    assert found == Outcome(id="1", state="PENDING", place="scheduled", worker="a@h", task="shop.add", eta=TIME)


def test_held__one_that_runs_waits_for_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, None, **held("active"))
    assert (bench.find().place, bench.asked) == ("active", ["query_task"])


def test_held__until_a_time_that_the_message_has(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, {"1": Trace(place="reserved", task="shop.add", eta=ETA)}, **held("scheduled"))
    assert (bench.find().eta, bench.asked) == (TIME, ["query_task"])


@pytest.mark.parametrize(("traces", "place"), [({}, "none"), (None, "unknown")])
def test_nowhere__is_known_only_of_queues_that_can_be_read(
    monkeypatch: pytest.MonkeyPatch, traces: dict[str, Trace] | None, place: str
) -> None:
    assert Bench(monkeypatch, traces).find() == Outcome(id="1", state="PENDING", place=place)


def test_retry__waits_too(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, {"1": Trace(place="queued", task="other", eta=ETA)})
    found = bench.find("RETRY", task="shop.add", worker="the last one")
    assert found == Outcome(id="1", state="RETRY", place="queued", task="shop.add", eta=TIME)


def test_finished__nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, None)
    assert bench.find("STARTED", worker="a@h") == Outcome(id="1", state="STARTED", worker="a@h")
    assert bench.asked == []


@pytest.mark.parametrize("eta", ["soon", "2030-99-99T00:00:00", 5])
def test_time__that_cannot_be_read(monkeypatch: pytest.MonkeyPatch, eta: Any) -> None:
    bench = Bench(monkeypatch, {"1": Trace(place="queued", eta=eta)})
    assert bench.find() == Outcome(id="1", state="PENDING", place="queued")
