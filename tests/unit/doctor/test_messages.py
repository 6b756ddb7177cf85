from __future__ import annotations

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from tasktools.doctor import messages
from tasktools.doctor.messages import Sent, clock_lines, collect, lines
from tasktools.results.outcome import Outcome

NOW = datetime(2030, 1, 31, 12, tzinfo=timezone.utc)


def sent(state: str = "", *, place: str | None = None, made: Any = None) -> Sent:
    outcome = Outcome(id="x", state=state, date_done=made) if state else None
    return Sent(queue="mails", task_id="x", sent=0, outcome=outcome, seconds=0.2, at=NOW, place=place)


@pytest.mark.parametrize(
    ("found", "status", "text", "remedy"),
    [
        (sent("SUCCESS"), "ok", "a message that does nothing was run, and its result is here", ""),
        (sent("REVOKED"), "error", 'A message to the queue "mails" was not run: its state is REVOKED.', "compare"),
        (sent("FAILURE"), "error", 'A message to the queue "mails" was not run: its state is FAILURE.', "the log"),
        (
            sent(place=""),
            "error",
            'A worker has taken a message from the queue "mails", and its result is not in B.',
            "give",
        ),
        (
            sent(place="queued"),
            "warning",
            'A message to the queue "mails" has not been run in time: its workers',
            "manage",
        ),
        (sent(place="reserved"), "warning", 'A message to the queue "mails" has not been run in time', "manage"),
        (sent(), "warning", 'A message to the queue "mails" has not come back in time', "manage"),
    ],
)
def test_lines__what_became_of_a_message(found: Sent, status: str, text: str, remedy: str) -> None:
    (line,) = lines([found], "B")
    assert (line.name, line.status) == ("mails stopwatch", status)
    assert line.text.startswith(text)
    assert line.remedy.startswith(remedy)
    assert bool(line.remedy) is bool(remedy)
    assert line.seconds == (0.2 if status == "ok" else None)


def test_lines__of_a_worker_that_drops_results() -> None:
    (line,) = lines([sent(place="")], "B", ignored=True)
    assert (line.status, line.text[:13]) == ("ok", "not measured:")
    (late,) = lines([sent(place="queued")], "B", ignored=True)
    assert late.status == "warning"


@pytest.mark.parametrize(
    ("found", "taken"),
    [(sent("REVOKED"), True), (sent(place=""), True), (sent(place="queued"), False), (sent(), False)],
)
def test_taken__by_a_worker_that_runs(found: Sent, taken: bool) -> None:
    assert messages.was_taken(found) is taken


BERLIN = timezone(timedelta(hours=1))


@pytest.mark.parametrize(
    ("made", "status"),
    [
        (NOW, "ok"),
        (NOW.isoformat(), "ok"),
        ("2030-01-31T13:00:00", "ok"),
        ("2030-01-31T13:00:00Z", "error"),
        (NOW + timedelta(hours=1), "error"),
    ],
)
def test_clock__of_the_worker(made: Any, status: str) -> None:
    (line,) = clock_lines([sent(), sent("SUCCESS", made=made), sent("SUCCESS", made=made)], BERLIN)
    assert line.status == status


@pytest.mark.parametrize("made", [None, "soon"])
def test_clock__is_not_known(made: Any) -> None:
    assert list(clock_lines([sent("SUCCESS", made=made)], BERLIN)) == []


class Backend:
    """Answers the second time that it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.forgotten: list[str] = []

    def get_task_meta(self, task_id: str) -> dict[str, Any]:
        self.asked.append(task_id)
        return {"status": "SUCCESS" if self.asked.count(task_id) == 2 else "PENDING", "result": []}

    def forget(self, task_id: str) -> None:
        self.forgotten.append(task_id)
        raise OSError


def test_collect__waits_until_all_are_there() -> None:
    backend, pauses = Backend(), list[float]()
    app: Any = SimpleNamespace(backend=backend)
    both = [Sent(queue="a", task_id="1", sent=0), Sent(queue="b", task_id="2", sent=0)]
    collect(app, both, 10, sleep=pauses.append)
    assert [each.outcome.state for each in both if each.outcome] == ["SUCCESS", "SUCCESS"]
    assert backend.asked == ["1", "2", "1", "2"]
    assert len(pauses) == 2
    assert all(each.seconds > 0 and each.at is not None for each in both)


def test_collect__ends_in_time() -> None:
    app: Any = SimpleNamespace(backend=SimpleNamespace(get_task_meta=lambda task_id: {"status": "PENDING"}))
    late = Sent(queue="a", task_id="1", sent=0)
    collect(app, [late], 0.05)
    assert late.outcome is None


def test_clean__deletes_the_results_whatever_happens() -> None:
    backend = Backend()
    messages.clean(SimpleNamespace(backend=backend), SimpleNamespace(is_redis=False), [sent(), sent("SUCCESS")])  # type: ignore[arg-type]
    assert backend.forgotten == ["x", "x"]


class Keys:
    """The keys of a Redis: the message waits, or a worker has it."""

    def __init__(self, *, waits: bool = False, reserved: bytes = b"") -> None:
        self.waits = waits
        self.held = reserved

    def take_back(self, queue: str, task_id: str) -> bool:
        return self.waits and (queue, task_id) == ("mails", "x")

    def reserved(self) -> list[bytes]:
        return [self.held]


@pytest.mark.parametrize(
    ("keys", "place"),
    [(Keys(waits=True), "queued"), (Keys(reserved=b'{"id": "x"}'), "reserved"), (Keys(reserved=b"another"), "")],
)
def test_clean__says_where_the_message_is(monkeypatch: pytest.MonkeyPatch, keys: Keys, place: str) -> None:
    monkeypatch.setattr(messages, "Keys", lambda channel: keys)
    found: Any = SimpleNamespace(is_redis=True, connection=SimpleNamespace(default_channel=None))
    app: Any = SimpleNamespace(backend=Backend())
    late, done = sent(), sent("SUCCESS")
    messages.clean(app, found, [late, done])
    assert (late.place, done.place) == (place, None)


@pytest.mark.parametrize("is_amqp", [True, False])
def test_send__one_message_that_expires_to_each_queue(is_amqp: bool) -> None:
    calls: list[dict[str, Any]] = []

    def send_task(name: str, **options: Any) -> None:
        calls.append({"name": name, **options})

    amqp = SimpleNamespace(Producer=lambda connection, auto_declare: (connection, auto_declare), queues={})
    app: Any = SimpleNamespace(send_task=send_task, amqp=amqp)
    found: list[Sent] = []
    messages.send(app, SimpleNamespace(connection="open", is_amqp=is_amqp), ["mails", "celery"], found)  # type: ignore[arg-type]
    assert [each.queue for each in found] == ["celery", "mails"]
    assert [(call["name"], call["queue"], call["task_id"], call["expires"], call["retry"]) for call in calls] == [
        ("celery.accumulate", each.queue, each.task_id, 5, False) for each in found
    ]
    assert [call["router"].routes for call in calls] == [(), ()]
    assert [call["ignore_result"] for call in calls] == [False, False]
    assert [call["producer"] for call in calls] == [("open", False)] * 2
    assert [call.get("expiration") for call in calls] == [5 if is_amqp else None] * 2
