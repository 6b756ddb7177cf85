from __future__ import annotations

import pytest

from tasktools.management.fates import told, waiting_hint
from tasktools.results.locate import Located
from tasktools.results.outcome import Outcome


def test_waiting_hint__names_a_few_of_the_workers_that_do_not_answer() -> None:
    """The broker keeps the name of each that was killed, and that may be thousands."""
    outcome = Outcome(id="1", state="PENDING", place="silent")

    def hint(count: int) -> str:
        absent = [f"w{each:04}@h" for each in range(count)]
        return waiting_hint(outcome, None, Located(outcomes=[outcome], silent=1, absent=absent))

    assert hint(3000).startswith("no answer from w0000@h, w0001@h, w0002@h, w0003@h, w0004@h and 2,995 more: a busy")
    assert hint(5).startswith("no answer from w0000@h, w0001@h, w0002@h, w0003@h, w0004@h: a busy")
    assert hint(0).startswith("1 worker silent: a busy")


@pytest.mark.parametrize(
    ("queue", "expected"),
    [("celery", "runworker"), ("mails", "runworker -Q mails"), ("a'b", "runworker -Q 'a'\"'\"'b'")],
)
def test_waiting_hint__names_the_queue_that_a_worker_does_not_read_by_itself(queue: str, expected: str) -> None:
    outcome = Outcome(id="1", state="PENDING", place="queued", queue=queue, position=1)
    located = Located(outcomes=[outcome], declared={"celery"})
    assert waiting_hint(outcome, None, located).endswith(f", {expected} starts a worker")
    assert f"(manage.py {expected})?" in waiting_hint(outcome, 5.0, located)


def test_waiting_hint__of_a_task_whose_queue_is_not_known() -> None:
    assert "(manage.py runworker)?" in waiting_hint(Outcome(id="1", state="PENDING"), 5.0, None)


@pytest.mark.parametrize("timeout", [None, 5.0])
@pytest.mark.parametrize("place", ["none", "silent", "unknown"])
def test_told__a_task_may_be_in_what_was_not_read(place: str, timeout: float | None) -> None:
    """It was said that no queue holds it, although it may be in the middle of a long one."""
    outcomes = [
        Outcome(id="1", state="PENDING", place=place),
        Outcome(id="2", state="PENDING", place="queued", queue="q", position=1),
        Outcome(id="3", state="SUCCESS"),
    ]
    found = told(Located(outcomes=outcomes, unread={"q": 200_000}), {"celery"})
    assert [each.place for each in found.outcomes] == ["unknown", "queued", None]
    assert found.declared == {"celery"}
    hint = waiting_hint(found.outcomes[0], timeout, found)
    assert hint == 'not all messages were read: "q" (200,000); manage.py taskresult 1 --deep reads them'
    assert told(Located(outcomes=outcomes), ()).outcomes == outcomes


def test_hints__of_an_option_name_its_command() -> None:
    """`enqueue --wait` gives them too, and has no --deep."""
    deep = "manage.py taskresult 1 --deep"
    outcome = Outcome(id="1", state="PENDING", place="unknown")
    hint = waiting_hint(outcome, 60.0, Located(outcomes=[outcome], is_complete=False))
    assert hint == f"not all keys of the database were looked at for queues: {deep} looks at all"
