"""Who brings back what was put aside when a task is resumed."""

from __future__ import annotations

from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from tasktools.control import pause as module
from tasktools.control.answers import Answers
from tasktools.control.names import LOOK_AT_PAUSES
from tasktools.control.pause import CONFIRM, Heard, resume, tell
from tasktools.control.presence import Presence
from tasktools.exceptions import Unreachable
from tasktools.queues.pauses import QUEUE, TASK, Pause

PAUSED = Pause(what=TASK, name="add", since=datetime(2030, 1, 31, tzinfo=timezone.utc))


class Kept:
    """Where one task is no longer paused, another still is, and messages of both are aside."""

    def __init__(self) -> None:
        self.back: list[Any] = []

    def remove(self, pauses: Any) -> None:
        self.removed = list(pauses)

    def places_aside(self) -> frozenset[tuple[str, str]]:
        return frozenset({("mails", "add"), ("mails", "pay"), ("bills", "add")})

    def read(self, now: datetime) -> list[Pause]:
        return [Pause(what=TASK, name="pay", since=now), Pause(what=QUEUE, name="add", since=now)]

    def bring_back(self, places: Any) -> None:
        self.back += sorted(places)


BOTH = [("bills", "add"), ("mails", "add")]


@pytest.mark.parametrize(
    ("heard", "back"),
    [
        (Heard(), BOTH),
        (Heard(caretakers=frozenset({"mails"})), [("bills", "add")]),  # its worker may hold what is newer
        (Heard(queues=frozenset({"mails"})), BOTH),  # one without tasktools
        (Heard(silent=["busy@here"]), []),
        (Heard(more_silent=1), []),
        (Heard(is_asked=False), []),
    ],
)
def test_resume__brings_back_what_no_worker_does(
    heard: Heard, back: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Kept()
    monkeypatch.setattr(module, "_kept", lambda app, call: call(kept))
    monkeypatch.setattr(module, "tell", lambda app, removed: heard)
    assert resume("app", [PAUSED]) is heard  # type: ignore[arg-type]
    assert (kept.removed, kept.back) == ([PAUSED], back)
    kept.back.clear()
    resume("app", [Pause(what=QUEUE, name="mails", since=PAUSED.since)])  # type: ignore[arg-type]
    assert kept.back == []


def test_tell__knows_the_queues_of_the_workers_that_know_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    now = {"now": PAUSED.since.isoformat()}
    said = {
        "one": {LOOK_AT_PAUSES: now, "active_queues": [{"name": "mails"}, "odd"]},
        "two": {"active_queues": [{"name": "bills"}]},
        "three": {LOOK_AT_PAUSES: now},
    }
    answers = Answers(said=said, failed={"two": {LOOK_AT_PAUSES: "unknown"}}, listening=3, silent=0)
    taken: list[Any] = []
    monkeypatch.setattr(module, "ask", lambda *_: answers)
    nobody = Presence(silent=[], unknown=[])
    monkeypatch.setattr(module, "presence", lambda app, answers, names, routed: taken.extend(names) or nobody)
    heard = tell("app", removed=[PAUSED])  # type: ignore[arg-type]
    assert (heard.caretakers, heard.queues, taken) == ({"mails"}, {"mails", "bills"}, ["mails", "bills"])


class Broker:
    """A broker that counts consumers, and one worker, which has confirmed after `asking` seconds. A count takes 0.1 s."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, count: Any, asking: float = 0.1) -> None:
        self.name, self.now, self.asking, self.count = "The broker", 0.0, asking, count
        self.counts: list[Any] = []
        self.opened: list[Any] = []
        self.used: list[Any] = []
        self.released: list[Any] = []
        monkeypatch.setattr(module, "ask", self.ask)
        monkeypatch.setattr(module, "presence", self.look)
        monkeypatch.setattr(module, "broker_of", lambda app: self)
        monkeypatch.setattr(module, "connect", self.connect)
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.now, sleep=self.sleep))

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def ask(self, *_: Any) -> Answers:
        self.now += self.asking
        now = {"now": datetime.now(timezone.utc).isoformat()}
        said = {"one": {LOOK_AT_PAUSES: now, "active_queues": [{"name": "mails"}, {"name": "bills"}]}}
        return Answers(said=said, failed={}, listening=None, silent=None)

    def connect(self, *_: Any) -> Any:
        opened = SimpleNamespace(release=lambda: self.released.append(opened))
        self.opened.append(opened)
        return opened

    def look(self, app: Any, answers: Any, taken: Any, routed: Any, connection: Any = None) -> Presence:
        self.counts.append((sorted(taken), sorted(routed)))
        self.used.append(connection)
        return Presence(silent=[], unknown=[], consumers=self.count(len(self.counts)))

    def paused(self) -> Heard:
        return tell("app", put=[Pause(what=QUEUE, name="mails", since=PAUSED.since)])  # type: ignore[arg-type]


@pytest.mark.parametrize(("after", "found"), [(0, {}), (1, {}), (1000, {"mails": 1})])
def test_tell__counts_again_what_confirmed_workers_leave(
    after: int, found: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that has confirmed leaves the queue a moment later; only one that stays has not confirmed."""
    broker = Broker(monkeypatch, lambda count: {"mails": 1} if count <= after else {})
    assert broker.paused().more_consumers == found
    assert set(map(str, broker.counts)) == {"(['bills'], ['mails'])"}
    assert len(broker.counts) == min(after + 1, 1 + 19)  # up to CONFIRM
    assert len(broker.opened) == (1 if after else 0)
    assert broker.used == [None, *broker.opened * (len(broker.counts) - 1)]
    assert broker.released == broker.opened


def test_tell__the_last_count_holds_if_the_next_one_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def count(number: int) -> dict[str, int]:
        if number == 3:
            raise Unreachable("The broker does not answer.")
        return {"mails": 3 - number}

    broker = Broker(monkeypatch, count)
    assert broker.paused().more_consumers == {"mails": 1}
    assert broker.released == broker.opened


def test_tell__the_first_count_holds_without_a_second_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise Unreachable("The broker does not answer.")

    broker = Broker(monkeypatch, lambda _: {"mails": 1})
    monkeypatch.setattr(module, "connect", fail)
    assert broker.paused().more_consumers == {"mails": 1}


def test_tell__nobody_knows_if_the_first_count_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(number: int) -> Any:
        raise Unreachable("The broker does not answer.")

    assert Broker(monkeypatch, fail).paused().more_consumers is None


def test_tell__counts_again_although_the_answers_have_taken_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = Broker(monkeypatch, lambda count: {"mails": 1} if count == 1 else {}, asking=CONFIRM)
    assert broker.paused().more_consumers == {}
