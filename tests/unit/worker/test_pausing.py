"""The step of a worker that pauses queues and tasks, without a worker around it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from celery.worker import control

from tasktools import every_worker
from tasktools.control.names import LOOK_AT_PAUSES
from tasktools.queues.pauses import QUEUE, TASK, Pause
from tasktools.worker import pausing, sent_away
from tasktools.worker.known_pauses import Known
from tasktools.worker.pausing import Pausing, held

NOW = datetime(2030, 1, 31, 18, 0, tzinfo=timezone.utc)


def pause(name: str, what: str = QUEUE) -> Pause:
    return Pause(what=what, name=name, since=NOW)


class Message:
    def __init__(self, task: str, queue: str = "") -> None:
        self.headers, self.properties, self.tasktools_queue = {"task": task}, {}, queue


class Request:
    def __init__(self, name: str, queue: str) -> None:
        self.id, self.name, self.acknowledged, self.message = name, name, False, Message(name, queue)
        self.events: list[Any] = []

    def send_event(self, kind: str, **fields: Any) -> None:
        self.events.append((kind, fields))


class Queue:
    """What is done to the broker."""

    skips = False
    holds = False
    is_ready = True

    def __init__(self, said: list[Any]) -> None:
        self.said = said

    def receive(self) -> None:
        """What is under way comes by itself."""

    def stop(self, queue: Any) -> None:
        self.said.append(f"stop {queue.name}")

    def start(self, queue: Any) -> None:
        self.said.append(f"start {queue.name}")

    def refuse(self, message: Message, queue: str, task: str = "") -> None:
        self.said.append(f"refuse {queue} {task}".strip())
        self.holds = True

    def give_back(self, messages: Any) -> None:
        self.holds = False
        self.said.append([f"{message.headers['task']} to {queue}" for message, queue in messages])

    def put_aside(self, messages: Any) -> None:
        self.said.append([f"{task} of {queue} aside" for _, queue, task in messages])

    def bring_back(self, tasks: Any) -> None:
        self.said.append(("bring back", sorted(tasks)))


class Bench:
    """A consumer with its pool, and the step."""

    connection_errors = channel_errors = (ConnectionError,)

    def __init__(self, pool: str = "celery.concurrency.prefork", *, has_hub: bool = True) -> None:
        self.said: list[Any] = []
        self.soon: list[Callable[[], None]] = []
        self.hub = object() if has_hub else None
        kind = type("TaskPool", (), {"__module__": pool})
        self.pool = kind()
        self.pool.is_green, self.pool.uses_semaphore = False, pool.endswith("prefork")
        self.pool.on_apply = lambda *words, **options: self.said.append("applied")
        self.controller = SimpleNamespace(
            _process_task=lambda request: self.said.append(f"process {request.name}"),
            _quick_release=lambda: self.said.append("release"),
        )
        self.task_consumer: Any = SimpleNamespace(
            queues=[SimpleNamespace(name="busy"), SimpleNamespace(name="quiet")],
            _receive_callback=lambda message: self.handle(message),
            _basic_consume=self._consume,
        )
        self.timer = SimpleNamespace(call_after=self._later)
        self.later: list[Callable[[], None]] = []
        self.receivers: dict[str, Any] = {}
        self.known = Known()
        self.create_task_handler = lambda: lambda message: self.said.append(f"handle {message.headers['task']}")
        self.on_task_request: Any = lambda request: self.said.append(f"begin {request.name}")
        self.step = Pausing(self)  # type: ignore[arg-type]
        self.step.known = self.known
        self.step._queue = self.queue = Queue(self.said)  # type: ignore[assignment]
        self.handle = self.create_task_handler()

    def _consume(self, queue: Any, **options: Any) -> str:
        self.receivers[queue.name] = self.task_consumer._receive_callback
        self.said.append(f"consume {queue.name}")
        return "tag"

    def _later(self, seconds: float, call: Callable[[], None]) -> object:
        self.said.append("later")
        self.later.append(call)
        return call

    def call_soon(self, call: Callable[[], None]) -> None:
        self.soon.append(call)

    def turn(self) -> list[Any]:
        """Turn the loop, and return what has been said since the last time."""
        while self.soon:
            self.soon.pop(0)()
        said, self.said[:] = list(self.said), []
        return said

    def pause(self, *names: str, what: str = QUEUE) -> None:
        self.known.change([pause(each, what) for each in names], [])


def test_message__of_a_paused_queue_is_refused_and_others_are_handled() -> None:
    bench = Bench()
    consume = bench.step._consuming(bench.task_consumer._basic_consume)
    for queue in bench.task_consumer.queues:
        assert consume(queue) == "tag"
    assert bench.turn() == ["consume busy", "consume quiet"]
    bench.pause("busy")
    bench.receivers["busy"](Message("one"))
    bench.receivers["quiet"](Message("two"))
    assert bench.turn() == ["refuse busy", "handle two", "stop busy", [], [], "start quiet"]


def test_message__of_a_paused_task_is_put_aside() -> None:
    bench = Bench()
    bench.pause("shop.tasks.add", what=TASK)
    bench.step._receiving = "quiet"
    bench.handle(Message("shop.tasks.add"))
    bench.handle(Message("other"))
    odd: Any = Message("other")
    odd.headers = None
    bench.handle(SimpleNamespace(headers={"task": 7}))
    assert bench.turn()[:3] == ["refuse quiet shop.tasks.add", "handle other", "handle 7"]


def test_message__is_handled_while_there_is_no_connection() -> None:
    bench = Bench()
    bench.pause("busy")
    bench.step._receiving, bench.step._queue = "busy", None
    bench.handle(Message("one"))
    assert bench.said == ["handle one"]


@pytest.mark.parametrize("skips", [True, False])
def test_consume__of_a_paused_queue(skips: bool) -> None:
    bench = Bench()
    bench.pause("busy")
    bench.queue.skips = skips  # type: ignore[misc]
    tag = bench.step._consuming(bench.task_consumer._basic_consume)(bench.task_consumer.queues[0])
    assert (tag, bench.turn()) == ((None, ["stop busy"]) if skips else ("tag", ["consume busy", "stop busy"]))


def test_prefork__what_waits_for_a_process_goes_back() -> None:
    bench = Bench()
    requests = [Request("one", "busy"), Request("two", "quiet"), Request("three", "busy")]
    for each in requests:
        bench.on_task_request(each)
    assert bench.turn() == ["begin one", "begin two", "begin three"]  # Celery's semaphore has them now
    bench.pause("busy")
    bench.controller._process_task(requests[0])
    bench.controller._process_task(requests[1])
    assert bench.said == ["process two"]  # the place in the pool is free only from the loop on: there may be thousands
    assert bench.turn() == ["process two", "stop busy", [], ["one to busy", "three to busy"], "start quiet", "release"]
    assert requests[2].events == [("task-rejected", {"requeue": True})]
    assert [each.acknowledged for each in requests] == [True, False, True]
    bench.controller._process_task(requests[2])
    assert bench.turn() == ["stop busy", "start quiet", "release"]


def test_prefork__a_task_whose_time_comes_during_the_pause_goes_back() -> None:
    bench = Bench()
    bench.pause("busy")
    bench.on_task_request(Request("one", "busy"))
    assert bench.turn() == ["stop busy", [], ["one to busy"], "start quiet"]


def test_prefork__waits_for_what_is_under_way() -> None:
    bench = Bench()
    bench.on_task_request(Request("one", "busy"))
    bench.turn()
    bench.pause("busy")
    bench.queue.is_ready = False  # type: ignore[misc]
    bench.step.adjust_soon()
    assert bench.turn() == ["stop busy", "later"]
    bench.queue.is_ready = True  # type: ignore[misc]
    bench.step.adjust_soon()
    assert bench.turn() == ["stop busy", [], ["one to busy"], "start quiet"]


def test_prefork__one_call_of_the_timer_is_pending() -> None:
    bench = Bench()
    bench.on_task_request(Request("one", "busy"))
    bench.turn()
    bench.pause("busy")
    bench.queue.is_ready = False  # type: ignore[misc]
    for _ in range(3):  # as events of the loop do
        bench.step.adjust_soon()
    assert bench.turn() == ["stop busy", "later", "stop busy", "stop busy"]
    bench.later.pop()()
    assert bench.turn() == ["stop busy", "later"]
    bench.later.clear()  # Celery empties the timer when the connection is lost
    bench.step._watch = SimpleNamespace(look_soon=lambda _: None)  # type: ignore[assignment]
    bench.connection = SimpleNamespace(transport=SimpleNamespace(driver_type="amqp"))  # type: ignore[attr-defined]
    bench.step.start(bench)  # type: ignore[arg-type]
    bench.step._queue = bench.queue  # type: ignore[assignment]
    assert bench.turn() == ["stop busy", "later"]


@pytest.mark.parametrize("way", ["give_back", "put_aside"])
def test_prefork__what_the_broker_has_not_taken_goes_back_later(
    way: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench()
    one = Request("one", "busy")
    bench.on_task_request(one)
    bench.turn()
    bench.pause("busy") if way == "give_back" else bench.pause("one", what=TASK)

    def fail(messages: Any) -> None:
        if messages:
            raise ConnectionError("out of memory")

    with monkeypatch.context() as failing:
        failing.setattr(bench.queue, way, fail)
        for _ in range(2):
            bench.step.adjust_soon()
            bench.turn()
        bench.controller._process_task(one)
        assert "process one" not in bench.turn()
    assert (one.acknowledged, one.events) == (False, [])
    lines = [each.getMessage() for each in caplog.records if each.name == pausing.__name__]
    assert lines == ["A pause cannot be carried out at the broker (ConnectionError: out of memory): it is tried again."]
    bench.known.change([], [pause("busy") if way == "give_back" else pause("one", TASK)])
    bench.later.pop()()
    gone = ["stop busy", [], ["one to busy"], "start busy", "start quiet"]  # also if the pause is over
    back = ["stop busy", "stop quiet", ["one of busy aside"], [], ("bring back", ["one"]), "start busy", "start quiet"]
    assert bench.turn() == (gone if way == "give_back" else back)
    assert (one.acknowledged, one.events) == (True, [("task-rejected", {"requeue": True})])


def test_prefork__a_paused_task_is_put_aside_and_its_paused_queue_wins() -> None:
    bench = Bench()
    for each in (Request("one", "busy"), Request("one", "quiet")):
        bench.on_task_request(each)
    bench.turn()
    bench.pause("one", what=TASK)
    bench.pause("busy")
    bench.step.adjust_soon()
    assert bench.turn() == ["stop busy", ["one of quiet aside"], ["one to busy"], "start quiet"]


def test_prefork__a_lost_connection_forgets_what_waited() -> None:
    bench = Bench()
    bench.on_task_request(Request("one", "busy"))
    bench.step.stop(bench)  # type: ignore[arg-type]
    bench.pause("busy")
    bench.turn()
    bench.step.adjust_soon()
    assert bench.turn() == []
    bench.step._queue = bench.queue  # type: ignore[assignment]
    bench.step.adjust_soon()
    assert bench.turn() == ["stop busy", "start quiet"]


@pytest.mark.parametrize("pool", ["prefork", "thread", "solo"])
@pytest.mark.parametrize("looks", range(4))
def test_task__begins_or_goes_back_also_if_its_pause_ends_in_that_moment(pool: str, looks: int) -> None:
    """Another thread ends the pause after so many looks at it."""
    bench = Bench(f"celery.concurrency.{pool}")
    answers = iter([True] * looks)
    bench.known.holds = lambda queue: queue == "busy" and next(answers, False)  # type: ignore[method-assign]
    one = Request("one", "busy")
    bench.on_task_request(one)
    begins = "begin one" in bench.turn() and (pool == "solo" or bench.step._back.begin(one))  # type: ignore[arg-type]
    assert begins is not one.acknowledged


def test_solo__a_task_begins_at_once_or_goes_back() -> None:
    bench = Bench("celery.concurrency.solo")
    bench.on_task_request(Request("one", "busy"))
    bench.pause("busy")
    bench.on_task_request(Request("two", "busy"))
    assert bench.turn() == ["begin one", "stop busy", [], ["two to busy"], "start quiet"]


def test_threads__what_waits_for_a_thread_goes_back_and_what_is_revoked_does_not() -> None:
    bench = Bench("celery.concurrency.thread")
    one, revoked = Request("one", "busy"), Request("two", "busy")
    bench.on_task_request(one)
    revoked.acknowledged = True
    bench.on_task_request(revoked)
    revoked.acknowledged = False  # else it would be left out for that
    bench.turn()
    bench.pause("busy")
    bench.step.adjust_soon()
    assert bench.turn() == ["stop busy", [], ["one to busy"], "start quiet"]
    bench.pool.on_apply("target")
    assert bench.said == ["applied"]


def test_threads__a_lost_connection_leaves_them_what_they_were_given() -> None:
    bench = Bench("celery.concurrency.thread")
    one = Request("one", "busy")
    bench.on_task_request(one)
    bench.step.stop(bench)  # type: ignore[arg-type]
    assert bench.step._back.begin(one)  # type: ignore[arg-type]


def test_command__takes_note_and_brings_back_ahead_of_what_is_newer(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: dict[str, Any] = {}
    monkeypatch.setattr(control, "control_command", lambda name: lambda function: commands.update({name: function}))
    steps: set[Any] = set()
    pausing.install(SimpleNamespace(steps={"consumer": steps}))  # type: ignore[arg-type]
    [kind] = steps
    bench = Bench()
    step = kind(bench)
    step._queue = bench.queue
    step.known._now = lambda: NOW
    tell = commands[LOOK_AT_PAUSES]
    now = NOW.isoformat()
    state = SimpleNamespace(consumer=bench)
    begun = [pause("busy").plain(), pause("one", TASK).plain(), {"odd": 1}]
    assert tell(state, put=begun) == {"queues": ["busy"], "tasks": ["one"], "now": now}
    assert held(bench) == {"busy"}  # type: ignore[arg-type]
    assert bench.turn() == ["stop busy", "start quiet"]
    step._receiving = "quiet"
    bench.create_task_handler()(Message("one"))
    assert tell(state, removed=[pause("one", TASK).plain()]) == {"queues": ["busy"], "tasks": [], "now": now}
    held_one, stopped = ["refuse quiet one"], ["stop busy", "stop quiet"]
    assert bench.turn() == [
        *held_one,
        *stopped,
        [],
        [],
        ("bring back", ["one"]),
        "start quiet",
        "stop busy",
        "start quiet",
    ]
    assert tell(SimpleNamespace(consumer=None), removed=begun) == {"queues": [], "tasks": [], "now": now}
    assert held(SimpleNamespace()) == frozenset()  # type: ignore[arg-type]


def test_task__at_the_end_of_its_pause_what_is_here_and_under_way_goes_aside_before_all_comes_back() -> None:
    """It is newer than what is aside: at the front of the queue, it would be ahead of that."""
    bench = Bench()
    bench.pause("one", what=TASK)
    bench.on_task_request(Request("one", "busy"))
    bench.queue.is_ready = False  # type: ignore[misc]
    bench.known.replace([], bench.known.changes)  # as the thread that looks
    assert bench.turn() == ["stop busy", "stop quiet", "later"]
    bench.step._receiving = "quiet"
    bench.handle(Message("one"))  # by the BRPOP that was under way
    assert bench.turn() == ["refuse quiet one", "stop busy", "stop quiet"]
    bench.queue.is_ready = True  # type: ignore[misc]
    bench.later.pop()()
    aside = [["one of busy aside"], [], ("bring back", ["one"])]
    assert bench.turn() == ["stop busy", "stop quiet", *aside, "start busy", "start quiet"]
    bench.handle(Message("one"))
    assert bench.turn() == ["handle one"]


def test_task__that_cannot_come_back_now_does_not_stop_the_queues(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker whose memory is full is emptied only by its workers."""
    bench = Bench()
    bench.known.change([], [pause("one", TASK)])

    def fail(tasks: Any) -> None:
        raise ConnectionError("out of memory")

    with monkeypatch.context() as failing:
        failing.setattr(bench.queue, "bring_back", fail)
        bench.step.adjust_soon()
        assert bench.turn()[-3:] == ["start busy", "start quiet", "later"]
    assert bench.known.holds_task("one")
    bench.later.pop()()
    assert ("bring back", ["one"]) in bench.turn()
    assert not bench.known.holds_task("one")


