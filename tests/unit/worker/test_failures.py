"""What a worker's request says to the record; tests/e2e/test_failed_tasks.py has the same with real pools."""

from __future__ import annotations

import gc
import logging
import os
import time
import weakref
from types import SimpleNamespace
from typing import Any

import pytest
from billiard.einfo import ExceptionInfo
from billiard.exceptions import SoftTimeLimitExceeded, Terminated, TimeLimitExceeded, WorkerLostError
from celery import signals
from celery.exceptions import ChordError, Ignore, MaxRetriesExceededError, Reject, Retry
from celery.utils.serialization import UnpickleableExceptionWrapper
from celery.worker import state
from kombu.message import Message

from tasktools.failures.failure import Failure, Mended
from tasktools.worker import failure_words as words
from tasktools.worker.failures import Recorder
from tasktools.worker.request_outcome import creating


class Request:
    """A request of Celery: `decide` is what it does with a failure."""

    def __init__(self, decide: Any = None, **headers: Any) -> None:
        self.decide = decide
        self.request_dict = {"retries": 0, **headers}
        self.id, self.type, self.hostname, self.time_start = "1", "shop.add", "w@here", 5.0
        self.task: Any = type("Task", (), {"max_retries": 3})()
        self.acknowledged = False
        self.message = Message(
            body=b"[[], {}, {}]",
            headers={"id": "1"},
            properties={},
            delivery_info={"exchange": "", "routing_key": "celery"},
        )

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> str:
        if self.decide:
            self.decide(self, exc_info)
        return "answered"

    def on_timeout(self, soft: bool, timeout: float) -> None:
        pass

    def on_success(self, failed__retval__runtime: Any, **options: Any) -> str:
        return "succeeded"

    def reject(self, requeue: bool = False) -> None:
        self.acknowledged = True

    def _announce_revoked(self, reason: str, terminated: bool, signum: Any, expired: bool) -> None:
        pass


class Records:
    def __init__(self) -> None:
        self.noted: list[Any] = []
        self.recorder = Recorder(self)
        self.kind: Any = creating(lambda: Request, self.recorder)()

    def note(self, make: Any, size: int) -> None:
        self.put(make())

    def put(self, item: Any) -> None:
        self.noted.append(item)

    @property
    def kinds(self) -> list[str]:
        return [str(each.kind) for each in self.noted]


@pytest.fixture
def records() -> Any:
    made = Records()
    signals.task_failure.connect(made.recorder.hear, dispatch_uid="of this test")
    yield made
    signals.task_failure.disconnect(dispatch_uid="of this test")


def raised(error: BaseException) -> ExceptionInfo:
    try:
        raise error
    except BaseException:
        return ExceptionInfo()


def declare(request: Any, einfo: Any) -> None:
    """Say that it has failed, as Celery does of a process that was lost."""
    signals.task_failure.send(sender=request.task, task_id="1", exception=words.unwrapped(einfo.exception), einfo=einfo)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ValueError("no"), "raised"),
        (SoftTimeLimitExceeded(), "soft_limit"),
        (MaxRetriesExceededError("no"), "retries"),
        (ChordError("no"), "chord"),
        (Reject("no", requeue=False), "rejected"),
    ],
)
def test_on_failure__of_what_a_task_has_raised(records: Records, error: Exception, kind: str) -> None:
    request = records.kind()
    assert request.on_failure(raised(error), return_ok=True) == "answered"
    assert records.kinds == [kind]


@pytest.mark.parametrize("error", [Ignore(), Retry("later"), Reject("no", requeue=True), Terminated(15)])
def test_on_failure__of_what_is_none(records: Records, error: Exception) -> None:
    records.kind().on_failure(raised(error), return_ok=True)
    assert records.noted == []


@pytest.mark.parametrize("error", [WorkerLostError("gone"), SystemExit(3)])
def test_on_failure__a_lost_process_is_one_if_celery_says_so(records: Records, error: BaseException) -> None:
    records.kind(declare).on_failure(raised(error))
    assert records.kinds == ["lost"]
    records.kind().on_failure(raised(error))  # it has succeeded before, or goes on elsewhere
    assert records.kinds == ["lost"]


def test_on_failure__what_goes_back_to_the_queue_is_none(records: Records) -> None:
    def put_back(request: Any, einfo: Any) -> None:
        request.reject(requeue=True)
        declare(request, einfo)

    request = records.kind(put_back)
    request.on_failure(raised(WorkerLostError("gone")))
    request.on_timeout(False, 1)
    assert records.noted == []


def test_on_failure__what_a_lost_connection_has_cancelled_is_none(records: Records) -> None:
    request = records.kind(declare)
    request._already_cancelled = True
    request.on_failure(raised(WorkerLostError("gone")))
    assert records.noted == []
    request.message._state = "ACK"  # the stop of its worker has cancelled it: nobody gets it any more
    request.on_failure(raised(WorkerLostError("gone")))
    assert [(each.kind, each.reason) for each in records.noted] == [("lost", "It was cut off when its worker stopped.")]


