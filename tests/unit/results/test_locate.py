from __future__ import annotations

from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from tasktools.brokers.base import Trace
from tasktools.control.answers import Answers
from tasktools.exceptions import Unreachable
from tasktools.queues.position import Found
from tasktools.results import locate as module
from tasktools.results.locate import Located, locate, places
from tasktools.results.outcome import Failure, Outcome

ETA = "2030-01-31T18:00:00+00:00"
TIME = datetime(2030, 1, 31, 18, tzinfo=timezone.utc)


class Bench:
    """A broker and its workers, which say what the test says. Each worker has its answers by the name of the command."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, traces: dict[str, Trace] | None, **workers: Any) -> None:
        self.asked: list[Any] = []
        self.prepared = 0
        self.said = workers
        #: What they say in the second round, if that differs.
        self.later: dict[str, Any] | None = None
        self.silent: int | None = 0
        self.unread: dict[str, int] = {}
        self.is_listed = True
        self.error: Exception | None = None
        self.traces = traces
        self.latest = Outcome(id="1", state="PENDING")
        broker = SimpleNamespace(name="The broker", prepare=self._prepare, supports_find=traces is not None)
        monkeypatch.setattr(module, "broker_of", lambda app: broker)
        monkeypatch.setattr(module.position, "find", self._find)
        monkeypatch.setattr(module.answers, "ask", self._ask)
        monkeypatch.setattr(module.backend, "look", lambda app, task_id: self.latest)

    def _prepare(self) -> None:
        self.prepared += 1

    def _find(self, broker: Any, ids: Any, *, deep: bool, first: Any) -> Found:
        self.asked.append(("find", list(ids), deep))
        self.first = first
        return Found(
            {each: trace for each, trace in (self.traces or {}).items() if each in ids}, self.unread, self.is_listed
        )

    def _ask(self, app: Any, commands: Any, limit: float, destination: Any = None) -> Answers:
        self.asked.append(("ask", commands["query_task"]["ids"], *sorted(commands)))
        if self.error is not None:
            raise self.error
        answers = self.later if destination is not None and self.later is not None else self.said
        said = {name: {key: said[key] for key in commands if key in said} for name, said in answers.items()}
        return Answers(said=said, failed={}, listening=1, silent=self.silent, absent=frozenset({"c@h"}))

    def locate(self, state: str = "PENDING", **known: Any) -> Located:
        return locate("app", [Outcome(id="1", state=state, **known)])  # type: ignore[arg-type]

    def find(self, state: str = "PENDING", **known: Any) -> Outcome:
        [found] = self.locate(state, **known).outcomes
        return found


def held(place: str, **info: Any) -> dict[str, Any]:
    return {"a@h": {"query_task": {"1": [place, {"id": "1", "name": "shop.add", **info}]}}}


def test_queued__name_time_and_position_come_from_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, {"1": Trace(place="queued", queue="q", task="shop.add", eta=ETA, position=3)})
    assert bench.find() == Outcome(
        id="1", state="PENDING", place="queued", queue="q", position=3, task="shop.add", eta=TIME
    )
    assert bench.asked == [("find", ["1"], False), ("ask", ["1"], "query_task")]
    assert bench.prepared == 1


@pytest.mark.parametrize("place", ["active", "reserved", "scheduled", "ready"])
def test_held__name_comes_from_the_worker(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    bench = Bench(monkeypatch, {}, **held(place))
    assert bench.find() == Outcome(id="1", state="PENDING", place=place, worker="a@h", task="shop.add")


def test_held__since_when_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Bench(monkeypatch, {}, **held("active", time_start=TIME.timestamp())).find().started == TIME


@pytest.mark.parametrize("started", [None, "soon", float("nan"), -1.0, 1e300])
def test_held__since_a_time_that_is_none(monkeypatch: pytest.MonkeyPatch, started: Any) -> None:
    assert Bench(monkeypatch, {}, **held("active", time_start=started)).find().started is None


def test_held__since_when_only_if_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Bench(monkeypatch, {}, **held("reserved", time_start=TIME.timestamp())).find().started is None


@pytest.mark.parametrize("order", ["abc", "bca", "cba"])
def test_held__by_two_the_one_that_runs_it_counts(monkeypatch: pytest.MonkeyPatch, order: str) -> None:
    places = {"a": "active", "b": "reserved", "c": "scheduled"}
    workers = {name: {"query_task": {"1": [places[name], {}]}} for name in order}
    found = Bench(monkeypatch, {}, **workers).find()
    assert (found.place, found.worker) == ("active", "a")


def test_held__by_two_until_a_time_that_one_of_them_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a worker takes the place of another; of two that have it, the first counts."""
    entries = [{"eta": eta, "request": {"id": "1"}} for eta in (ETA, None)]
    second = {"query_task": {"1": ["scheduled", {}]}, "scheduled": entries[1:]}
    bench = Bench(monkeypatch, {}, **{**held("scheduled"), "b@h": second})
    bench.said["a@h"]["scheduled"] = entries[:1]
    found = bench.find()
    assert (found.worker, found.task, found.eta) == ("a@h", "shop.add", TIME)


