"""forgetfailed removes rows: counts, asks, and reports the true count."""

from __future__ import annotations

import contextlib
import itertools
import json
import signal
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from django.db import OperationalError

from tasktools.environment import interrupts
from tasktools.failures import forget
from tasktools.management import forget_steps
from tasktools.models import FailedTask, State
from tests.commands.test_purgequeue import Person
from tests.commands.test_showfailed import ADD, NOTE, row
from tests.conftest import Ran

Run = Callable[..., Ran]

pytestmark = pytest.mark.django_db

NOW = datetime.now(timezone.utc)


@pytest.fixture
def table() -> dict[str, FailedTask]:
    """Rows by their ids."""
    return {
        "old1": row(ADD, "old1", failed_at=NOW - timedelta(days=40)),
        "new1": row(NOTE, "new1", exception="builtins.KeyError"),
        "mended1": row(ADD, "mended1", state=State.MENDED),
        "sending1": row(ADD, "sending1", state=State.SENDING),
    }


def left() -> set[str]:
    return set(FailedTask.objects.values_list("task_id", flat=True))


@pytest.mark.parametrize(
    ("words", "gone"),
    [
        (["old1", "new1"], {"old1", "new1"}),
        (["--task", "note"], {"new1"}),
        (["--exception", "KeyError"], {"new1"}),
        (["--before", "30d"], {"old1"}),
        (["--since", "30d"], {"new1", "mended1"}),
        (["--mended"], {"mended1"}),
        (["--all"], {"old1", "new1", "mended1"}),
    ],
)
def test_forget__what_is_chosen(
    table: dict[str, FailedTask], run_command: Run, words: list[str], gone: set[str]
) -> None:
    done = run_command("forgetfailed", *words, "--noinput")
    assert left() == set(table) - gone
    assert done.out == f"Removed {len(gone)} failed task{'s' * (len(gone) > 1)}.\n"
    assert done.code == 0


def test_forget__what_is_being_sent_stays(table: dict[str, FailedTask], run_command: Run) -> None:
    done = run_command("forgetfailed", "--all", "--noinput", "--json")
    assert json.loads(done.out) == {"dry_run": False, "chosen": 3, "removed": 3, "left": 0, "sending": 1}
    again = run_command("forgetfailed", "--all", "--noinput")
    assert again == Ran("Removed 0 failed tasks.\n", "1 failed task is being sent, and stays.\n", 0)


def test_dry_run__removes_nothing(table: dict[str, FailedTask], run_command: Run) -> None:
    done = run_command("forgetfailed", "--all", "--dry-run")
    assert done.out == "3 failed tasks to remove.\n"
    assert left() == set(table)


@pytest.mark.django_db(transaction=True)  # a command that is typed closes its connection
@pytest.mark.parametrize(("answer", "removed"), [("y\n", 3), ("n\n", 0), ("", 0)])
def test_question__is_answered(
    table: dict[str, FailedTask], typed: Run, monkeypatch: pytest.MonkeyPatch, answer: str, removed: int
) -> None:
    monkeypatch.setattr(sys, "stdin", Person(answer))
    done = typed("forgetfailed", "--all")
    assert "Remove 3 failed tasks (2 were never sent again)? [y/N] " in done.err
    assert (4 - len(left()), done.code) == (removed, 0 if removed else 1)


@pytest.mark.parametrize(("words", "code"), [([], 2), (["--all"], 2), (["nonsense"], 4), (["--task", "nonsense"], 4)])
def test_forget__not(table: dict[str, FailedTask], run_command: Run, words: list[Any], code: int) -> None:
    done = run_command("forgetfailed", *words)
    assert (done.out, done.code, left()) == ("", code, set(table))


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, BaseException | Callable[[], None]], None]:
    """Have the rows removed one by one; before the step of this number an error is raised, or something called."""

    def set_up(number: int, trouble: BaseException | Callable[[], None]) -> None:
        count = itertools.count(1)
        rows = forget.rows

        def rows_or_trouble() -> Any:
            if next(count) == number:
                if isinstance(trouble, BaseException):
                    raise trouble
                trouble()
            return rows()

        monkeypatch.setattr(forget, "BATCH_SIZE", 1)
        monkeypatch.setattr(forget, "rows", rows_or_trouble)

    return set_up


