"""Tables in terminals of any size: what has no room is below an entry, or named."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from tasktools.control.workers import ONLINE, Look, RunningTask, Worker
from tasktools.exceptions import Unreachable
from tasktools.management import queue_output, watching, worker_output
from tasktools.management.layout import Cropped, Table, drawn, entries
from tasktools.management.queue_options import Asked
from tasktools.queues.look import Look as Queues
from tasktools.queues.look import QueueInfo
from tasktools.queues.messages import Message

ID = "98dba59a-b6d7-4563-93e5-a8239f1a7e8e"


def queue(**more: Any) -> QueueInfo:
    unknown = dict.fromkeys(("ready", "unacked", "later", "consumers", "oldest", "oldest_taken", "exists"))
    return QueueInfo(**{"name": "mails", "is_declared": True, **unknown, **more})


def peeked() -> Table:
    message = Message(task="shop.tasks.mail", id=ID, args="('ann@shop.test',)", kwargs="{}", retries=0)
    [table] = queue_output.tables(Queues(queues=[queue(messages=[message] * 2)]), Asked(queues=[], peek=2))
    return table


def running() -> Table:
    task = RunningTask(id=ID, name="shop.tasks.report", args="(2026,)", kwargs="{}", seconds=3)
    seen = Look(workers=[Worker(name="web@host.example.test", state=ONLINE, tasks=[task])])
    *_, table = worker_output.tables(seen, None, tasks=True)  # type: ignore[arg-type]
    return table


@pytest.mark.parametrize("table", [peeked(), running()], ids=["peek", "tasks"])
@pytest.mark.parametrize("width", [3, 10, 40, 80, 120, 200])
def test_drawn__nothing_that_is_to_be_copied_is_left_out_or_broken(table: Table, width: int) -> None:
    made = drawn(table, width)
    assert made.left_out == []
    if made.lines is None:
        assert width >= 120
        return
    text = "\n".join(made.lines)
    assert text.count(ID) == len(table.rows)
    assert all(cell in text for row in table.rows for cell in row)
    longest = max(
        len(cell) + len(name) + 3 for row in table.rows for name, cell in zip(table.columns, row, strict=True)
    )
    assert max(map(len, made.lines)) <= max(width, longest)


def test_entries__at_80_columns() -> None:
    assert list(entries(peeked(), 80))[:3] == [
        "QUEUE  NEXT  TASK             ARGUMENTS           AGE      RETRIES  PRIORITY",
        "mails  1     shop.tasks.mail  ('ann@shop.test',)  unknown  0        unknown",
        f"  ID {ID}",
    ]


def test_drawn__other_tables_name_the_columns_that_have_no_room() -> None:
    table = Table(["QUEUE", "READY", "NOTE"], [["mails", "1", "x" * 30]], ["NOTE"])
    assert drawn(table, 80).left_out == []
    assert (drawn(table, 30).left_out, drawn(table, 30).lines) == (["NOTE"], None)


@pytest.mark.parametrize(
    ("height", "last"), [(3, "9 more lines"), (10, "2 more lines"), (11, "line 10"), (12, "line 10")]
)
def test_cropped__says_how_much_has_no_room(height: int, last: str) -> None:
    console = Console(width=40, height=height, force_terminal=False)
    with console.capture() as captured:
        console.print(Cropped([Text("\n".join(f"line {each}" for each in range(11)))]))
    lines = captured.get().splitlines()
    assert len(lines) <= height
    assert lines[-1] == last


def page(seen: Any, width: int, height: int) -> list[str]:
    table = queue_output.tables(Queues(queues=[queue(ready=1240)]), Asked(queues=[]))
    watched: Any = SimpleNamespace(tables=lambda _: table, notes=lambda _: ["A note."], interval=None)
    console = Console(width=width, height=height, force_terminal=False)
    with console.capture() as captured:
        console.print(watching._page(SimpleNamespace(cleaned=str), watched, seen, console))  # type: ignore[arg-type]
    return [line.rstrip() for line in captured.get().splitlines()]


def test_page__of_a_tiny_terminal_shows_what_it_can() -> None:
    lines = page(object(), 10, 12)
    assert lines[1:4] == ["mails", "  READY", "1,240"]
    assert len(page(object(), 10, 3)) == 3
    assert page(object(), 10, 3)[-1].startswith("1")


def test_page__names_the_columns_that_have_no_room() -> None:
    assert "Not shown in 60 columns: LATER, TAKEN" in " ".join(page(object(), 60, 24))


def test_page__of_a_tiny_terminal_says_what_is_wrong() -> None:
    assert page(Unreachable("It does not answer."), 10, 3)[1].strip() == "It does"


def test_drawn__counts_the_cells_of_wide_characters() -> None:
    table = Table(columns=("TASK", "ID"), rows=[("任務" * 18, "1" * 12)], is_whole=True)
    lines = drawn(table, 80).lines
    assert lines is not None
    assert [line for line in lines if cell_len(line) > 80] == []