def test_task__that_may_not_come_back_begins_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench()
    assert bench.step._queues() == ["busy", "quiet"]
    bench.pause("one", what=TASK)
    bench.known.change([], [pause("one", TASK)])

    def refuse(tasks: Any) -> None:
        raise redis.exceptions.NoPermissionError("no scripts")

    monkeypatch.setattr(bench.queue, "bring_back", refuse)
    bench.step.adjust_soon()
    assert bench.turn()[-2:] == ["start busy", "start quiet"]
    assert not bench.known.holds_task("one")
    assert bench.step._queues() == ()  # else the thread would have it tried again and again
    assert [each.getMessage() for each in caplog.records if each.name == sent_away.__name__] == [
        "What was put aside of paused tasks cannot come back (NoPermissionError: no scripts)."
    ]


@pytest.mark.parametrize("what", [QUEUE, TASK])
def test_message__does_not_begin_ahead_of_one_that_goes_back(what: str) -> None:
    """The pause is over before the loop has given back what came during it."""
    bench = Bench()
    older, newer = Request("one", "busy"), Request("one", "busy")
    for each in (older, newer):
        bench.on_task_request(each)
    bench.turn()
    bench.pause("busy" if what == QUEUE else "one", what=what)
    bench.controller._process_task(older)
    bench.known.change([], [pause("busy" if what == QUEUE else "one", what)])
    bench.controller._process_task(newer)
    bench.step._receiving = "busy"
    bench.handle(Message("one"))
    said = bench.turn()
    assert "process one" not in said
    assert "handle one" not in said
    assert ["one to busy"] * 2 in said or ["one of busy aside"] * 2 in said
    bench.handle(Message("one"))
    assert bench.turn() == ["handle one"]


