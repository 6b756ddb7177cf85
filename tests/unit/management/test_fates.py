from __future__ import annotations

from tasktools.management.fates import no_trace_hint, waiting_hint
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


def test_hints__of_an_option_name_its_command() -> None:
    """`enqueue --wait` gives them too, and has no --deep."""
    deep = "manage.py taskresult 1 --deep"
    outcome = Outcome(id="1", state="PENDING", place="unknown")
    hint = waiting_hint(outcome, 60.0, Located(outcomes=[outcome], is_complete=False))
    assert hint == f"not all keys of the database were looked at for queues: {deep} looks at all"
    hint = no_trace_hint(outcome, Located(outcomes=[outcome], unread={"mail": 7}))
    assert hint == f'not all messages were read: "mail" (7); {deep} reads them'
