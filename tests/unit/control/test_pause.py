"""Who brings back what was put aside when a task is resumed."""

from __future__ import annotations

from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from tasktools.control import pause as module
from tasktools.control.answers import Answers
from tasktools.control.names import LOOK_AT_PAUSES
from tasktools.control.pause import Heard, resume, tell
from tasktools.control.presence import Presence
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


@pytest.mark.parametrize(("after", "found"), [(0, {}), (1, {}), (1000, {"mails": 1})])
def test_tell__counts_again_what_confirmed_workers_leave(
    after: int, found: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that has confirmed leaves the queue a moment later; only one that stays has not confirmed."""
    now = {"now": datetime.now(timezone.utc).isoformat()}
    said = {"one": {LOOK_AT_PAUSES: now, "active_queues": [{"name": "mails"}, {"name": "bills"}]}}
    counts: list[Any] = []
    clock = iter(range(10_000))

    def look(app: Any, answers: Any, taken: Any, routed: Any) -> Presence:
        counts.append((sorted(taken), sorted(routed)))
        return Presence(silent=[], unknown=[], consumers={"mails": 1} if len(counts) <= after else {})

    monkeypatch.setattr(module, "ask", lambda *_: Answers(said=said, failed={}, listening=None, silent=None))
    monkeypatch.setattr(module, "presence", look)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(clock) / 2, sleep=lambda _: None))
    heard = tell("app", put=[Pause(what=QUEUE, name="mails", since=PAUSED.since)])  # type: ignore[arg-type]
    assert heard.more_consumers == found
    assert set(map(str, counts)) == {"(['bills'], ['mails'])"}
    assert len(counts) == min(after + 1, 4)  # up to CONFIRM