@pytest.mark.parametrize(
    "known",
    [held("scheduled")["a@h"], {}],  # {}: Celery before 5.7, and a task that the same worker has run before
)
def test_held__until_a_time_that_only_the_worker_knows(monkeypatch: pytest.MonkeyPatch, known: Any) -> None:
    one, other = {"id": "1", "name": "shop.add"}, {"id": "2", "name": "shop.other"}
    entries = [{"eta": "2031-01-01T00:00:00+00:00", "request": other}, {"eta": ETA, "request": one}]
    bench = Bench(monkeypatch, None, **{"a@h": {**known, "scheduled": entries}})
    found = bench.find()
    assert found == Outcome(id="1", state="PENDING", place="scheduled", worker="a@h", task="shop.add", eta=TIME)


def test_held__until_a_time_that_the_message_has(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, {"1": Trace(place="reserved", task="shop.add", eta=ETA)}, **held("scheduled"))
    assert bench.find().eta == TIME


@pytest.mark.parametrize(
    "odd",
    [
        {"query_task": {"1": "active"}},
        {"query_task": {"1": ["asleep", {}]}},
        {"query_task": {"1": ["active"]}},
        {"query_task": {"1": ["active", {}, {}]}},
        {"query_task": {"1": 5}},
        {"query_task": {"1": {"a": 1, "b": 2}}},
        {"scheduled": [{"request": {"id": []}}]},
        {"query_task": ["1"]},
        {"scheduled": ["1", {"request": 5}, {"request": {"id": 1}}]},
        {"revoked": "1"},
    ],
)
def test_held__answers_of_another_form_are_not_read(monkeypatch: pytest.MonkeyPatch, odd: Any) -> None:
    assert Bench(monkeypatch, {}, **{"a@h": odd}).find().place == "none"


def test_taken__by_a_worker_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, {"1": Trace(place="reserved", task="shop.add")})
    assert bench.find() == Outcome(id="1", state="PENDING", place="reserved", task="shop.add")


REVOKED = {"revoked": ["2", "1"]}


@pytest.mark.parametrize(
    ("traces", "held_there"),
    [({}, {}), ({"1": Trace(place="queued", queue="q", position=1)}, {}), ({}, held("scheduled")["a@h"])],
)
def test_revoked__wherever_it_waits(monkeypatch: pytest.MonkeyPatch, traces: Any, held_there: Any) -> None:
    found = Bench(monkeypatch, traces, **{"a@h": {**held_there, **REVOKED}}).find()
    assert (found.place, found.worker) == ("revoked", "a@h")
    assert found.task == ("shop.add" if held_there else None)


def test_revoked__one_that_has_begun_is_not_said_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, {}, **{"a@h": REVOKED})
    bench.latest = Outcome(id="1", state="STARTED")
    assert bench.find("STARTED").place == "none"


def test_revoked__one_that_begins_meanwhile_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, {}, **held("reserved"))
    bench.later = {"a@h": {**held("active")["a@h"], **REVOKED}}
    found = bench.find()
    assert (found.place, found.worker) == ("active", "a@h")


def test_revoked__one_that_runs_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Bench(monkeypatch, {}, **{"a@h": {**held("active")["a@h"], **REVOKED}}).find().place == "active"


def test_lists__are_asked_for_only_for_what_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """They may have thousands of tasks."""
    bench = Bench(monkeypatch, {}, **held("active"))
    bench.find()
    assert bench.asked[1:] == [("ask", ["1"], "query_task")]
    locate("app", [Outcome(id=each, state="PENDING") for each in "12"])  # type: ignore[arg-type]
    assert bench.asked[-1] == ("ask", ["2"], "query_task", "revoked", "scheduled")


