from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from tasktools.beat.outlook import EntryInfo
from tasktools.beat.records import Beat
from tasktools.beat.state import State
from tasktools.doctor.rounds import lines

NOW = datetime(2030, 1, 31, 12, tzinfo=timezone.utc)
BEAT = Beat(host="web", pid=7, since=NOW - timedelta(minutes=5), schedule="digest")


def entry(name: str = "nightly", **what: Any) -> EntryInfo:
    fields: dict[str, Any] = dict.fromkeys(EntryInfo.__dataclass_fields__)
    return EntryInfo(**{**fields, "name": name, **what})


def told(state: State, *entries: EntryInfo, digest: str = "digest") -> list[tuple[str, str, str]]:
    return [(line.status, line.name, line.text) for line in lines(state, entries, digest, NOW)]


def test_beat__in_charge_and_standing_by() -> None:
    state = State(in_charge=BEAT, standing_by=[Beat(host="other", pid=8, since=None)])
    assert told(state) == [
        ("ok", "in charge", "web (pid 7), for 5 min"),
        ("ok", "standing by", "other (pid 8)"),
    ]


def test_beat__with_another_schedule() -> None:
    (line,) = told(State(in_charge=BEAT), digest="another")
    assert line == (
        "warning",
        "in charge",
        "web (pid 7), for 5 min is in charge, and its schedule is not that of this code.",
    )
    unknown = Beat(host="web", pid=7, since=None)
    assert told(State(in_charge=unknown), digest="another") == [("ok", "in charge", "web (pid 7)")]


@pytest.mark.parametrize(
    ("entries", "text"),
    [
        ([entry()], "No beat is in charge: the entry is not sent."),
        ([entry(), entry("b")], "No beat is in charge: none of the 2 entries of the schedule is sent."),
    ],
)
def test_nobody__is_in_charge(entries: list[EntryInfo], text: str) -> None:
    assert told(State(), *entries) == [("error", "in charge", text)]


def test_nobody__is_needed_without_entries() -> None:
    assert told(State()) == []
    assert told(State(), entry("celery.backend_cleanup")) == []
    assert told(State(is_known=False), entry("celery.backend_cleanup")) == []
    assert told(State(is_known=False)) == []


def test_beat__that_nobody_knows_of() -> None:
    text = "not known: this scheduler or broker does not say"
    assert told(State(is_known=False), entry()) == [("ok", "in charge", text)]


def test_state__that_no_beat_has_written() -> None:
    assert [line[:2] for line in told(State(is_foreign=True))] == [("warning", "in charge")]


def test_entries__the_last_run_and_those_that_are_late() -> None:
    first = entry("a", last_run=NOW - timedelta(hours=2))
    second = entry("b", last_run=NOW - timedelta(minutes=1), overdue_since=NOW - timedelta(seconds=30))
    assert told(State(in_charge=BEAT), first, second, entry("c"))[1:] == [
        ("ok", "last run", "b, 1 min ago"),
        ("error", "b", 'The entry "b" should have run 30 s ago.'),
    ]
