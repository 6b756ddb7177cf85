"""watchtasks prints what ends, and says what it does not see."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from django.core.management import call_command
from rich.cells import cell_len

from tasktools.events import watch
from tasktools.events.attempts import Attempt
from tasktools.events.watch import Notice
from tasktools.management.watch_lines import beginning, brief, ending
from tests.conftest import Ran
from tests.hostile import HOSTILE, active, forged
from tests.support import refusing_port, silent_port

Run = Callable[..., Ran]
Feed = Callable[..., None]

AT = datetime(2030, 1, 1, 12, tzinfo=timezone.utc)


def attempt(task: str | None = "shop.tasks.add", state: str = "SUCCESS", **fields: Any) -> Attempt:
    known: dict[str, Any] = {
        "waited": 0.0045,
        "waited_since": "received",
        "ran": 1.25,
        "exception": None,
        "at": AT,
    } | fields
    return Attempt(task=task, id="8251fa4b-99c1-4061", worker="celery@web", state=state, **known)


@pytest.fixture
def feed(monkeypatch: pytest.MonkeyPatch) -> Feed:
    """Have the next watchtasks see these steps."""

    def feeds(*steps: Notice | list[Attempt]) -> None:
        def run(self: watch.Watch) -> Iterator[Notice | list[Attempt]]:
            yield from steps

        monkeypatch.setattr(watch.Watch, "__iter__", run)

    return feeds


def test_watchtasks__a_line_for_each(feed: Feed, run_command: Run, settings: Any) -> None:
    error, long = f"ValueError('{'x ' * 200}')", "shop.tasks." + "long" * 20
    feed([attempt()], [attempt("shop.tasks.pay", "FAILURE", waited=None, exception=error), attempt(long)])
    done = run_command("watchtasks", no_color=True)
    name, worker = " " * 26, " " * 10
    assert done.err == f"TIME      TASK{name}  ID        WORKER{worker}  WAITED     RAN  STATE\n"
    at = f"{AT.astimezone(zone()):%H:%M:%S}"
    assert done.out.splitlines() == [
        f"{at}  shop.tasks.add{name[10:]}  8251fa4b  celery@web{worker[4:]}   4.5ms    1.2s  SUCCESS",
        f"{at}  shop.tasks.pay{name[10:]}  8251fa4b  celery@web{worker[4:]}       -    1.2s  FAILURE {error}",
        f"{at}  {long}  8251fa4b  celery@web{worker[4:]}   4.5ms    1.2s  SUCCESS",
    ]


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_watchtasks__a_line_of_a_terminal_is_one(feed: Feed, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    long = attempt("shop.tasks." + "long" * 50, "FAILURE", exception="a word\n" * 100)
    feed([attempt()], [long, attempt("pay", "FAILURE", exception="日本語" * 100)])
    screen, notes = Screen(), io.StringIO()
    call_command("watchtasks", stdout=screen, stderr=notes, no_color=True)
    [head], lines = notes.getvalue().splitlines(), screen.getvalue().splitlines()
    assert len(lines) == 3
    assert max(map(cell_len, [head, *lines])) <= width
    assert [line.endswith("…") for line in lines] == [width == 40, True, True]
    assert len({line.index(" 8251fa4b ") for line in lines} | {head.index(" ID ")}) == 1
    assert width == 40 or " SUCCESS" in lines[0]


def test_watchtasks__a_time_that_is_not_known(feed: Feed, run_command: Run) -> None:
    feed([attempt(at=None, waited=None, ran=None)])
    assert run_command("watchtasks", no_color=True).out.startswith("-         shop.tasks.add  ")
    assert json.loads(run_command("watchtasks", "--json").out)["at"] is None


def zone() -> Any:
    from tasktools.project import current_project

    found = current_project().found
    assert found is not None
    return found.app.timezone


def test_watchtasks__as_json_is_an_object_a_line(feed: Feed, run_command: Run) -> None:
    feed(
        Notice(text="the broker has gone", is_trouble=True),
        [],
        [attempt(), attempt(None, waited=None, waited_since=None)],
    )
    done = run_command("watchtasks", "--json")
    assert json.loads(done.err) == {"note": "the broker has gone"}
    first, second = map(json.loads, done.out.splitlines())
    assert first == {
        "at": "2030-01-01T12:00:00Z",
        "task": "shop.tasks.add",
        "id": "8251fa4b-99c1-4061",
        "worker": "celery@web",
        "state": "SUCCESS",
        "waited": 0.0045,
        "waited_since": "received",
        "ran": 1.25,
        "exception": None,
    }
    assert (second["task"], second["waited"]) == (None, None)


@pytest.mark.parametrize(
    ("words", "seen"),
    [
        ([], ["SUCCESS", "FAILURE", "RETRY", "SUCCESS"]),
        (["--failed"], ["FAILURE", "RETRY"]),
        (["--task", "pay"], ["SUCCESS"]),
        (["--task", "shop.*"], ["SUCCESS", "FAILURE", "RETRY"]),
        (["--task", "add", "--failed"], ["FAILURE", "RETRY"]),
    ],
)
def test_watchtasks__only_some(feed: Feed, run_command: Run, words: list[str], seen: list[str]) -> None:
    feed([attempt(), attempt(state="FAILURE")], [attempt(state="RETRY"), attempt("pay")])
    assert [json.loads(line)["state"] for line in run_command("watchtasks", "--json", *words).out.splitlines()] == seen


def test_watchtasks__hostile_texts_stay_lines(feed: Feed, run_command: Run) -> None:
    feed([attempt(HOSTILE, "FAILURE", exception=HOSTILE)])
    done = run_command("watchtasks", no_color=True)
    assert done.out.count("\n") == 1
    assert active(done.out) == forged(done.out) == []
    assert json.loads(run_command("watchtasks", "--json").out)["exception"] == HOSTILE


def test_watchtasks__colours_the_state(feed: Feed, run_command: Run) -> None:
    feed([attempt(), attempt(state="FAILURE", exception="E")])
    first, second = run_command("watchtasks", force_color=True).out.splitlines()
    assert first.endswith("\x1b[32;1mSUCCESS\x1b[0m")
    assert second.endswith("\x1b[31;1mFAILURE E\x1b[0m")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--top", "--json"], "--top draws a table"),
        (["--top"], "--top draws on a terminal, and stdout is none."),
    ],
)
def test_watchtasks__refuses(typed: Run, words: list[str], error: str) -> None:
    ran = typed("watchtasks", *words)
    assert (ran.code, ran.out) == (2, "")
    assert error in ran.err


def test_watchtasks__of_eager_tasks(run_command: Run, app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(app.conf, "task_always_eager", True)
    ran = run_command("watchtasks")
    assert ran.code == 2
    assert ran.err.startswith("CELERY_TASK_ALWAYS_EAGER is set: ")


def test_watchtasks__a_broker_that_refuses_or_is_silent(elsewhere: Callable[..., str], run_command: Run) -> None:
    refused = run_command("watchtasks", "-A", elsewhere(broker_url=f"redis://127.0.0.1:{refusing_port()}/0"))
    assert (refused.code, refused.out) == (69, "")
    with silent_port() as port:
        began = time.monotonic()
        silent = run_command("watchtasks", "-A", elsewhere(broker_url=f"redis://127.0.0.1:{port}/0"))
    assert (silent.code, silent.out) == (69, "")
    assert "does not answer" in silent.err
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0.0, "0.0ms"),
        (0.0099, "9.9ms"),
        (0.00996, "10ms"),
        (0.9994, "999ms"),
        (0.9996, "1.0s"),
        (59.94, "59.9s"),
        (59.96, "1.0m"),
        (3599.0, "1.0h"),
        (3600 * 47.5, "47.5h"),
        (86400 * 100, "100d"),
    ],
)
def test_brief__is_short(seconds: float | None, text: str) -> None:
    assert brief(seconds) == text


def test_names__are_cut_where_they_say_least() -> None:
    assert (beginning("celery@host", 6), ending("shop.tasks.add", 6)) == ("celer…", "…s.add")
    assert (beginning("abc", 3), ending("abc", 3)) == ("abc", "abc")
    assert len(ending("x" * 10_000_000, 20)) == 20
    assert active(beginning(HOSTILE, 20) + ending(HOSTILE, 20)) == []
    assert max(len(beginning(HOSTILE, 20)), len(ending(HOSTILE, 20))) <= 20


def test_watchtasks__takes_no_more_than_a_moment_for_many(feed: Feed, run_command: Run) -> None:
    feed([attempt() for _ in range(2_000)])
    began = time.process_time()
    done = run_command("watchtasks", no_color=True)
    assert done.out.count("\n") == 2_000
    assert timedelta(seconds=time.process_time() - began) < timedelta(seconds=1)
