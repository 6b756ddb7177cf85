from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tasktools.brokers.timeouts import TimedOut
from tasktools.doctor import last_round, messages, queues
from tasktools.doctor.last_round import LastRound
from tasktools.doctor.messages import Sent
from tasktools.doctor.queues import Depth
from tasktools.doctor.workers import Worker
from tasktools.results.outcome import Outcome

FOUND: Any = SimpleNamespace(is_redis=False, is_amqp=True, connection=None)


@pytest.fixture
def conf() -> Any:
    return SimpleNamespace(task_default_queue="celery", task_ignore_result=False, worker_enable_remote_control=True)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, conf: Any) -> Any:
    """Make a round on a RabbitMQ whose queues have a consumer; `run` says whether messages are run."""
    monkeypatch.setattr(last_round, "backend_name", lambda app: "The backend")
    monkeypatch.setattr(messages, "clean", lambda app, found, sent: sent.clear() if not sent[0].outcome else None)

    def make(*workers: Worker, asked: Any = (), runs: bool = False) -> LastRound:
        def ask(found: Any, names: Any, into: dict[str, Depth]) -> None:
            into.update(dict.fromkeys(names, Depth(waiting=0, consumers=1)))

        def collect(app: Any, sent: list[Sent], limit: float) -> None:
            for each in sent:
                each.outcome = Outcome(id="x", state="SUCCESS") if runs else None

        monkeypatch.setattr(queues, "ask", ask)
        monkeypatch.setattr(
            messages, "send", lambda app, found, names, into: into.append(Sent(queue=names[0], task_id="x", sent=0))
        )
        monkeypatch.setattr(messages, "collect", collect)
        app: Any = SimpleNamespace(conf=conf, timezone=None, amqp=SimpleNamespace(queues={"celery": None}))
        return LastRound(app, {"shop.add": "celery"}, {each.name: each for each in workers}, asked)

    return make


@pytest.mark.parametrize(("runs", "status"), [(True, "warning"), (False, "error")])
def test_nobody_answers__and_the_message_tells_whether_a_worker_runs(made: Any, runs: bool, status: str) -> None:
    last = made(runs=runs)
    last.run(FOUND, 2, has_results=True)
    (line,) = last.absent
    assert line.status == status
    assert [each.status for each in last.times] == (["ok"] if runs else [])


@pytest.mark.parametrize(("control", "status"), [(False, "warning"), (True, "error")])
def test_nobody_answers__and_nothing_can_be_measured(made: Any, conf: Any, control: bool, status: str) -> None:
    conf.worker_enable_remote_control = control
    last = made()
    last.run(FOUND, 2, has_results=False)
    assert [each.status for each in last.absent] == [status]
    assert last.sent == []


def test_nobody_could_be_asked__is_a_warning_and_no_message_is_sent(made: Any) -> None:
    last = made(asked=TimedOut())
    last.run(FOUND, 2, has_results=True)
    assert [(each.status, each.text) for each in last.absent] == [
        ("warning", "The workers could not be asked in time.")
    ]
    assert last.sent == []
    assert made(asked=OSError()).absent == []  # which is a line of its own


def test_consumers__are_not_known_if_a_worker_has_not_said(made: Any) -> None:
    silent, other = Worker(name="a"), Worker(name="b", queues=["mails"])
    last = made(silent, other)
    last.names = {"celery", "mails"}
    last.depths = {"celery": Depth(waiting=1), "mails": Depth(waiting=0)}
    assert [(line.status, line.text) for line in last.lines(None, 2)] == [
        ("ok", "its consumers are not known, 1 waiting"),
        ("ok", "1 consumer, 0 waiting"),
    ]


def test_late__what_is_known_is_shown_with_a_warning(made: Any) -> None:
    last = made(Worker(name="a", queues=["celery", "mails"]))
    last.names = {"celery", "mails"}
    last.depths = {"celery": Depth(waiting=1)}
    assert [(line.status, line.name, line.text) for line in last.lines(TimedOut(), 2)] == [
        ("ok", "celery", "1 consumer, 1 waiting"),
        ("warning", "queues", "Not all queues could be asked in 2 s."),
    ]
    last.depths["mails"] = Depth()
    assert last.lines(TimedOut(), 2)[-1].text == "The messages to the queues were not measured in time."


def test_late__no_message_is_sent_without_time_to_take_it_back(made: Any) -> None:
    last = made(Worker(name="a", queues=["celery"]))
    last.run(FOUND, 0.1, has_results=True)
    assert last.sent == []
    assert [(line.status, line.name) for line in last.times] == [("warning", "stopwatch")]


def test_clean_up__takes_back_what_a_late_round_has_sent(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cleaned: list[Any] = []
    last = made(Worker(name="a", queues=["celery"]))

    def late(*_: Any) -> None:
        raise OSError("gone")

    monkeypatch.setattr(messages, "collect", late)
    monkeypatch.setattr(messages, "clean", lambda app, found, sent: cleaned.extend(sent))
    with pytest.raises(OSError, match="gone"):
        last.run(FOUND, 2, has_results=True)
    last.clean_up()
    assert [each.task_id for each in cleaned] == ["x"]
    last.clean_up()
    assert len(cleaned) == 1
