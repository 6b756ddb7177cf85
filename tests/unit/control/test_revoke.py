from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tasktools.brokers.base import Trace
from tasktools.control import revoke as module
from tasktools.control.answers import Answers
from tasktools.control.revoke import Target, find, revoke


class Bench:
    """A broker and its workers, which say what the test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, traces: dict[str, Trace] | None, **said: Any) -> None:
        self.asked: list[Any] = []
        self.said = said
        broker = SimpleNamespace(
            name="The broker",
            supports_find=traces is not None,
            find=lambda ids: {each: trace for each, trace in (traces or {}).items() if each in ids},
        )
        monkeypatch.setattr(module, "broker_of", lambda app: broker)
        monkeypatch.setattr(module, "ask", self._ask)

    def _ask(self, app: Any, commands: Any, limit: float) -> Answers:
        self.asked.append(commands)
        answers = {name: answer for name, answer in self.said.items() if name in commands}
        return Answers(said={"w@h": answers}, failed={"v@h": {"revoke": "broken"}}, listening=3, silent=1)

    def find(self) -> Target:
        [found] = find(None, ["1"])  # type: ignore[arg-type]
        return found


SCHEDULED = [5, {"request": 5}, {"request": {"id": "2"}}, {"request": {"id": "1", "name": "shop.add"}}]
RESERVED = {"1": Trace(place="reserved", task="shop.add")}


@pytest.mark.parametrize(
    ("answer", "place"),
    [
        (["active", {"name": "shop.add"}], "running"),
        (["ready", {"name": "shop.add"}], "reserved"),
        (["scheduled", {"name": "shop.add"}], "scheduled"),
    ],
)
def test_find__a_worker_has_it(monkeypatch: pytest.MonkeyPatch, answer: Any, place: str) -> None:
    bench = Bench(monkeypatch, {}, query_task={"1": answer})
    assert bench.find() == Target(id="1", place=place, worker="w@h", task="shop.add")
    assert len(bench.asked) == 1


def test_find__it_waits_in_a_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, {"1": Trace(place="queued", queue="mails", task="shop.add")}, query_task={})
    assert bench.find() == Target(id="1", place="queued", queue="mails", task="shop.add")
    assert len(bench.asked) == 1


@pytest.mark.parametrize("traces", [RESERVED, None], ids=["redis", "another broker"])
def test_find__a_worker_up_to_celery_5_6_holds_it(monkeypatch: pytest.MonkeyPatch, traces: Any) -> None:
    found = Bench(monkeypatch, traces, query_task={}, scheduled=SCHEDULED).find()
    assert found == Target(id="1", place="scheduled", worker="w@h", task="shop.add")


@pytest.mark.parametrize(
    ("traces", "target"),
    [
        (RESERVED, Target(id="1", place="taken", task="shop.add")),
        (None, Target(id="1", place="unknown")),
        ({}, Target(id="1", place="none")),
    ],
)
def test_find__no_worker_that_answers_has_it(monkeypatch: pytest.MonkeyPatch, traces: Any, target: Target) -> None:
    assert Bench(monkeypatch, traces, query_task={"1": ["nosuch"]}, scheduled=[]).find() == target


@pytest.mark.parametrize("terminate", [False, True])
def test_revoke__says_who_has_confirmed(monkeypatch: pytest.MonkeyPatch, terminate: bool) -> None:
    bench = Bench(monkeypatch, {}, revoke={"ok": "flagged"})
    found = revoke(None, ["1"], terminate=terminate, signal="SIGKILL")  # type: ignore[arg-type]
    assert (found.workers, found.failed, found.silent) == (["w@h"], {"v@h": "broken"}, 1)
    more = {"terminate": True, "signal": "SIGKILL"} if terminate else {}
    assert bench.asked == [{"revoke": {"task_id": ["1"], **more}}]
