from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest

from tasktools.management import bars
from tasktools.management.bars import Bars, Lines, meter_of, report_of, steps_of
from tasktools.results.outcome import Outcome


class Bench:
    def __init__(self) -> None:
        self.now, self.said = 100.0, list[str]()
        self.command: Any = SimpleNamespace(note=self.said.append, cleaned=lambda text: text.replace("\x1b", "?"))

    def clock(self) -> float:
        return self.now


def step(result: Any, task_id: str = "1", state: str = "PROGRESS") -> Outcome:
    return Outcome(id=task_id, state=state, result=result)


@pytest.mark.parametrize(
    ("result", "steps"),
    [
        ({"current": 1, "total": 4}, (1, 4)),
        ({"done": 0, "total": 0.5}, (0, 0.5)),
        ({"completed": 9, "total": 4}, (4, 4)),
        ({"current": -1, "total": 4}, (0, 4)),
        ({"current": 1, "total": 0}, None),
        ({"current": 1}, None),
        ({"total": 4}, None),
        ({"current": True, "total": 4}, None),
        ({"current": "1", "total": 4}, None),
        ({"current": 1, "total": float("inf")}, None),
        ({"current": float("nan"), "total": 4}, None),
        ({"current": 1, "total": 10**400}, None),
        ([1, 4], None),
        (None, None),
    ],
)
def test_steps_of(result: Any, steps: Any) -> None:
    assert steps_of(result) == steps


@pytest.mark.parametrize(
    ("result", "line"),
    [
        ({"current": 1, "total": 4}, "PROGRESS 1 of 4 (25%)"),
        ({"current": 1500, "total": 1_000_000, "file": "a"}, 'PROGRESS 1,500 of 1,000,000 (0%) {"file": "a"}'),
        ({"n": 1}, 'PROGRESS {"n": 1}'),
    ],
)
def test_report_of(result: Any, line: str) -> None:
    assert report_of(step(result)) == line


def test_lines__not_more_than_one_a_second_of_each_task() -> None:
    bench = Bench()
    lines = Lines(bench.command, 2, bench.clock)
    for moment, current, task_id in ((0.0, 1, "1"), (0.5, 2, "1"), (0.6, 1, "2"), (1.0, 3, "1"), (2.5, 3, "1")):
        bench.now = 100.0 + moment
        lines.show(step({"current": current, "total": 4}, task_id), label=True)
    assert bench.said == ["1 PROGRESS 1 of 4 (25%)", "2 PROGRESS 1 of 4 (25%)", "1 PROGRESS 3 of 4 (75%)"]


def test_lines__how_many_are_finished_from_time_to_time() -> None:
    bench = Bench()
    lines = Lines(bench.command, 1000, bench.clock)
    for moment, done in ((1.0, 3), (5.0, 4), (9.0, 5), (11.0, 4), (12.0, 9)):
        bench.now = 100.0 + moment
        lines.count(done)
    assert bench.said == ["4 of 1,000 tasks finished.", "9 of 1,000 tasks finished."]


def test_lines__of_one_task_nothing_is_counted() -> None:
    bench = Bench()
    lines = Lines(bench.command, 1, bench.clock)
    bench.now += 100
    lines.count(0)
    lines.count(1)
    assert bench.said == []


class Drawn:
    """What rich draws."""

    def __init__(self) -> None:
        self.rows: dict[int, Any] = {}
        self.visible = False

    def add_task(self, text: str, **what: Any) -> int:
        self.rows[len(self.rows)] = {}
        return len(self.rows) - 1

    def update(self, row: int, **what: Any) -> None:
        self.rows[row] = what

    def remove_task(self, row: int) -> None:
        self.rows[row] = None

    def start(self) -> None:
        self.visible = True

    def stop(self) -> None:
        self.visible = False


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Drawn:
    made = Drawn()
    monkeypatch.setattr(bars, "_drawn", lambda: made)
    return made


def test_bars__one_a_task_and_one_for_all(drawn: Drawn) -> None:
    bench = Bench()
    meter = Bars(bench.command, 3, bench.clock)
    meter.show(step({"current": 1, "total": 4}, "\x1bone"), label=True)
    meter.show(step({"current": 2, "total": 4}, "\x1bone"), label=True)
    meter.count(1)
    assert drawn.rows == {
        0: {"completed": 2, "total": 4, "description": "?one PROGRESS"},
        1: {"completed": 1, "total": 3, "description": "tasks"},
    }
    assert (drawn.visible, bench.said) == (True, [])


def test_bars__leave_room_beside_a_long_id(drawn: Drawn) -> None:
    Bars(Bench().command, 1).show(step({"current": 1, "total": 4}, "219acb28-bca4-49af-954e-4f36ba7f33da"), label=True)
    assert drawn.rows[0]["description"] == "219acb28… PROGRESS"


def test_bars__make_room_for_lines(drawn: Drawn) -> None:
    bench = Bench()
    meter = Bars(bench.command, 1, bench.clock)
    meter.show(step({"current": 1, "total": 4}), label=False)
    meter.show(step("a text"), label=False)
    assert (drawn.visible, bench.said) == (False, ['PROGRESS "a text"'])
    meter.show(step({"current": 2, "total": 4}), label=False)
    assert drawn.visible
    meter.drop("1")
    meter.close()
    assert (drawn.visible, drawn.rows) == (False, {0: None})


def test_bars__no_more_than_a_screen_has_room_for(drawn: Drawn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bars, "MOST_BARS", 2)
    meter = Bars(Bench().command, 1)
    for each in "abc":
        meter.show(step({"current": 1, "total": 4}, each), label=True)
    assert len(drawn.rows) == 2


@pytest.mark.parametrize(
    ("is_terminal", "as_json", "kind"), [(True, False, Bars), (True, True, Lines), (False, False, Lines)]
)
def test_meter_of(is_terminal: bool, as_json: bool, kind: type) -> None:
    stream = io.StringIO()
    stream.isatty = lambda: is_terminal  # type: ignore[method-assign]
    command: Any = SimpleNamespace(stderr=stream, as_json=as_json)
    assert type(meter_of(command, 1)) is kind
