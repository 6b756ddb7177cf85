from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tasktools.brokers.timeouts import TimedOut
from tasktools.doctor import databases, last_round, messages, queues, workers
from tasktools.doctor.findings import ok
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
    monkeypatch.setattr(messages, "clean", lambda app, found, sent: None)

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


def test_absent__is_nobody_who_has_answered(made: Any) -> None:
    worker = Worker(name="a", queues=["celery"])
    assert [made(worker, asked=asked).absent for asked in ((), TimedOut(), OSError())] == [[], [], []]
    assert made().absent == [workers.nobody()]
    (late,) = made(asked=TimedOut()).absent
    assert (late.name, late.remedy) == ("workers", "run this again, nearer to the broker if that is far away")


def test_run__of_workers_measures_the_queues_that_they_take_from(made: Any) -> None:
    last = made(Worker(name="a", queues=["celery"]), runs=True)
    last.tasks = {"shop.add": "mails"}
    last.run(FOUND, 2, has_results=True)
    assert last.names == {"celery", "mails"}
    assert last._targets(listens=False) == ["celery"]
    assert [each.queue for each in last.sent] == ["celery"]
    assert [(line.status, line.name) for line in last.times] == [("ok", "celery stopwatch")]
    assert (last.absent, last.taken) == ([], [])


def test_run__without_a_result_backend_nothing_is_sent(made: Any) -> None:
    last = made(Worker(name="a", queues=["celery"]))
    last.run(FOUND, 2, has_results=False)
    assert last.sent == []
    assert [(line.status, line.name, line.text) for line in last.times] == [
        ("ok", "stopwatch", "not measured: it needs a result backend")
    ]


def test_run__of_a_worker_that_does_not_run_the_message(made: Any) -> None:
    last = made(Worker(name="a", queues=["celery"]))
    last.run(FOUND, 2, has_results=True)
    assert [line.status for line in last.times] == ["warning"]


@pytest.mark.parametrize(("limit", "has_results"), [(2, False), (0.1, True)])
def test_run__says_nothing_of_messages_where_nobody_takes_any(made: Any, limit: float, has_results: bool) -> None:
    last = made(Worker(name="a", queues=[]))
    last.run(FOUND, limit, has_results=has_results)
    assert last.times == []