@pytest.mark.parametrize(("number", "said"), [(1, ""), (2, "1 failed task was"), (3, "2 failed tasks were")])
def test_forget__that_breaks_off_says_how_many_are_gone(
    table: dict[str, FailedTask], run_command: Run, one_by_one: Any, number: int, said: str
) -> None:
    one_by_one(number, OperationalError("the server has gone"))
    done = run_command("forgetfailed", "--all", "--noinput")
    assert (done.code, len(left())) == (69, 5 - number)
    assert 'The database "default" cannot be used: the server has gone.' in done.err
    assert (f"Before that, {said} removed." in done.err) is bool(said)
    assert ("Before that" in done.err) is bool(said)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("number", "said"), [(1, "2 failed tasks are left"), (2, "1 failed task is left"), (3, "")])
def test_forget__that_is_interrupted_says_how_many_are_gone(
    table: dict[str, FailedTask], typed: Run, one_by_one: Any, number: int, said: str
) -> None:
    one_by_one(number, lambda: signal.raise_signal(signal.SIGTERM))
    done = typed("forgetfailed", "--all", "--noinput")
    assert (done.code, len(left())) == (130 if said else 0, 4 - number)
    assert done.out == f"Removed {number} failed task{'s' * (number > 1)}.\n"
    assert (f"Interrupted: {said}." in done.err) is bool(said)


@pytest.mark.django_db(transaction=True)
def test_forget__a_second_signal_ends_it_at_once(
    table: dict[str, FailedTask], typed: Run, one_by_one: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step in which it comes removes nothing."""
    monkeypatch.setattr(interrupts, "_AT_ONCE", 0)
    one_by_one(2, lambda: [signal.raise_signal(each) for each in (signal.SIGTERM, signal.SIGINT)])
    done = typed("forgetfailed", "--all", "--noinput", "--json")
    assert (done.code, len(left())) == (130, 3)
    document = json.loads(done.out)
    assert (document["removed"], document["left"], document["chosen"]) == (1, 2, 3)
    assert "Interrupted: 2 failed tasks are left." in done.err


@pytest.mark.django_db(transaction=True)
def test_forget__an_error_does_not_hide_the_signal(table: dict[str, FailedTask], typed: Run, one_by_one: Any) -> None:
    """While a driver waits, Python hears of a signal only when that ends."""

    def locked() -> None:
        signal.raise_signal(signal.SIGTERM)
        raise OperationalError("database is locked")

    one_by_one(2, locked)
    done = typed("forgetfailed", "--all", "--noinput")
    assert (done.code, done.out) == (130, "Removed 1 failed task.\n")
    assert "database is locked" in done.err
    assert "Interrupted: 2 failed tasks are left." in done.err


@pytest.mark.django_db(transaction=True)
def test_forget__that_cannot_end_prints_what_is_gone(
    table: dict[str, FailedTask], typed: Run, one_by_one: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the database blocks, and a second signal comes."""
    given_up: list[Callable[[], None]] = []

    @contextlib.contextmanager
    def postponed(note: Any, *, is_ours: bool, give_up: Callable[[], None]) -> Iterator[None]:
        given_up.append(give_up)
        yield

    monkeypatch.setattr(forget_steps, "postponed", postponed)
    one_by_one(2, lambda: given_up[0]())
    done = typed("forgetfailed", "--all", "--noinput")
    assert done.out.splitlines()[0] == "Removed 1 failed task."
    assert "Interrupted: 2 failed tasks are left." in done.err
