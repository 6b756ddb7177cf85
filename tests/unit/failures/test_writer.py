from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from tasktools.failures import absence, own_connection
from tasktools.failures import writer as module
from tasktools.failures.failure import Failure, Mended
from tasktools.failures.insertion import Away, Missing, Refused
from tasktools.failures.message import Kept
from tasktools.failures.refusals import REFUSALS, Refusals
from tasktools.failures.writer import Writer
from tasktools.models import Kind
from tests.support import wait_for

MESSAGE = Kept(
    headers={}, properties={}, delivery_info={}, content_type="application/json", content_encoding="utf-8", body=b"[]"
)


def failure(task_id: str, body: bytes = b"[]") -> Failure:
    message = Kept(**{**vars(MESSAGE), "body": body})
    return Failure(kind=Kind.RAISED, message=message, task_id=task_id)


class Database:
    """Takes what is written; `trouble` is raised instead, if there is any."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.trouble: BaseException | None = None
        self.attempts = 0
        self.gate: threading.Event | None = None

    def write(self, items: Sequence[Failure | Mended]) -> None:
        self.attempts += 1
        if self.gate:
            assert self.gate.wait(30)
        if self.trouble:
            raise self.trouble
        self.batches.append([each.task_id for each in items])

    @property
    def written(self) -> list[str]:
        return [each for batch in self.batches for each in batch]


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
def make(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Writer]]:
    """Make writers that leave no hooks in this process."""
    monkeypatch.setattr(os, "register_at_fork", lambda **_: None)
    monkeypatch.setattr(module, "GATHER", 0.01)
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(module, "LONGEST_PAUSE", 0.02)
    yield lambda: Writer(database.write, close=lambda: None)
    database.trouble = None


def levels(caplog: pytest.LogCaptureFixture) -> list[int]:
    return [record.levelno for record in caplog.records if record.name == "tasktools.failures"]


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "tasktools.failures"]


def test_put__the_first_at_once_then_what_has_gathered(database: Database, make: Any) -> None:
    database.gate = threading.Event()
    writer = make()
    writer.put(failure("1"))
    wait_for(lambda: database.attempts == 1)
    for key in "234":
        writer.put(failure(key))
    database.gate.set()
    wait_for(lambda: len(database.written) == 4)
    assert database.batches == [["1"], ["2", "3", "4"]]


def test_put__the_connection_is_open_while_more_comes(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "register_at_fork", lambda **_: None)
    monkeypatch.setattr(module, "GATHER", 0.1)
    closed: list[int] = []
    database.gate = threading.Event()
    writer = Writer(database.write, close=lambda: closed.append(len(database.written)))
    writer.put(failure("1"))
    wait_for(lambda: database.attempts == 1)
    writer.put(failure("2"))
    database.gate.set()
    wait_for(lambda: closed == [2])
    assert database.batches == [["1"], ["2"]]
    writer.put(failure("3"))
    wait_for(lambda: database.written == ["1", "2", "3"])
    writer.finish()
    assert closed[:2] == [2, 3]


def test_put__of_nothing_starts_no_thread(make: Any) -> None:
    before = threading.active_count()
    make().finish()
    assert threading.active_count() == before


def test_put__a_batch_has_limits(database: Database, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 3)
    monkeypatch.setattr(module, "BATCH_BYTES", 50_000)
    database.gate = threading.Event()
    writer = make()
    writer.put(failure("first"))
    wait_for(lambda: database.attempts == 1)
    for key in "1234":
        writer.put(failure(key))
    for key in "56":
        writer.put(failure(key, b"x" * 40_000))
    database.gate.set()
    wait_for(lambda: len(database.written) == 7)
    assert database.batches == [["first"], ["1", "2", "3"], ["4", "5"], ["6"]]


def test_away__all_is_kept_and_told_once_each_way(
    database: Database, make: Any, caplog: pytest.LogCaptureFixture
) -> None:
    database.trouble = Away("OperationalError: gone")
    writer = make()
    with caplog.at_level(logging.INFO):
        for key in "123":
            writer.put(failure(key))
        wait_for(lambda: database.attempts > 3)
        database.trouble = None
        wait_for(lambda: len(database.written) == 3)
        wait_for(lambda: len(lines(caplog)) == 2)
    assert database.written == ["1", "2", "3"]
    assert lines(caplog) == [
        "Failed tasks cannot be recorded now, and wait in memory: the database: OperationalError: gone",
        "Failed tasks are recorded again.",
    ]


@pytest.mark.parametrize(("limit", "value"), [("MOST", 2), ("MOST_BYTES", 6_000)])
def test_full__what_does_not_fit_is_dropped_and_counted(
    database: Database,
    make: Any,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
    value: int,
) -> None:
    monkeypatch.setattr(module, limit, value)
    database.trouble = Away("gone")
    writer = make()
    writer.put(failure("1"))
    wait_for(lambda: lines(caplog))
    for key in "2345":
        writer.put(failure(key))
    database.trouble = None
    wait_for(lambda: len(database.written) == 2)
    wait_for(lambda: len(lines(caplog)) == 4)
    assert lines(caplog)[1:] == [
        "Too many failed tasks wait to be recorded: further ones are not recorded.",
        "Failed tasks are recorded again.",
        "3 failed tasks could not be recorded: too many waited.",
    ]
    assert levels(caplog)[1] == logging.ERROR
    writer.put(failure("6"))
    wait_for(lambda: database.written[-1] == "6")


def test_size__is_of_all_that_waits() -> None:
    """Texts are cut when the failure is noted."""
    none = failure("1").size
    long = Failure(kind=Kind.RAISED, message=MESSAGE, task_id="1", reason="r" * 10**6, traceback="t" * 10**6)
    assert (len(long.reason), len(long.traceback)) == (10_000, 64_000)
    assert 74_000 <= long.size - none < 80_000
    for place in ("headers", "properties"):
        message = Kept(**{**vars(MESSAGE), place: {"many": ["x" * 1_000] * 100, "deep": {"a" * 1_000: b"b" * 1_000}}})
        assert 102_000 <= Failure(kind=Kind.RAISED, message=message).size - none < 120_000
    assert failure("1", b"b" * 10_000).size - none == 9_998


def test_size__of_a_circle_has_an_end() -> None:
    circle: list[object] = []
    circle.append(circle)
    message = Kept(**{**vars(MESSAGE), "headers": {"circle": circle}})
    assert Failure(kind=Kind.RAISED, message=message).size > module.MOST_BYTES


def test_put__one_that_never_fits_is_kept_without_its_message(
    make: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 50_000)
    written: list[Any] = []
    writer = make()
    writer._write = written.extend
    headers = {"id": "2", "tasktools_retry_of": "1", "much": "x" * 60_000}
    body = failure("1", b"x" * 60_000)
    whole = Failure(
        kind=Kind.RAISED, message=Kept(**{**vars(body.message), "headers": headers}), task_id="2", task="shop.add"
    )
    writer.put(body)
    writer.put(whole)
    writer.put(failure("3"))
    wait_for(lambda: len(written) == 3)
    first, second, third = written
    assert (first.message.body, second.message.body, third.message.body) == (None, None, b"[]")
    assert first.message.content_type == "application/json"
    assert second.message.headers == {"tasktools_retry_of": "1"}
    assert first.reason == f"Its message is not kept: it is too big, with about {body.size:,} bytes."
    assert lines(caplog) == [
        f"A failed task is recorded without its message: [1]: it is too big, with about {body.size:,} bytes",
        f"A failed task is recorded without its message: shop.add[2]: it is too big, with about {whole.size:,} bytes",
    ]


def long_one(traceback: int = 0, reason: int = 0, **parts: Any) -> Failure:
    message = Kept(
        **{**vars(MESSAGE), "headers": {"id": "1", "tasktools_retry_of": "0"}, "body": b"x" * 90_000, **parts}
    )
    return Failure(kind=Kind.RAISED, message=message, traceback="t" * traceback, reason="r" * reason)


@pytest.mark.parametrize(("traceback", "reason"), [(40_000, 0), (64_000, 10_000), (17_000, 10_000), (0, 10_000)])
def test_lighter__keeps_what_is_small_and_cuts_what_is_big(traceback: int, reason: int) -> None:
    whole = long_one(traceback, reason, properties={"priority": 3})
    light = whole.lighter(10_000, "the database has refused it")
    assert light.size <= 10_000
    assert (light.message.headers, light.message.properties) == (whole.message.headers, {"priority": 3})
    assert light.message.body is None
    assert light.reason.endswith("Its message is not kept: the database has refused it.")
    assert len(light.traceback) >= min(traceback, 1_000)
    assert len(light.reason) >= min(reason, 1_000)
    assert light.key == whole.key


def test_lighter__cuts_no_more_than_it_must() -> None:
    light = long_one(40_000, 500).lighter(20_000)
    assert 19_900 < light.size <= 20_000
    assert light.reason.startswith("r" * 500)
    assert long_one(10_000, 500).lighter(20_000).traceback == "t" * 10_000


@pytest.mark.parametrize("place", ["headers", "properties", "delivery_info"])
def test_lighter__leaves_out_headers_that_are_big(place: str) -> None:
    big = {**({"tasktools_retry_of": "0"} if place == "headers" else {}), "much": "x" * 30_000}
    light = long_one(5_000, **{place: big}).lighter(20_000)
    assert light.message.headers == {"tasktools_retry_of": "0"}
    assert (light.message.properties, light.message.delivery_info) == ({}, {})
    assert len(light.traceback) == 5_000


def test_refused__the_first_one_holds_up_no_other(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 1)
    written: list[str] = []
    attempts: list[str] = []

    def write(items: Sequence[Failure | Mended]) -> None:
        attempts.append(items[0].task_id)
        if items[0].task_id == "bad" and len(written) < 2:
            raise Refused("OperationalError: a trigger says no")
        written.append(items[0].task_id)

    writer = make()
    writer._write = write
    for key in ("bad", "1", "2"):
        writer.put(failure(key))
    wait_for(lambda: len(written) == 3)
    assert attempts == ["bad"] * REFUSALS + ["1", "2", "bad"]


def test_refused__what_went_in_leaves_the_queue_and_the_rest_waits(make: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The database stops taking writes in the middle of a batch."""
    items, written, is_full = [failure(each) for each in "123"], [], threading.Event()
    is_full.set()

    def write(batch: Sequence[Any]) -> None:
        new = [each for each in batch if each.task_id not in written]
        for each in new:
            if is_full.is_set() and written:
                done = [some.key for some in items if some.task_id in written]
                raise Refused("disk full", key=each.key, done=done, works=each is not batch[0])
            written.append(each.task_id)

    writer = make()
    writer._items.extend(items[:2])  # before its thread begins: one batch
    writer._bytes = sum(each.size for each in items[:2])
    writer._write = write
    writer.put(items[2])
    wait_for(lambda: writer.waiting() == 2)
    assert writer._bytes == items[1].size + items[2].size
    is_full.clear()
    wait_for(lambda: writer.waiting() == 0)
    assert sorted(written) == ["1", "2", "3"]
    writer.finish()  # the thread has the lock until it has counted
    assert writer._bytes == 0
    assert "is not recorded" not in caplog.text