@pytest.mark.parametrize(("traces", "silent", "place"), [({}, 0, "none"), ({}, 2, "silent"), (None, None, "unknown")])
def test_nowhere__is_known_only_of_queues_and_workers_that_say_it(
    monkeypatch: pytest.MonkeyPatch, traces: Any, silent: int | None, place: str
) -> None:
    bench = Bench(monkeypatch, traces)
    bench.silent, bench.unread = silent, {"q": 5}
    found = bench.locate()
    assert found.outcomes == [Outcome(id="1", state="PENDING", place=place)]
    assert (found.silent, set(found.absent)) == (silent, {"c@h"})
    assert found.unread == ({"q": 5} if traces is not None else {})


@pytest.mark.parametrize(("traces", "silent", "error"), [({}, 0, ""), ({}, 2, ""), (None, 0, ""), ({}, 0, "refused")])
def test_nowhere__its_result_has_come_meanwhile(
    monkeypatch: pytest.MonkeyPatch, traces: Any, silent: int, error: str
) -> None:
    bench = Bench(monkeypatch, traces)
    bench.silent, bench.error = silent, refused() if error else None
    bench.latest = Outcome(id="1", state="SUCCESS", result=4)
    assert bench.find() == Outcome(id="1", state="SUCCESS", result=4)


def test_nowhere__it_has_moved_on_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, {})
    bench.latest = Outcome(id="1", state="RETRY", error=Failure(type="OSError", message="no"))
    assert bench.find() == Outcome(id="1", state="RETRY", error=Failure(type="OSError", message="no"), place="none")


def test_retry__waits_too(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, {"1": Trace(place="queued", task="other", eta=ETA)})
    found = bench.find("RETRY", task="shop.add", worker="the last one")
    assert found == Outcome(id="1", state="RETRY", place="queued", task="shop.add", eta=TIME)


def test_started__the_workers_are_asked_since_when(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Bench(monkeypatch, {}, **held("active", time_start=TIME.timestamp())).find("STARTED", worker="a@h")
    assert found == Outcome(id="1", state="STARTED", worker="a@h", place="active", task="shop.add", started=TIME)


def test_started__its_worker_is_known_although_nobody_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, {})
    bench.latest = Outcome(id="1", state="STARTED")
    found = bench.find("STARTED", worker="a@h")
    assert found == Outcome(id="1", state="STARTED", worker="a@h", place="none")


def test_finished__nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, None)
    assert bench.find("SUCCESS", worker="a@h") == Outcome(id="1", state="SUCCESS", worker="a@h")
    assert bench.asked == []


@pytest.mark.parametrize("eta", ["soon", "2030-99-99T00:00:00", 5])
def test_time__that_cannot_be_read(monkeypatch: pytest.MonkeyPatch, eta: Any) -> None:
    bench = Bench(monkeypatch, {"1": Trace(place="queued", eta=eta)})
    assert bench.find() == Outcome(id="1", state="PENDING", place="queued")


def test_deep__is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, {})
    locate("app", [Outcome(id="1", state="PENDING")], deep=True)  # type: ignore[arg-type]
    assert bench.asked[0] == ("find", ["1"], True)


def test_nowhere__if_not_all_queues_could_be_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, {})
    bench.is_listed, bench.silent = False, 2
    found = bench.locate()
    assert (found.outcomes[0].place, found.is_listed) == ("unknown", False)


def refused() -> Unreachable:
    error = Unreachable("The broker refuses: no permissions to run the 'eval' command.")
    error.__cause__ = redis.exceptions.NoPermissionError()
    return error


@pytest.mark.parametrize(("traces", "place"), [({}, "unasked"), ({"1": Trace(place="queued", queue="q")}, "queued")])
def test_workers__may_not_be_asked(monkeypatch: pytest.MonkeyPatch, traces: Any, place: str) -> None:
    bench = Bench(monkeypatch, traces)
    bench.error = refused()
    found = bench.locate()
    assert (found.outcomes[0].place, found.refusal) == (place, str(refused()))
    with pytest.raises(Unreachable):  # who has to ask the workers is told
        places("app", [Outcome(id="1", state="PENDING")])  # type: ignore[arg-type]


def test_workers__cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, {})
    bench.error = Unreachable("The broker does not answer.")
    with pytest.raises(Unreachable):
        bench.locate()


def test_find__the_queue_to_which_it_was_sent_is_read_first(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, {})
    assert bench.find(queue="mails").queue is None
    assert bench.first == {"mails"}