def test_start__what_the_loop_has_lost_of_an_ending_pause_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    bench.known.change([], [pause("one", TASK)])
    bench.step._watch = SimpleNamespace(look_soon=lambda _: None)  # type: ignore[assignment]
    bench.connection = SimpleNamespace(transport=SimpleNamespace(driver_type="amqp"))  # type: ignore[attr-defined]
    bench.step.start(bench)  # type: ignore[arg-type]
    bench.step._queue = bench.queue  # type: ignore[assignment]
    assert ("bring back", ["one"]) in bench.turn()


@pytest.mark.parametrize(("transport", "given"), [("redis", ["channel"]), ("amqp", [])])
def test_start__what_kombu_gives_back_at_redis_keeps_its_order(
    transport: str, given: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, said = Bench(), list[Any]()
    monkeypatch.setattr(pausing, "give_back_in_order", said.append)
    monkeypatch.setattr(pausing, "AskedQueue", lambda consumer: bench.queue)
    bench.task_consumer.channel = "channel"
    bench.step._watch = SimpleNamespace(look_soon=lambda _: None)  # type: ignore[assignment]
    bench.connection = SimpleNamespace(transport=SimpleNamespace(driver_type=transport))  # type: ignore[attr-defined]
    bench.step.start(bench)  # type: ignore[arg-type]
    assert said == given


def test_start__a_worker_of_the_site_gets_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    installed: list[Any] = []
    monkeypatch.setattr(pausing, "install", installed.append)
    every_worker.heed_pauses(instance=SimpleNamespace(app="app"))
    assert installed == ["app"]