def test_refused__twice_while_others_go_in_is_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    refusals, (first, bad, last) = Refusals(), [failure(each, b"") for each in ("1", "bad", "3")]
    mended = Mended(task_id="x")
    in_the_middle = Refused("a trigger", key=bad.key, done=[first.key], works=True)
    assert refusals.sort_out([first, mended, bad, last], in_the_middle) == ([mended, bad, last], [])
    alone = Refused("a trigger", key=bad.key)
    for _ in range(REFUSALS - 2):
        assert refusals.sort_out([mended, bad, last], alone) == ([mended, bad, last], [])
    assert refusals.sort_out([mended, bad, last], alone) == ([mended, last], [bad])
    assert lines(caplog) == []
    at_the_end = Refused("a trigger", key=bad.key, done=[last.key], works=True)
    (light, *others), back = refusals.sort_out([mended, last, bad], at_the_end)
    assert isinstance(light, Failure)
    assert (light.key, light.message.body, others, back) == (bad.key, None, [mended], [])
    assert light.reason == "Its message is not kept: the database has refused it."
    again = Refused("a trigger", key=bad.key, done=[last.key], works=True)
    assert refusals.sort_out([light, mended], again) == ([light, mended], [])
    assert refusals.sort_out([light, mended], again) == ([mended], [])
    told = ["A failed task is recorded without its message", "A failed task is not recorded"]
    assert lines(caplog) == [f"{each}: [bad]: a trigger" for each in told]


