from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from tasktools.events.attempts import Attempt
from tasktools.events.tally import HISTORY, MOST_NAMES, OTHERS, SAMPLE, UNNAMED, Tally, percentiles


def attempt(task: str | None = "add", state: str = "SUCCESS", **fields: Any) -> Attempt:
    known: dict[str, Any] = {"waited": None, "waited_since": None, "ran": None, "exception": None} | fields
    return Attempt(at=datetime.now(timezone.utc), task=task, id="id", worker="w", state=state, **known)


def test_tally__counts_by_state() -> None:
    tally = Tally(0.0)
    for state in ("SUCCESS", "SUCCESS", "FAILURE", "REVOKED", "REJECTED", "RETRY"):
        tally.count(attempt(state=state))
    [row] = tally.rows()
    assert (row.task, row.succeeded, row.failed, row.retried) == ("add", 2, 3, 1)


def test_tally__rate_is_that_of_the_last_whole_seconds() -> None:
    tally = Tally(0.0)
    for second in range(20):
        tally.turn(float(second))
        for _ in range(5 if second < 10 else 3):
            tally.count(attempt())
    tally.turn(20.0)
    tally.count(attempt())
    [row] = tally.rows()
    assert row.rate == 3.0
    assert row.history[-20:] == (5,) * 10 + (3,) * 10


def test_tally__rate_shortly_after_the_begin() -> None:
    tally = Tally(100.0)
    for _ in range(6):
        tally.count(attempt())
    for now, rate in ((100.5, 0.0), (101.5, 6.0), (102.5, 3.0)):
        tally.turn(now)
        assert tally.rows()[0].rate == rate


def test_tally__forgets_what_is_older_than_its_history() -> None:
    tally = Tally(0.0)
    tally.count(attempt())
    tally.turn(100_000.0)
    [row] = tally.rows()
    assert (row.succeeded, row.rate, row.history) == (1, 0.0, (0,) * HISTORY)


def test_tally__percentiles_are_of_the_last_attempts() -> None:
    tally = Tally(0.0)
    for number in range(SAMPLE + 500):
        tally.count(attempt(waited=float(number), ran=1.0))
    [row] = tally.rows()
    assert row.waited is not None
    assert round(row.waited[0], 1) == 999.5
    assert round(row.waited[1], 1) == 1449.0
    assert row.ran == (1.0, 1.0)


def test_tally__many_names_are_counted_together() -> None:
    tally = Tally(0.0)
    for number in range(MOST_NAMES + 10):
        tally.count(attempt(f"task{number}"))
    tally.count(attempt(None))
    rows = {row.task: row.succeeded for row in tally.rows()}
    assert len(rows) == MOST_NAMES + 1
    assert rows[OTHERS] == 11
    assert UNNAMED not in rows


def test_tally__a_task_without_a_name_is_a_dash_as_everywhere() -> None:
    tally = Tally(0.0)
    tally.count(attempt(None))
    assert [row.task for row in tally.rows()] == ["-"]


def test_percentiles__of_few() -> None:
    assert percentiles([]) is None
    assert percentiles([2.0]) == (2.0, 2.0)
    assert percentiles([1.0, 3.0]) == (2.0, 2.9)