def test_on_failure__an_error_of_celery_s_own_is_raised_and_the_failure_noted(records: Records) -> None:
    def fail(request: Any, einfo: Any) -> None:
        raise OSError("the result backend is away")

    with pytest.raises(OSError, match="the result backend"):
        records.kind(fail).on_failure(raised(ValueError("no")))
    assert records.kinds == ["raised"]


@pytest.mark.parametrize(("acknowledged", "kinds"), [(True, ["raised"]), (False, [])])
def test_on_failure__of_memory_that_is_used_up(records: Records, acknowledged: bool, kinds: list[str]) -> None:
    def fail(request: Any, einfo: Any) -> None:
        raise MemoryError

    request = records.kind(fail)
    request.acknowledged = acknowledged
    with pytest.raises(MemoryError):
        request.on_failure(raised(MemoryError()))
    assert records.kinds == kinds


def test_hard_limit__is_one_row(records: Records) -> None:
    request = records.kind(declare)
    request.on_failure(raised(TimeLimitExceeded(2.5)))
    request.on_timeout(False, 2.5)
    request.on_failure(raised(WorkerLostError("gone")))
    assert records.kinds == ["hard_limit"]
    assert records.noted[0].reason == "It exceeded its time limit of 2.5 s, and its process was killed."
    assert records.noted[0].traceback == ""


def test_on_timeout__alone(records: Records) -> None:
    records.kind().on_timeout(True, 1)
    assert records.noted == []
    records.kind().on_timeout(False, 1)
    assert records.kinds == ["hard_limit"]


def test_revoked__only_if_it_was_terminated(records: Records) -> None:
    request = records.kind()
    request._announce_revoked("revoked", False, None, False)
    request._announce_revoked("expired", False, None, True)
    assert records.noted == []
    request._announce_revoked("terminated", True, 15, False)
    request.on_failure(raised(Terminated(15)))
    assert records.kinds == ["terminated"]
    assert records.noted[0].reason == "It was terminated by revoke, with SIGTERM."


def test_terminated__by_no_signal_is_cut_off_with_its_worker(records: Records) -> None:
    records.kind()._announce_revoked("terminated", True, "ended with its worker", False)
    assert [(each.kind, each.reason) for each in records.noted] == [("lost", "It was cut off when its worker stopped.")]


def begun(records: Records, *, acknowledged: bool = True) -> Any:
    request = records.kind()
    request.message._state = "ACK" if acknowledged else "RECEIVED"
    return request