def test_run__nobody_is_connected(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    last = made()
    monkeypatch.setattr(queues, "ask", lambda found, names, into: into.update(celery=Depth(waiting=1, consumers=0)))
    last.run(FOUND, 2, has_results=True)
    assert (last.absent, last.sent) == ([workers.nobody()], [])


def test_run__without_time_nobody_knows_whether_the_message_runs(made: Any) -> None:
    last = made()
    last.run(FOUND, 0.1, has_results=True)
    assert last.absent == [workers.nobody(listens=True, has_run=None)]
    assert [line.text for line in last.times] == ["There was no time for a message."]


def test_lines__of_a_queue_from_which_no_worker_takes(made: Any) -> None:
    last = made(Worker(name="a", queues=["celery"]))
    last.names = {"celery", "mails"}
    last.depths = dict.fromkeys(last.names, Depth(waiting=0))
    assert [(line.status, line.name) for line in last.lines(None, 2)] == [("ok", "celery"), ("warning", "mails")]


def test_run__makes_a_connection_if_none_is_open(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[float] = []
    monkeypatch.setattr(last_round.broker, "opened", lambda app, limit: limits.append(limit) or FOUND)
    made().run(None, 2, has_results=True)
    made().run(FOUND, 2, has_results=True)
    assert limits == [1.0]


@pytest.mark.parametrize(
    ("depth", "used", "is_target"),
    [
        (Depth(consumers=0), True, False),
        (Depth(consumers=1), False, True),
        (Depth(), True, True),
        (Depth(), False, False),
        (None, True, True),
    ],
)
def test_targets__if_no_worker_answers(made: Any, depth: Depth | None, used: bool, is_target: bool) -> None:
    last = made()
    last.names = {"mails"}
    last.tasks = {"shop.add": "mails" if used else ""}
    last.depths = {"mails": depth} if depth else {}
    assert last._targets(listens=True) == ["mails"] * is_target
    assert last._targets(listens=False) == []


def test_targets__the_usual_queue_is_used(made: Any) -> None:
    last = made()
    last.names, last.tasks = {"celery", "mails"}, {}
    assert last._targets(listens=True) == ["celery"]


class Client:
    """A Redis whose clients wait for messages in a database."""

    def __init__(self, here: Any, waiting: int | None) -> None:
        self.connection_pool = SimpleNamespace(connection_kwargs={"db": here})
        self.waiting = waiting


@pytest.fixture
def on_redis(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return an open Redis, in a database `here`, with a client that waits in `waiting` and workers in `others`."""

    def make(here: Any, waiting: int | None, others: Any = None, visibility: float | None = None) -> Any:
        keys = SimpleNamespace(client=Client(here, waiting))
        channel = SimpleNamespace() if visibility is None else SimpleNamespace(visibility_timeout=visibility)
        monkeypatch.setattr(last_round, "Keys", lambda held: keys)
        monkeypatch.setattr(last_round, "clients", lambda client: client.waiting)
        monkeypatch.setattr(last_round, "listening", lambda waiting: None if waiting is None else {waiting})
        monkeypatch.setattr(databases, "elsewhere", lambda found, control: {"celery.pidbox": others or {}}[control])
        return SimpleNamespace(is_redis=True, connection=SimpleNamespace(default_channel=channel))

    return make


@pytest.mark.parametrize(
    ("here", "waiting", "listens"),
    [(1, 1, True), ("1", 1, True), (1, 0, False), (None, 0, True), (0, 0, True), (0, None, False), (0, 1, False)],
)
def test_listens__a_client_of_redis_that_waits_in_our_database(
    made: Any, conf: Any, on_redis: Any, here: Any, waiting: int | None, listens: bool
) -> None:
    conf.control_exchange = "celery"
    last = made()
    assert last._listens(on_redis(here, waiting)) is listens
    assert last.absent == [workers.nobody()]


def test_listens__workers_on_another_database_are_reported(made: Any, conf: Any, on_redis: Any) -> None:
    conf.control_exchange = "celery"
    last = made()
    assert last._listens(on_redis(1, 1, {3: {"a@h"}})) is False
    assert last.absent == [databases.line(1, {3: {"a@h"}})]


@pytest.mark.parametrize(("given", "visibility"), [(None, 3600.0), (60, 60.0)])
@pytest.mark.parametrize("line", [None, ok("taken", "x")])
def test_taken__is_looked_for_on_redis(
    made: Any, on_redis: Any, monkeypatch: pytest.MonkeyPatch, line: Any, given: float | None, visibility: float
) -> None:
    asked: list[float] = []
    monkeypatch.setattr(queues, "oldest_taken", lambda keys, limit, now: asked.append(limit) or line)
    last = made(Worker(name="a", queues=[]))
    last.run(on_redis(1, 1, visibility=given), 2, has_results=True)
    assert asked == [visibility]
    assert last.taken == ([line] if line else [])
    assert [each for each in last.lines(None, 2) if each.name == "taken"] == last.taken


def test_redis__of_workers_without_a_result_backend_nothing_is_sent(
    made: Any, on_redis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "oldest_taken", lambda *_: None)
    last = made(Worker(name="a", queues=["celery"]))
    last.run(on_redis(1, 1), 2, has_results=False)
    assert last.sent == []
    assert [line.text for line in last.times] == ["not measured: it needs a result backend"]


def test_redis__names_the_backend_that_does_not_have_the_result(
    made: Any, on_redis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "oldest_taken", lambda *_: None)
    monkeypatch.setattr(messages, "clean", lambda app, found, sent: setattr(sent[0], "place", ""))
    last = made(Worker(name="a", queues=["celery"]))
    last.run(on_redis(1, 1), 2, has_results=True)
    assert [line.text.partition(", and ")[2] for line in last.times] == ["its result is not in the backend."]


@pytest.mark.parametrize(("place", "status"), [("", "warning"), ("queued", "error")])
def test_redis__without_a_result_backend_whether_the_message_was_taken_tells(
    made: Any, conf: Any, on_redis: Any, monkeypatch: pytest.MonkeyPatch, place: str, status: str
) -> None:
    pauses: list[float] = []
    conf.control_exchange = "celery"
    monkeypatch.setattr(queues, "oldest_taken", lambda *_: None)
    monkeypatch.setattr(last_round.time, "sleep", pauses.append)
    monkeypatch.setattr(messages, "clean", lambda app, found, sent: setattr(sent[0], "place", place))
    last = made()
    last.run(on_redis(1, 1), 2, has_results=False)
    assert [each.status for each in last.absent] == [status]
    assert last.times == []
    assert pauses == [last_round.PATIENCE]


@pytest.mark.parametrize("now", [0.0, 8.0])
def test_measure__leaves_time_to_take_messages_back(made: Any, monkeypatch: pytest.MonkeyPatch, now: float) -> None:
    limits: list[float] = []
    last = made(Worker(name="a", queues=["celery"]))
    monkeypatch.setattr(messages, "collect", lambda app, sent, limit: limits.append(limit))
    monkeypatch.setattr(last_round.time, "monotonic", lambda: now)
    for limit in (0.59, 0.6 if now == 0 else 0.61, 1.0, 9.0):
        last.run(FOUND, limit, has_results=True)
    assert limits == pytest.approx([0.3 if now == 0 else 0.31, 0.7, last_round.PATIENCE])
    assert last._is_clean


def test_late__says_so_if_no_queue_has_answered(made: Any) -> None:
    last = made()
    assert [line.text for line in last.lines(TimedOut(), 2)] == ["Not all queues could be asked in 2 s."]
    assert last.lines(None, 2) == []


def test_clean_up__has_nothing_to_do_without_a_message(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_round, "together", lambda *_: pytest.fail("a thread is started"))
    last = made()
    last.clean_up()
    last._found = FOUND
    last.clean_up()


def test_consumers__are_not_known_if_a_worker_has_not_said_if_a_worker_has_not_said(made: Any) -> None:
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
