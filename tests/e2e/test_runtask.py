"""The debugger of runtask, at a real terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pexpect
import pytest

from tests.support import LIMIT, Site

TASKS = """
from celery import shared_task

def deep(n):
    local = n * 2
    raise ValueError(f"broken {local}")

@shared_task(bind=True)
def fail(self, n: int):
    word = "of the task"
    return deep(n)

@shared_task(bind=True, autoretry_for=(ValueError,), retry_kwargs={"countdown": 180})
def flaky(self, n: int):
    deep(n)

@shared_task
def stops():
    word = "before the end"
    breakpoint()
    return word
"""


@pytest.fixture
def made(site: Site) -> Site:
    site.minimal()
    site.write("shop/tasks.py", TASKS)
    return site


@pytest.fixture
def terminal(made: Site) -> Iterator[Any]:
    """Start manage.py runtask at a terminal of its own."""
    started: list[Any] = []

    def start(words: str, *, stdout: str = "") -> Any:
        command = f"exec {sys.executable} manage.py runtask {words}{f' > {stdout}' if stdout else ''}"
        environment: Any = {**made.variables(), "TERM": "dumb", "NO_COLOR": "1"}
        child = pexpect.spawn(
            "/bin/sh", ["-c", command], cwd=str(made.root), env=environment, encoding="utf-8", timeout=LIMIT
        )
        started.append(child)
        return child

    yield start
    for child in started:
        child.close(force=True)


def ended(child: Any) -> int:
    child.expect(pexpect.EOF)
    child.close()
    return int(child.exitstatus)


def test_pdb__opens_in_the_frame_that_raised(terminal: Any) -> None:
    child = terminal("fail 3 --pdb")
    child.expect_exact("ValueError: broken 6")
    child.expect_exact("(Pdb) ")
    child.sendline("p local")
    child.expect_exact("6\r\n")
    child.sendline("up")
    child.expect_exact("(Pdb) ")
    child.sendline("p word, self.request.retries")
    child.expect_exact("('of the task', 0)")
    child.sendline("q")
    child.expect_exact("shop.tasks.fail failed: ValueError: broken 6")
    assert ended(child) == 1


def test_pdb__opens_where_a_retry_comes_from(terminal: Any) -> None:
    child = terminal("flaky 3 --pdb")
    child.expect_exact("(Pdb) ")
    child.sendline("p local")
    child.expect_exact("6\r\n")
    child.sendeof()
    child.expect_exact("shop.tasks.flaky asks to be tried again in 180 s (retry 1 of 3): ValueError: broken 6")
    assert ended(child) == 1


def test_pdb__keeps_out_of_a_piped_stdout(terminal: Any, made: Site) -> None:
    child = terminal("fail 3 --pdb", stdout="out.txt")
    child.expect_exact("(Pdb) ")
    child.sendline("q")
    assert ended(child) == 1
    assert (made.root / "out.txt").read_text() == ""


def test_pdb__a_task_that_succeeds_opens_none(terminal: Any, made: Site) -> None:
    made.write("shop/tasks.py", TASKS.replace("breakpoint()", "pass"))
    child = terminal("stops --pdb")
    child.expect_exact("before the end")
    assert ended(child) == 0
    assert "(Pdb)" not in child.before


def test_breakpoint__in_a_task(terminal: Any) -> None:
    child = terminal("stops")
    child.expect_exact("(Pdb) ")
    child.sendline("p word")
    child.expect_exact("'before the end'")
    child.sendline("c")
    child.expect_exact("before the end")
    assert ended(child) == 0


def test_retry__a_wait_can_be_interrupted(terminal: Any) -> None:
    child = terminal("flaky 3 --retry")
    child.expect_exact("Waiting.")
    child.sendintr()
    assert ended(child) == 130
    assert "Traceback" not in child.before