def test_cut_off__what_no_other_worker_gets(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    lost, kept, succeeded, failed, waiting = (begun(records, acknowledged=place != 1) for place in range(5))
    waiting.time_start = None
    monkeypatch.setattr(state, "reserved_requests", {lost, kept, succeeded, failed, waiting})
    records.recorder.hold()
    monkeypatch.setattr(state, "reserved_requests", set())
    monkeypatch.setattr(state, "active_requests", {lost, Request()})
    succeeded.on_success((0, 1, 0.1))
    failed.on_failure(raised(Ignore()), return_ok=True)
    lost.id = "lost"
    records.recorder.cut_off()
    records.recorder.cut_off()
    assert [(each.kind, each.task_id) for each in records.noted] == [("lost", "lost")]


@pytest.mark.parametrize(
    ("retries", "most", "kind"), [(3, 3, "retries"), (1, 3, "raised"), (5, None, "raised"), ("x", 3, "raised")]
)
def test_retries__are_exhausted_or_not(records: Records, retries: Any, most: Any, kind: str) -> None:
    request = records.kind(retries=retries)
    request.task.max_retries = most
    request.on_failure(raised(ValueError("no")), return_ok=True)
    assert records.kinds == [kind]


def test_success__of_a_retry_alone_is_noted(records: Records) -> None:
    assert records.kind().on_success((0, 1, 0.1)) == "succeeded"
    assert records.kind(tasktools_retry_of="0").on_success((1, None, 0.1)) == "succeeded"
    assert records.noted == []
    assert records.kind(tasktools_retry_of="0").on_success((0, 1, 0.1)) == "succeeded"
    assert [type(each) for each in records.noted] == [Mended]


def test_failure__has_what_is_known(records: Records) -> None:
    records.kind(retries=2).on_failure(raised(ValueError("no")), return_ok=True)
    (noted,) = records.noted
    assert isinstance(noted, Failure)
    assert (noted.task_id, noted.task, noted.worker, noted.queue) == ("1", "shop.add", "w@here", "celery")
    assert (noted.exception, noted.reason, noted.retries, noted.started_at) == ("builtins.ValueError", "no", 2, 5.0)
    assert noted.traceback.endswith("ValueError: no\n")
    assert noted.message.body == b"[[], {}, {}]"


class Held(Exception):
    """An exception that can be seen to end."""


def test_note__keeps_the_message_and_not_the_exception(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has frames in the pools whose tasks run in this process, with all that the task has at hand."""
    made: list[Any] = []
    monkeypatch.setattr(records, "note", lambda *note: made.append(note))

    def fail() -> Any:
        error = Held("no")
        records.kind().on_failure(raised(error), return_ok=True)
        return weakref.ref(error)

    ended = fail()
    gc.collect()
    assert ended() is None
    before = time.time()
    ((make, size),) = made
    noted = make()
    assert (noted.reason, noted.queue, noted.message.body) == ("no", "celery", b"[[], {}, {}]")
    assert noted.failed_at <= before
    assert size == len(noted.reason) + len(noted.traceback) + len(noted.message.body)


def test_note__keeps_the_queues_that_the_worker_has_then(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is cancelled before the failure is made of the note (`celery control cancel_consumer`) is still its queue."""
    made: list[Any] = []
    monkeypatch.setattr(records, "note", lambda make, size: made.append(make))
    queues = [queue("films", "media", "video"), queue("mails", "mails", "mails")]
    records.recorder._consumer = SimpleNamespace(task_consumer=SimpleNamespace(queues=queues))
    request = records.kind()
    request.message.delivery_info = {"exchange": "media", "routing_key": "video"}
    request.on_failure(raised(ValueError("no")), return_ok=True)
    del queues[0]
    assert made[0]().queue == "films"


def test_note__that_fails_harms_nothing(
    records: Records, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(make: Any, size: int) -> None:
        raise OSError("no")

    monkeypatch.setattr(records, "note", fail)
    with caplog.at_level(logging.ERROR):
        assert records.kind().on_failure(raised(ValueError("no")), return_ok=True) == "answered"
    assert "A failed task could not be recorded." in caplog.text


def test_hear__keeps_nothing_where_nobody_listens(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    """A receiver of the signal in each process and thread of the pool would keep the last exception, with its frames."""
    recorder = records.recorder
    recorder.hear(ValueError("in a thread of the pool"), None)
    assert getattr(recorder._heard, "last", None) is None
    recorder.listen()
    recorder.hear(ValueError("here"), None)
    assert str(recorder.heard()[0]) == "here"
    recorder.hear(ValueError("after it"), None)
    assert recorder._heard.last is None
    recorder.listen()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    recorder.hear(ValueError("in a child process, forked from this thread"), None)
    assert recorder.heard() is None


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("exc", "name", "reason"),
    [
        (None, "", ""),
        (ValueError("a", 1), "builtins.ValueError", "('a', 1)"),
        (Mute(), f"{__name__}.Mute", "<Mute>"),
        (UnpickleableExceptionWrapper("shop", "Odd", ("odd",), "Odd('odd')"), "shop.Odd", "odd"),
        (UnpickleableExceptionWrapper("shop", "Odd", (1, 2), "Odd(1, 2)"), "shop.Odd", "Odd(1, 2)"),
        (Reject(requeue=False), "celery.exceptions.Reject", "(None, False)"),
        (SoftTimeLimitExceeded(), "billiard.exceptions.SoftTimeLimitExceeded", "It exceeded its soft time limit."),
    ],
)
def test_words__of_an_exception(exc: Any, name: str, reason: str) -> None:
    assert (words.name_of(exc), words.reason_of(exc)) == (name, reason)


def queue(name: str, exchange: str, key: str) -> Any:
    return SimpleNamespace(name=name, exchange=SimpleNamespace(name=exchange), routing_key=key)


@pytest.mark.parametrize(
    ("delivery", "expected"),
    [
        ({"exchange": "", "routing_key": "fast"}, "fast"),
        ({"exchange": "media", "routing_key": "video"}, "films"),
        ({"exchange": "media", "routing_key": "audio.mp3"}, "audio.mp3"),
        ({}, ""),
        (None, ""),
    ],
)
def test_queue_of__by_name_or_by_binding(delivery: Any, expected: str) -> None:
    queues = [queue("fast", "fast", "fast"), queue("films", "media", "video")]
    assert words.queue_of(SimpleNamespace(delivery_info=delivery), queues) == expected


def test_queue_of__a_worker_of_one_queue_has_no_other() -> None:
    told = SimpleNamespace(delivery_info={"exchange": "topics", "routing_key": "a.b"})
    assert words.queue_of(told, [queue("all", "topics", "#")]) == "all"


def test_queue_of__the_default_exchange_names_a_queue_that_was_cancelled() -> None:
    told = SimpleNamespace(delivery_info={"exchange": "", "routing_key": "mails"})
    assert words.queue_of(told, [queue("bills", "bills", "bills")]) == "mails"


def test_identity__of_both_protocols_and_of_none() -> None:
    second = Message(body=b"x", headers={"id": "1", "task": "shop.add"})
    assert words.identity(second) == ("1", "shop.add")
    first = Message(body='{"id": "1", "task": "shop.add"}', content_type="application/json", content_encoding="utf-8")
    assert words.identity(first) == ("1", "shop.add")
    assert words.identity(Message(body=b"\xff", properties={"correlation_id": "c"})) == ("c", "")
