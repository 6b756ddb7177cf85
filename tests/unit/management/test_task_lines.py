"""The lines that runworker prints of tasks in development."""

from __future__ import annotations

import io
import re
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from celery import states

from tasktools.management.commands.runworker import Command
from tasktools.management.task_lines import TaskLines
from tests.hostile import HOSTILE, active


def lines(**options: Any) -> tuple[TaskLines, io.StringIO]:
    err = io.StringIO()
    given = {"no_color": True, "force_color": False, **options}
    return TaskLines(Command(stderr=err), given, how_to_quit=" Quit with CONTROL-C."), err  # type: ignore[arg-type]


TASK = SimpleNamespace(name="shop.add")


@pytest.mark.parametrize(
    ("state", "retval", "end"),
    [
        (states.SUCCESS, 4, "succeeded after T s: 4"),
        (states.SUCCESS, None, "succeeded after T s"),
        (states.SUCCESS, "x" * 1_000, f"succeeded after T s: '{'x' * 99}…"),
        (states.SUCCESS, ValueError("returned"), "succeeded after T s: ValueError('returned')"),
        (states.FAILURE, ValueError("bad"), "failed after T s: ValueError: bad"),
        (states.IGNORED, None, "ended, its result is ignored after T s"),
        (states.REJECTED, None, "rejected its message after T s"),
        ("MINE", None, "mine after T s"),
        (None, None, "was stopped after T s"),
    ],
)
def test_end__of_each_state(state: str | None, retval: Any, end: str) -> None:
    told, err = lines()
    told.began(task_id="1234567890", task=TASK)
    told.ended(task_id="1234567890", task=TASK, retval=retval, state=state)
    first, second = err.getvalue().splitlines()
    assert re.fullmatch(r"\[\d\d/\w+/\d{4} \d\d:\d\d:\d\d\] shop\.add 12345678 started", first)
    assert re.sub(r"\d\.\d{3} s", "T s", second).partition("] ")[2] == f"shop.add 12345678 {end}"


def test_revoked__says_once_that_a_task_was_terminated() -> None:
    told, err = lines()
    request = SimpleNamespace(id="1234567890")
    for _ in range(2):  # Celery sends the signal at the command, and again when the process has ended
        told.revoked(TASK, request=request, terminated=True, signum=15, expired=False)
    told.revoked(TASK, request=SimpleNamespace(id="2"), terminated=False, signum=None, expired=True)
    [line] = err.getvalue().splitlines()
    assert line.endswith("] shop.add 12345678 was revoked: terminated")


def test_state__alone_is_coloured() -> None:
    told, err = lines(no_color=False, force_color=True)
    told.ended(task_id="1", task=TASK, state=states.SUCCESS)
    told.ended(task_id="2", task=TASK, retval=OSError("x"), state=states.FAILURE)
    good, bad = err.getvalue().splitlines()
    assert re.search(r" shop\.add 1 \x1b\[32;1msucceeded\x1b\[0m after ", good)
    assert re.search(r" shop\.add 2 \x1b\[31;1mfailed\x1b\[0m after ", bad)


def test_received__says_when_it_runs() -> None:
    told, err = lines()
    eta = datetime(2030, 1, 31, 18, 0, tzinfo=timezone.utc)
    told.received(SimpleNamespace(name="shop.add", id="1234567890", eta=eta))
    told.received(SimpleNamespace(name="shop.add", id="1234567890", eta=None))
    [line] = err.getvalue().splitlines()
    assert line.endswith(f"shop.add 12345678 waits until {eta.astimezone():%H:%M:%S}")


def test_lines__of_hostile_text_stay_one_line() -> None:
    told, err = lines()
    task = SimpleNamespace(name=HOSTILE)
    told.began(task_id=HOSTILE, task=task)
    told.ended(task_id=HOSTILE, task=task, retval=ValueError(HOSTILE * 100_000), state=states.FAILURE)
    assert (err.getvalue().count("\n"), active(err.getvalue())) == (2, [])
    assert len(err.getvalue()) < 5000