def test_refused__by_a_disk_with_little_room_waits_with_its_message(
    make: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often others go in."""
    monkeypatch.setattr(module, "GATHER", 0.001)
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(module, "LONGEST_PAUSE", 0.001)
    written: list[Failure] = []
    refused: list[bool] = []
    has_room = threading.Event()

    def write(batch: Sequence[Any]) -> None:
        done: list[Any] = []
        for each in batch:
            if len(each.message.body or b"") > 100 and not has_room.is_set():
                refused.append(bool(done))
                raise Refused("disk full", key=each.key, done=done, works=bool(done), lacks_room=True)
            written.append(each)
            done.append(each.key)

    writer = make()
    writer._write = write
    writer.put(failure("big", b"x" * 1_000))

    def is_refused_beside_others() -> bool:
        writer.put(failure("small"))
        return sum(refused) >= 4

    wait_for(is_refused_beside_others)
    has_room.set()
    wait_for(lambda: writer.waiting() == 0)
    big = [each for each in written if each.task_id == "big"]
    assert [each.message.body for each in big] == [b"x" * 1_000]
    assert "without its message" not in caplog.text


def test_refused__for_want_of_room_lets_the_others_go_first() -> None:
    refusals, (small, big, last) = Refusals(), [failure(each) for each in ("1", "big", "3")]
    for _ in range(3):
        full = Refused("disk full", key=big.key, done=[small.key], works=True, lacks_room=True)
        assert refusals.sort_out([small, big, last], full) == ([last], [big])
    full = Refused("disk full", key=big.key, lacks_room=True)
    for _ in range(REFUSALS - 1):
        assert refusals.sort_out([big, last], full) == ([big, last], [])
    assert refusals.sort_out([big, last], full) == ([last], [big])


def test_away__changes_no_order(database: Database, make: Any) -> None:
    database.trouble = Away("gone")
    writer = make()
    for key in "123":
        writer.put(failure(key))
    wait_for(lambda: database.attempts > REFUSALS + 2)
    database.trouble = None
    wait_for(lambda: len(database.written) == 3)
    assert database.written == ["1", "2", "3"]


MISSING = "Failed tasks wait in memory: their table is not there yet. Run: python manage.py migrate tasktools"
CAUSE = 'Their table "tasktools_failedtask" is not there. Run: python manage.py migrate tasktools'
THERE = "Failed tasks are recorded now: their table is there."


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look soon after a failure, and never without one."""
    monkeypatch.setattr(absence, "LOOK_AGAIN", 0.01)
    monkeypatch.setattr(absence, "LOOK_IDLE", 60.0)


def test_missing__the_next_failure_has_it_looked_for_and_all_is_written(
    database: Database, make: Any, caplog: pytest.LogCaptureFixture, looks: None
) -> None:
    database.trouble = Missing()
    writer = make()
    writer.put(failure("1"))
    wait_for(lambda: database.attempts == 2)  # it does not know whether the failure came before its look
    writer.put(failure("2"))
    wait_for(lambda: database.attempts == 3)
    assert lines(caplog) == [MISSING]
    database.trouble = None
    writer.put(failure("3"))
    wait_for(lambda: len(database.written) == 3)
    assert database.written == ["1", "2", "3"]
    wait_for(lambda: lines(caplog) == [MISSING, THERE])


def test_missing__is_found_without_another_failure_too(
    database: Database, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(absence, "LOOK_AGAIN", 0.01)
    monkeypatch.setattr(absence, "LOOK_IDLE", 0.03)
    database.trouble = Missing()
    make().put(failure("1"))
    wait_for(lambda: database.attempts > 3)
    database.trouble = None
    wait_for(lambda: database.written == ["1"])


def test_missing__is_looked_for_soon_and_not_all_the_time() -> None:
    assert absence.LOOK_AGAIN == 2.0
    assert absence.LOOK_IDLE == 10.0
    assert (absence.MOST, absence.MOST_BYTES) == (1_000, 8 * 2**20)


@pytest.mark.parametrize(("limit", "value"), [("MOST", 2), ("MOST_BYTES", 6_000)])
def test_missing__what_waits_has_limits_of_its_own(
    database: Database,
    make: Any,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    looks: None,
    limit: str,
    value: int,
) -> None:
    monkeypatch.setattr(absence, limit, value)
    database.trouble = Missing()
    writer = make()
    writer.put(failure("1"))
    wait_for(lambda: writer._absence.is_known)
    for key in "234":
        writer.put(failure(key))
    assert writer.waiting() == 2
    assert lines(caplog)[1:] == [f"Too many failed tasks wait to be recorded: further ones are not recorded. {CAUSE}"]
    assert levels(caplog) == [logging.WARNING] * 2
    writer.put(failure("5"))
    database.trouble = None  # before, the thread may look at any moment, and there is room again
    wait_for(lambda: len(lines(caplog)) == 4)
    assert database.written == ["1", "2"]
    assert lines(caplog)[2:] == [THERE, "3 failed tasks could not be recorded: too many waited."]


def test_missing__at_the_end_there_is_a_last_look_and_no_wait(
    database: Database, make: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(absence, "LOOK_AGAIN", 60.0)
    monkeypatch.setattr(module, "LAST_WAIT", 60.0)
    database.trouble = Missing()
    lost, found = make(), make()
    for writer in (lost, found):
        writer.put(failure("1"))
        writer.put(failure("2"))
        wait_for(lambda writer=writer: writer._absence.is_known)
    began = time.monotonic()
    lost.finish()
    assert lines(caplog)[-1] == f"The worker ends, and 2 failed tasks could not be recorded. {CAUSE}"
    assert levels(caplog) == [logging.WARNING] * 3
    database.trouble = None
    found.finish()
    assert database.written == ["1", "2"]
    assert time.monotonic() - began < 20


def test_missing__what_is_told_already_is_not_told_again(
    database: Database, caplog: pytest.LogCaptureFixture, make: Any
) -> None:
    database.trouble = Missing()
    writer = make()
    writer._absence.told = True
    writer.put(failure("1"))
    wait_for(lambda: writer._absence.is_known)
    database.trouble = None
    writer.finish()
    assert lines(caplog) == [THERE]


def test_missing__a_database_that_is_away_then_is_another_trouble(
    database: Database, make: Any, looks: None, caplog: pytest.LogCaptureFixture
) -> None:
    database.trouble = Missing()
    writer = make()
    writer.put(failure("1"))
    wait_for(lambda: writer._absence.is_known)
    database.trouble = Away("gone")
    writer.put(failure("2"))
    wait_for(lambda: not writer._absence.is_known)
    database.trouble = None
    wait_for(lambda: database.written == ["1", "2"])


@pytest.mark.parametrize("error", [ZeroDivisionError("unforeseen"), SystemExit(3), KeyboardInterrupt()])
def test_error__that_nobody_foresaw_ends_no_thread(
    database: Database, make: Any, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    database.trouble = error
    writer = make()
    writer.put(failure("1"))
    wait_for(lambda: lines(caplog) == ["1 failed task could not be recorded."])
    database.trouble = None
    writer.put(failure("2"))
    wait_for(lambda: database.written == ["2"])


def test_error__outside_of_an_attempt_ends_no_thread(
    database: Database, make: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    troubles: list[BaseException] = [SystemExit(), MemoryError()]
    take = Writer._take

    def broken(writer: Writer, number: int) -> None:
        if troubles:
            raise troubles.pop()
        take(writer, number)

    monkeypatch.setattr(Writer, "_take", broken)
    make().put(failure("1"))
    wait_for(lambda: len(database.written) == 3)
    assert lines(caplog) == ["The thread that records failed tasks had an error. It goes on."] * 2


def test_finish__waits_for_what_is_left(database: Database, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GATHER", 60.0)
    writer = make()
    for key in range(100):
        writer.put(failure(str(key)))
    writer.finish()
    assert len(database.written) == 100
    writer.put(Mended(task_id="late"))  # what comes after that does not wait either
    wait_for(lambda: database.written[-1] == "late")


def test_finish__waits_no_longer_than_its_limit_and_counts_the_rest(
    database: Database, make: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LAST_WAIT", 0.1)
    monkeypatch.setattr(module, "LEAST_WAIT", 0.01)
    database.trouble = Away("gone")
    writer = make()
    writer.put(failure("1"))
    writer.put(failure("2"))
    writer.finish()
    writer.finish()
    assert lines(caplog)[-1] == "The worker ends, and 2 failed tasks could not be recorded."
    assert levels(caplog) == [logging.WARNING, logging.ERROR]


@pytest.mark.usefixtures("no_threads")
def test_finish__writes_itself_where_python_begins_no_thread(database: Database, make: Any) -> None:
    writer = make()
    writer.put(failure("1"))
    writer.put(failure("2"))
    writer.finish()
    assert database.batches == [["1", "2"]]


def test_child__writes_nothing_of_its_parent(database: Database, make: Any) -> None:
    writer = make()
    writer._process = -1
    writer.put(failure("1"))
    writer.finish()
    assert (len(writer._items), database.attempts) == (0, 0)


def test_fork__has_its_hooks_once_and_they_close_the_connection(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks: list[dict[str, Any]] = []
    closed: list[int] = []
    monkeypatch.setattr(os, "register_at_fork", lambda **given: hooks.append(given))
    monkeypatch.setattr(module, "GATHER", 60.0)  # no end of it closes the connection
    writer = Writer(database.write, close=lambda: closed.append(len(database.written)))
    assert hooks == []
    for key in "12":
        writer.put(failure(key))
    wait_for(lambda: "1" in database.written)
    wait_for(lambda: not writer._uses._lock.locked())
    [hook] = hooks
    assert closed == []
    hook["before"]()
    assert len(closed) == 1
    assert writer._uses._lock.locked()
    hook["after_in_parent"]()
    assert not writer._uses._lock.locked()
    writer.finish()


def test_fork__waits_until_no_connection_is_open(
    database: Database, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_connection, "FORK_WAIT", 30.0)
    database.gate = threading.Event()
    writer = make()
    writer.put(failure("1"))
    wait_for(lambda: database.attempts == 1)
    threading.Timer(0.1, database.gate.set).start()
    writer._uses.before_fork()
    assert database.written == ["1"]
    assert writer._uses._lock.locked()
    writer._uses.after_fork()
    assert not writer._uses._lock.locked()


def test_fork__waits_little_and_once_for_an_attempt(
    database: Database, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pool that starts its processes while the database is slow holds up the worker's loop."""
    assert own_connection.FORK_WAIT == 0.05
    monkeypatch.setattr(own_connection, "FORK_WAIT", 0.3)
    database.gate = threading.Event()
    writer = make()
    writer.put(failure("1"))
    wait_for(lambda: database.attempts == 1)
    took = []
    for _ in range(20):
        began = time.monotonic()
        writer._uses.before_fork()
        took.append(time.monotonic() - began)
        writer._uses.after_fork()
        assert writer._uses._lock.locked()
    assert took[0] >= 0.3
    assert sum(took) < 3  # 6 s, if it waited each time
    database.gate.set()
    wait_for(lambda: database.written == ["1"])
    database.gate.clear()
    writer.put(failure("2"))
    wait_for(lambda: database.attempts == 2)
    began = time.monotonic()
    writer._uses.before_fork()  # another attempt
    assert time.monotonic() - began >= 0.3
    database.gate.set()
    wait_for(lambda: len(database.written) == 2)
