from __future__ import annotations

import re
from typing import Any

import pytest

from tasktools.events.nodes import Node
from tasktools.events.tally import Row
from tasktools.management.watch_page import Page, count, listed, sparks
from tests.hostile import HOSTILE, active


def row(task: str = "shop.tasks.add", **fields: Any) -> Row:
    known: dict[str, Any] = {
        "succeeded": 59_883,
        "failed": 0,
        "retried": 0,
        "rate": 998.2,
        "waited": (0.0004, 0.012),
        "ran": (0.002, 61.0),
        "history": (0, 1, 2, 4),
    }
    return Row(task=task, **(known | fields))


def drawn(width: int, height: int, *rows: Row, encoding: str = "utf-8", **fields: Any) -> list[str]:
    from rich.console import Console

    known: dict[str, Any] = {
        "nodes": [Node("celery@web", 0.0, active=2)],
        "queues": {"celery": 1_204, "mails": 0},
        "note": "",
        "seconds": 63.0,
        "sort": "r",
        "is_reversed": False,
    }
    page = Page(rows=rows, **(known | fields)).drawn(width, height, encoding)
    console = Console(width=width, height=height, color_system=None, force_terminal=True, legacy_windows=False)
    with console.capture() as captured:
        console.print(page)
    return captured.get().splitlines()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 60), (40, 10)])
def test_page__fits_the_terminal(width: int, height: int) -> None:
    rows = [row(f"shop.tasks.{'long' * number}.add", rate=float(number)) for number in range(50)]
    lines = drawn(width, height, *rows)
    assert len(lines) == height
    assert max(map(len, lines)) <= width
    assert lines[-1].startswith("sort by: ")


@pytest.mark.parametrize(
    ("width", "height", "titles", "above"),
    [
        (10, 3, "TASK", 0),
        (20, 4, "TASK RATE/S", 0),
        (30, 5, "TASK RATE/S DONE", 1),
        (60, 7, "TASK RATE/S DONE FAILED WAITED 95% RAN 95%", 3),
        (70, 8, "TASK RATE/S DONE FAILED WAITED 95% RAN 95% LAST MINUTE", 4),
    ],
)
def test_page__a_small_terminal_keeps_the_table(width: int, height: int, titles: str, above: int) -> None:
    lines = drawn(width, height, row("add"), row("pay", rate=1.0))
    assert len(lines) == height
    assert max(map(len, lines)) <= width
    assert lines[above].split() == titles.split()
    assert [line.split()[0] for line in lines[above + 1 : above + 3]] == ["add", "pay"]
    assert lines[-1].startswith("sort by:") == (height > 3)


def test_page__a_low_terminal_keeps_what_has_to_be_known() -> None:
    assert drawn(80, 6, row("add"), note="the broker has gone")[1].startswith("the broker has gone")
    assert drawn(80, 5, row("add"), note="the broker has gone")[0].startswith("the broker has gone")
    assert not any("broker" in line for line in drawn(80, 4, row("add"), note="the broker has gone"))


def test_page__of_80_columns() -> None:
    lines = drawn(80, 24, row(), row("pay", failed=3, rate=1.5, waited=None))
    assert lines[0].startswith("999.7 tasks/s, 119,766 done, 3 failed, 0 retried, in 1 min 3 s")
    assert lines[1].startswith("Workers (1): celery@web 2 running")
    assert lines[2].startswith("Queues: celery 1,204, mails 0")
    assert lines[4].split()[:8] == ["TASK", "RATE/S", "DONE", "FAILED", "WAITED", "95%", "RAN", "95%"]
    assert lines[5].split()[:8] == ["shop.tasks.add", "998", "59,883", "0", "0.4ms", "12ms", "2.0ms", "1.0m"]
    assert lines[6].split()[:8] == ["pay", "1.5", "59,883", "3", "-", "-", "2.0ms", "1.0m"]
    assert lines[5].rstrip().endswith("█")


def test_page__of_200_columns_has_all() -> None:
    lines = drawn(200, 60, row("shop.tasks.invoices.send_reminder_to_the_customer"))
    assert any("RETRIED" in line and "LAST MINUTE" in line for line in lines)
    assert any("shop.tasks.invoices.send_reminder_to_the_customer" in line for line in lines)


@pytest.mark.parametrize(
    ("sort", "is_reversed", "order"),
    [
        ("t", False, ["a", "b", "c"]),
        ("t", True, ["c", "b", "a"]),
        ("r", False, ["b", "c", "a"]),
        ("d", False, ["c", "a", "b"]),
        ("f", False, ["a", "c", "b"]),
        ("w", False, ["b", "a", "c"]),
        ("x", False, ["a", "b", "c"]),
        ("x", True, ["c", "b", "a"]),
    ],
)
def test_page__is_sorted(sort: str, is_reversed: bool, order: list[str]) -> None:
    rows = [
        row("c", rate=2.0, succeeded=9, failed=1, waited=None, ran=None),
        row("b", rate=3.0, succeeded=1, failed=0, waited=(1.0, 9.0), ran=(1.0, 3.0)),
        row("a", rate=1.0, succeeded=5, failed=2, waited=(2.0, 5.0), ran=(0.0, 7.0)),
    ]
    lines = drawn(80, 24, *rows, sort=sort, is_reversed=is_reversed)
    assert [line.split()[0] for line in lines[5:8]] == order
    assert f"{sort} " in lines[-1]


