"""What a worker's loop notes is made a failure by the thread that writes, unless too much waits for that."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tasktools.failures import notes
from tasktools.failures import writer as module
from tasktools.failures.failure import Failure
from tasktools.failures.insertion import Missing
from tasktools.failures.notes import Notes
from tasktools.failures.writer import Writer
from tests.support import wait_for
from tests.unit.failures.test_writer import Database, failure, lines


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
def writer(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Writer]:
    monkeypatch.setattr(os, "register_at_fork", lambda **_: None)
    monkeypatch.setattr(module, "GATHER", 0.01)
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)
    made = Writer(database.write, close=lambda: None)
    yield made
    database.trouble = None
    if database.gate:
        database.gate.set()
    made.finish()  # its thread must not log in the next test


class Maker:
    """Makes failures, and notes in which thread."""

    def __init__(self) -> None:
        self.threads: list[str] = []

    def __call__(self, task_id: str) -> Any:
        def make() -> Failure:
            self.threads.append(threading.current_thread().name)
            return failure(task_id)

        return make


def broken() -> Failure:
    raise ZeroDivisionError("unforeseen")


def hold(writer: Writer, database: Database) -> None:
    """Have the thread of the writer in the middle of a write."""
    database.gate = threading.Event()
    writer.put(failure("first"))
    wait_for(lambda: database.attempts == 1)


def test_note__is_made_and_written_by_the_thread(writer: Writer, database: Database) -> None:
    maker = Maker()
    hold(writer, database)
    for key in "123":
        writer.note(maker(key), 10)
    assert (writer.waiting(), maker.threads) == (4, [])
    assert database.gate
    database.gate.set()
    wait_for(lambda: len(database.written) == 4)
    wait_for(lambda: writer.waiting() == 0)  # the thread takes from the queue what it has written
    assert database.batches == [["first"], ["1", "2", "3"]]
    assert maker.threads == ["failed tasks"] * 3
    writer.finish()
    assert writer._bytes == 0


def test_note__the_first_is_written_at_once(
    writer: Writer, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GATHER", 60.0)
    writer.note(Maker()("1"), 10)
    wait_for(lambda: database.written == ["1"])


@pytest.mark.parametrize(("limit", "value"), [("MOST", 3), ("MOST_BYTES", 30)])
def test_note__too_many_are_made_by_the_caller(
    writer: Writer, database: Database, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    """What they take is known then: the limits of the queue hold while the database is away."""
    monkeypatch.setattr(notes, limit, value)
    monkeypatch.setattr(module, "MOST", 5)
    maker = Maker()
    hold(writer, database)
    for key in "1234567":
        writer.note(maker(key), 10)
        assert len(writer._notes) < 3
    assert maker.threads == [threading.current_thread().name] * 6
    assert (len(writer._items), writer._dropped, writer.waiting()) == (5, 2, 6)


def test_note__that_cannot_be_made_stops_no_other(
    writer: Writer, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    for make in (broken, Maker()("1"), broken):
        writer.note(make, 10)
    wait_for(lambda: database.written == ["1"])
    wait_for(lambda: lines(caplog) == ["A failed task could not be recorded."] * 2)
    writer.note(Maker()("2"), 10)
    writer.finish()
    assert database.written == ["1", "2"]


def test_note__in_another_process_is_nothing(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getpid", lambda: -1)
    writer.note(Maker()("1"), 10)
    assert (writer.waiting(), writer._thread) == (0, None)


def test_finish__writes_what_is_only_noted(writer: Writer, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GATHER", 60.0)
    writer.put(failure("1"))
    wait_for(lambda: database.written == ["1"])
    for key in "23":
        writer.note(Maker()(key), 10)
    writer.finish()
    assert database.written == ["1", "2", "3"]


@pytest.mark.usefixtures("no_threads")
def test_finish__makes_and_writes_notes_where_python_begins_no_thread(writer: Writer, database: Database) -> None:
    for make in (broken, Maker()("1")):
        writer.note(make, 10)
    writer.finish()
    assert database.written == ["1"]
    writer.note(broken, 10)
    writer.finish()
    assert writer.waiting() == 0


def test_finish__counts_notes_among_what_is_lost(
    writer: Writer, database: Database, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.trouble = Missing()
    writer.put(failure("1"))
    wait_for(lambda: writer._absence.is_known)
    writer.note(Maker()("2"), 10)
    writer.finish()
    assert "2 failed tasks could not be recorded." in lines(caplog)[-1]
    assert writer.waiting() == 0


def test_notes__know_what_they_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notes, "MOST_BYTES", 100)
    made = Notes()
    assert [made.add(Maker()(key), size) for key, size in (("1", 60), ("2", 39), ("3", 1))] == [False, False, True]
    first = made.made()
    assert first is not None
    assert first.task_id == "1"
    assert made.add(Maker()("4"), 59) is False
    assert made.add(Maker()("5"), 1) is True
    assert len(made) == 4


def test_notes__the_limits() -> None:
    assert (notes.MOST, notes.MOST_BYTES) == (100, 2**20)