def test_page__what_is_not_known_is_not_zero() -> None:
    lines = drawn(80, 24, nodes=[], queues=None)
    assert lines[1].startswith("Workers: none heard")
    assert lines[2].startswith("Queues: unknown")


def test_page__hostile_names_stay_in_their_cells() -> None:
    node = Node(HOSTILE, 0.0)
    lines = drawn(80, 24, row(HOSTILE), row("[red]b[/red]"), nodes=[node], queues={HOSTILE: 1})
    assert len(lines) == 24
    assert active("\n".join(lines)) == []
    assert any(line.startswith("[red]b[/red]") for line in lines)


def test_sparks__the_newest_is_at_the_right_and_the_highest_the_tallest() -> None:
    history = (0,) * 40 + (1,) * 10 + (8,) * 10
    assert sparks(history, 6, "12345678") == "    28"
    assert sparks((), 6, "12345678") == " " * 6
    assert len(sparks((3,), 60, "12345678")) == 60


def test_page__a_terminal_without_unicode() -> None:
    lines = drawn(80, 24, row(), encoding="ascii")
    assert lines[5].rstrip().endswith("#")


def test_count__is_short() -> None:
    assert [count(number) for number in (0, 999_999, 1_000_000, 12_345_678)] == ["0", "999,999", "1.0M", "12.3M"]


@pytest.mark.parametrize(
    ("number", "shown", "more"), [(17, 17, ""), (18, 18, ""), (19, 17, "2 more"), (30, 17, "13 more")]
)
def test_page__says_how_many_rows_there_is_no_room_for(number: int, shown: int, more: str) -> None:
    lines = drawn(80, 24, *[row(f"task{place}") for place in range(number)])
    assert sum(line.startswith("task") for line in lines) == shown
    assert [line.strip() for line in lines if " more" in line] == [more] * bool(more)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (80, 50), (200, 60)])
def test_page__says_how_many_workers_and_queues_there_is_no_room_for(width: int, height: int) -> None:
    nodes = [Node(f"celery@web-{number}", 0.0, active=2) for number in range(1_000)]
    lines = drawn(width, height, row(), nodes=nodes, queues={f"queue-{number}": number for number in range(300)})
    workers, _, queues = "".join(lines[:6]).partition("Queues: ")
    assert workers.count("running") == 1_000 - int(re.findall(r"(\d+) more", workers)[0])
    assert queues.count("queue-") == 300 - int(re.findall(r"(\d+) more", queues)[0])
    assert "…" not in "".join(lines)


def test_listed__has_one_at_least_and_all_that_fit() -> None:
    assert listed("Q: ", ["abcdef", "b"], 5) == "Q: abcdef, 1 more"
    assert listed("Q: ", ["a", "b"], 7) == "Q: a, b"
    assert listed("Q: ", ["a", "b", "c"], 9) == "Q: a, 2 more"
    assert listed("Q: ", [], 9) == "Q: "


@pytest.mark.parametrize(
    ("is_reversed", "sort", "key"), [(False, "r", "r rate↓"), (True, "r", "r rate↑"), (False, "t", "t task↑")]
)
def test_page__the_key_says_which_end_is_at_the_top(is_reversed: bool, sort: str, key: str) -> None:
    assert key in drawn(80, 24, row(), sort=sort, is_reversed=is_reversed)[-1]
    plain = key.replace("↓", "v").replace("↑", "^")
    assert plain in drawn(80, 24, row(), sort=sort, is_reversed=is_reversed, encoding="ascii")[-1]


@pytest.mark.parametrize("task", ["pay", "shop.tasks.fetch_the_invoices"])
def test_page__of_80_columns_shows_retries_if_there_are_any(task: str) -> None:
    lines = drawn(80, 24, row(task, succeeded=0, retried=7), row("add"))
    assert "RETRIED" in lines[4]
    assert " 7 " in lines[6]
    assert ("LAST MINUTE" in lines[4]) is (task == "pay")
    assert "RETRIED" not in drawn(80, 24, row(task))[4]


@pytest.mark.parametrize("task", ["a", "shop.tasks.fetch_the_invoices"])
def test_page__the_chart_has_one_heading(task: str) -> None:
    assert "LAST MINUTE" in drawn(80, 24, row(task))[4]
