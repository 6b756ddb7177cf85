"""showqueues shows what is in the queues of a Redis, whoever has put it there."""

from __future__ import annotations

import contextlib
import io
import json
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from celery.signals import before_task_publish
from django.core.management import call_command
from kombu import Connection, Queue

from tasktools.brokers import broker_of
from tasktools.brokers.keys import Keys
from tasktools.exceptions import Unreachable
from tasktools.management import queue_reading
from tasktools.publishing import sent_time
from tasktools.queues.consumers import Readers
from tests.conftest import Ran
from tests.hostile import ENCODABLE, active, forged
from tests.nodes import node
from tests.support import Running, refusing_port, silent_port, wait_for

Run = Callable[..., Ran]

TASK = "tests.site.tasks.total"

pytestmark = pytest.mark.usefixtures("server_that_ends_with_the_suite")


@pytest.fixture
def keys(app: Any, queue: str) -> Iterator[Keys]:
    """The keys of the suite's broker, where nothing is left of the queue."""
    broker = broker_of(app)
    broker.prepare()
    with broker.publishing_connection(5) as connection:
        found = Keys(connection.default_channel)
        yield found
        found.client.delete(*found.lists(queue))
        for table in found.client.scan_iter(found.full("_kombu.binding*")):
            if found.client.type(table) == b"set":
                for member in found.client.smembers(table):
                    if queue.encode() in member:
                        found.client.srem(table, member)


@pytest.fixture
def send(app: Any, queue: str, keys: Keys) -> Callable[..., str]:
    """Send a task to the queue that nobody reads, as Celery does."""

    def publish(*args: Any, **options: Any) -> str:
        task_id = str(app.send_task(TASK, args, queue=queue, **options).id)
        app.amqp.queues.pop(queue, None)  # Celery declares in its process what it sends to
        return task_id

    return publish


@pytest.fixture
def foreign() -> Iterator[None]:
    """Send as a process without tasktools does: the messages do not say when they were sent."""
    before_task_publish.disconnect(dispatch_uid="tasktools.sent_time")
    yield
    sent_time.start()


def shown(ran: Ran, name: str) -> Any:
    assert ran.code == 0, ran.err
    (found,) = (each for each in json.loads(ran.out)["queues"] if each["name"] == name)
    return found


@pytest.fixture
def nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests leave clients that wait or listen at the server of the suite."""
    monkeypatch.setattr(queue_reading, "_readers", lambda app: Readers(silent=0))
    monkeypatch.setattr("tasktools.queues.look.listeners", lambda keys: 0)


@pytest.mark.usefixtures("nobody_else")
def test_showqueues__a_queue_that_is_not_declared(send: Any, queue: str, run_command: Run) -> None:
    send(1)
    send(2, priority=9)
    found = shown(run_command("showqueues", as_json=True), queue)
    assert (found["ready"], found["unacked"], found["later"], found["consumers"]) == (2, 0, 0, 0)
    assert (found["is_declared"], found["oldest"], found["oldest_taken"]) == (False, found["oldest"], None)
    assert 0 <= found["oldest"] < 60


@pytest.mark.usefixtures("nobody_else")
def test_showqueues__as_text(foreign: None, send: Any, queue: str, run_command: Run) -> None:
    send(1)
    done = run_command("showqueues", queue)
    assert done.code == 0
    [heading, line] = done.out.splitlines()
    assert heading.split() == ["QUEUE", "READY", "UNACKED", "LATER", "CONSUMERS", "OLDEST", "TAKEN", "NOTE"]
    assert line.split() == [
        *(queue, "1", "0", "0", "0", "unknown"),
        *["no", "consumer,", "undeclared"],
    ]
    assert done.err == ""


def test_showqueues__a_list_without_any_binding(keys: Keys, send: Any, queue: str, run_command: Run) -> None:
    send(1)
    keys.client.rename(keys.full(queue), keys.full(f"{queue}-moved"))
    try:
        found = shown(run_command("showqueues", as_json=True), f"{queue}-moved")
        assert (found["ready"], found["is_declared"]) == (1, False)
    finally:
        keys.client.delete(keys.full(f"{queue}-moved"))


def test_showqueues__another_program_s_list_is_no_queue(keys: Keys, queue: str, run_command: Run) -> None:
    keys.client.lpush(keys.full(queue), b'{"job": 1}')
    names = [each["name"] for each in json.loads(run_command("showqueues", as_json=True).out)["queues"]]
    assert "celery" in names
    assert queue not in names


def test_showqueues__a_name_that_nobody_knows(run_command: Run, queue: str) -> None:
    done = run_command("showqueues", "celry")
    assert (done.code, done.out) == (4, "")
    assert done.err == (
        'Nobody knows the queue "celry": it is not declared, not read, and holds nothing.\nHint: did you mean celery?'
    )


def test_showqueues__what_is_taken_and_what_is_held(
    keys: Keys, app: Any, send: Any, queue: str, run_command: Run
) -> None:
    """As a worker takes it: kombu notes each message under its exchange and routing key."""
    send(1)
    send(2, countdown=3600)
    send(3, countdown=-3600)
    send(4)
    with app.connection_for_read() as connection:
        channel = connection.default_channel
        consumer = Queue(queue, exchange="", routing_key=queue)(channel)
        messages = [consumer.get(no_ack=False) for _ in range(3)]
        assert all(messages)
        found = shown(run_command("showqueues", queue, as_json=True), queue)
        for message in messages:
            message.ack()
    assert (found["ready"], found["unacked"], found["later"]) == (1, 3, 1)
    assert 0 <= found["oldest_taken"] < 60


def test_showqueues__each_step_has_the_whole_time(
    keys: Keys, queue: str, run_command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that is healthy answers each question in time, however many there are."""
    monkeypatch.setattr("tasktools.queues.unacked.SLICE", 1)
    calls: list[str] = []
    reach = queue_reading.reach

    def counted(*call: Any) -> Any:
        began = len(commands)
        found = reach(*call)
        calls.extend([",".join(commands[began:])])
        return found

    commands: list[str] = []
    execute = keys.client.execute_command

    def seen(client: Any, name: str, *args: Any, **options: Any) -> Any:
        commands.append(name)
        return execute.__func__(client, name, *args, **options)

    monkeypatch.setattr(queue_reading, "reach", counted)
    monkeypatch.setattr(type(keys.client), "execute_command", seen)
    taken, index = (keys.full(name) for name in (keys.channel.unacked_key, keys.channel.unacked_index_key))
    tags = [f"{queue}-{place}" for place in range(3)]
    keys.client.zadd(index, dict.fromkeys(tags, time.time()))
    keys.client.hset(taken, mapping=dict.fromkeys(tags, json.dumps([{"headers": {}}, "", queue])))
    try:
        assert shown(run_command("showqueues", queue, as_json=True), queue)["unacked"] == 3
    finally:
        keys.client.zrem(index, *tags)
        keys.client.hdel(taken, *tags)
    assert sum("HMGET" in each for each in calls) >= 3
    assert max(each.count("HMGET") for each in calls) == 1


def test_showqueues__the_age_of_the_oldest(send: Any, queue: str, run_command: Run) -> None:
    now = time.time()
    send(1, timestamp=int(now) - 90)
    send(2, timestamp=int(now) - 600, priority=9)
    found = shown(run_command("showqueues", queue, as_json=True), queue)
    assert 599 <= found["oldest"] < 660
    assert " 10 min " in run_command("showqueues", queue).out


def test_showqueues__an_age_is_unknown_if_any_front_does_not_say_it(
    foreign: None, send: Any, queue: str, run_command: Run
) -> None:
    send(1, timestamp=int(time.time()) - 90)
    send(2, priority=9)
    assert shown(run_command("showqueues", queue, as_json=True), queue)["oldest"] is None


def test_peek__in_the_order_in_which_a_worker_gets_them(send: Any, queue: str, app: Any, run_command: Run) -> None:
    ids = [send(1, priority=9), send(2), send(3), send(4, priority=3)]
    found = shown(run_command("showqueues", queue, peek="3", as_json=True), queue)
    assert [each["id"] for each in found["messages"]] == [ids[1], ids[2], ids[3]]
    with app.connection_for_read() as connection:
        consumer = Queue(queue, exchange="", routing_key=queue)(connection.default_channel)
        assert [consumer.get(no_ack=True).headers["id"] for _ in range(3)] == [ids[1], ids[2], ids[3]]


def test_peek__as_text(send: Any, queue: str, run_command: Run) -> None:
    task_id = send(1, 2, timestamp=int(time.time()) - 7265, retries=2)
    done = run_command("showqueues", queue, peek="10")
    [heading, line] = done.out.splitlines()
    assert heading.split() == ["QUEUE", "NEXT", "TASK", "ARGUMENTS", "AGE", "RETRIES", "PRIORITY", "ETA", "ID"]
    assert f"{queue}  1     {TASK}  (1, 2)" in line
    assert line.split()[-7:] == ["2", "h", "1", "min", "2", "0", task_id]


def test_by_task__a_task_named_null_is_not_a_message_of_another_kind(
    send: Any, queue: str, app: Any, keys: Keys, run_command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.send_task("null", queue=queue)
    app.send_task("null", queue=queue)
    send(1)
    keys.client.lpush(keys.full(queue), b"no message")
    found = shown(run_command("showqueues", queue, by_task=True, as_json=True), queue)
    assert sorted(map(str, found["tasks"])) == sorted(
        map(str, [{"task": "null", "count": 2}, {"task": TASK, "count": 1}, {"task": None, "count": 1}])
    )
    monkeypatch.setattr("tasktools.queues.by_task.MOST_NAMES", 1)
    lines = run_command("showqueues", queue, by_task=True).out.splitlines()
    assert lines[-1].split()[1:] == ["(others)", "2", "50.0%"]


def test_by_task__counts_over_all_priorities(send: Any, queue: str, app: Any, run_command: Run) -> None:
    send(1)
    send(2, priority=9)
    app.send_task("another.task", queue=queue)
    found = shown(run_command("showqueues", queue, by_task=True, as_json=True), queue)
    assert found["tasks"] == [{"task": TASK, "count": 2}, {"task": "another.task", "count": 1}]
    assert (found["others"], found["unread"]) == (0, 0)
    text = run_command("showqueues", queue, by_task=True).out
    assert [line.split()[1:] for line in text.splitlines()] == [
        ["TASK", "WAITING", "SHARE"],
        [TASK, "2", "66.7%"],
        ["another.task", "1", "33.3%"],
    ]


def test_by_task__more_than_is_read(send: Any, queue: str, run_command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_reading, "MOST", 2)
    for number in range(3):
        send(number)
    done = run_command("showqueues", queue, by_task=True)
    assert done.out.splitlines()[-1].split() == [queue, "(not", "read)", "1"]
    assert done.err == f'"{queue}": 1 more messages were not read. --deep reads all.\n'
    assert shown(run_command("showqueues", queue, by_task=True, deep=True, as_json=True), queue)["unread"] == 0


@pytest.mark.parametrize(("most", "code"), [("2", 0), ("1", 1), ("0", 1)])
def test_max__ends_with_1(send: Any, queue: str, run_command: Run, most: str, code: int) -> None:
    send(1)
    send(2)
    done = run_command("showqueues", queue, most=most)
    assert done.code == code
    assert (f'The queue "{queue}" holds 2 messages, more than {most}.' in done.err) is bool(code)


@pytest.mark.parametrize(("limit", "code"), [("1h", 0), ("1m", 1)])
def test_max_age__ends_with_1(send: Any, queue: str, run_command: Run, limit: str, code: int) -> None:
    send(1, timestamp=int(time.time()) - 600)
    done = run_command("showqueues", queue, max_age=limit)
    assert done.code == code
    assert ("its oldest message has waited for 10 min" in done.err) is bool(code)


def test_max_age__of_what_the_project_sends(app: Any, send: Any, queue: str, run_command: Run) -> None:
    """With nothing in the project but its task."""
    app.tasks[TASK].apply_async(([1],), queue=queue)
    app.amqp.queues.pop(queue, None)
    [when] = [
        each["sent"] for each in shown(run_command("showqueues", queue, peek="1", as_json=True), queue)["messages"]
    ]
    assert abs(datetime.fromisoformat(when).timestamp() - time.time()) < 30
    assert run_command("showqueues", queue, max_age="1h").code == 0
    wait_for(lambda: time.time() - datetime.fromisoformat(when).timestamp() > 1)
    done = run_command("showqueues", queue, max_age="1s")
    assert done.code == 1
    assert "its oldest message has waited for" in done.err


def test_max_age__is_not_silent_where_nobody_knows_the_age(
    foreign: None, send: Any, queue: str, run_command: Run
) -> None:
    send(1)
    done = run_command("showqueues", queue, max_age="1h")
    assert done.code == 1
    assert (
        "neither the broker nor the message says how long the oldest has waited, so --max-age cannot be checked"
        in done.err
    )


def test_max_age__an_empty_queue_is_not_old(run_command: Run) -> None:
    assert run_command("showqueues", "slow", max_age="1s", most="0").code == 0


def test_interval__what_comes_in_and_leaves(
    send: Any, queue: str, keys: Keys, run_command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        send(number)
    slept = time.sleep

    def sleep(seconds: float) -> None:
        if not sent:
            sent.extend(send(number) for number in range(4))
            keys.client.rpop(keys.full(queue))
        slept(seconds)

    sent: list[str] = []
    monkeypatch.setattr(queue_reading, "pause", sleep)
    found = shown(run_command("showqueues", queue, interval="1s", as_json=True), queue)
    rates = found["added"], found["taken"], found["growth"]
    assert rates == pytest.approx((4, 1, 3), rel=0.5)
    assert rates[0] - rates[1] == pytest.approx(rates[2], abs=0.01)


def test_consumers__of_a_worker(worker: Running, run_command: Run) -> None:
    wait_for(lambda: shown(run_command("showqueues", "slow", as_json=True), "slow")["consumers"] == 1)


def test_consumers__of_a_worker_that_is_busy_are_unknown(app: Any, send: Any, queue: str, run_command: Run) -> None:
    send(1)
    with node(app, "busy@h", {}, answers=False):
        assert shown(run_command("showqueues", queue, as_json=True), queue)["consumers"] is None


def test_consumers__are_unknown_without_remote_control(
    send: Any, queue: str, run_command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise Unreachable("It refuses.") from PermissionError("no PUBLISH")

    send(1)
    monkeypatch.setattr(queue_reading, "ask", refuse)
    assert shown(run_command("showqueues", queue, as_json=True), queue)["consumers"] is None


def test_consumers__a_broker_that_falls_silent_then(
    elsewhere: Any, run_command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def say_nothing(*_: Any) -> None:
        raise Unreachable("It does not answer.")

    monkeypatch.setattr(queue_reading, "ask", say_nothing)
    done = run_command("showqueues")
    assert (done.code, done.err.splitlines()[0]) == (69, "It does not answer.")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"peek": "0"}, '--peek "0" is no number from 1 to 1,000.'),
        ({"most": "-1"}, '--max "-1" is no number from 0 on.'),
        ({"interval": "0s"}, "--interval is 0."),
        ({"max_age": "long"}, '"long" is no duration.'),
        ({"watch": True, "most": "1"}, "--watch runs until it is stopped, and --max and --max-age are about its end."),
    ],
)
def test_options__that_cannot_be_read(run_command: Run, options: dict[str, Any], sentence: str) -> None:
    done = run_command("showqueues", **options)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(sentence)


@pytest.mark.parametrize("port", [lambda: contextlib.nullcontext(refusing_port()), silent_port])
def test_broker__does_not_answer(elsewhere: Any, typed: Run, port: Any) -> None:
    with port() as number:
        name = elsewhere(broker_url=f"redis://127.0.0.1:{number}/0")
        began = time.monotonic()
        done = typed("showqueues", "-A", name, "--json")
    assert done.code == 69
    assert time.monotonic() - began < 30
    assert "127.0.0.1" in json.loads(done.err)["error"]


def test_another_broker__what_it_cannot_do(elsewhere: Any, typed: Run) -> None:
    name = elsewhere(broker_url="memory://")
    done = typed("showqueues", "-A", name, "--peek", "3")
    assert done.code == 2
    assert "cannot show a message without handing it out" in done.err
    found = shown(typed("showqueues", "-A", name, "--json"), "celery")
    assert (found["unacked"], found["later"], found["oldest"]) == (None, None, None)
    assert found["ready"] >= 0  # memory:// has what other tests of this process have sent


def test_hostile_text__is_shown_harmlessly(queue: str, app: Any, keys: Keys, run_command: Run) -> None:
    app.send_task(ENCODABLE, [ENCODABLE, "x" * 10_000], queue=queue, task_id=ENCODABLE)
    for options in ({"peek": "5"}, {"by_task": True}):
        done = run_command("showqueues", queue, **options)
        assert done.code == 0
        assert (active(done.out), forged(done.out), len(done.out.splitlines())) == ([], [], 2)
        assert max(map(len, done.out.splitlines())) < 600
    found = shown(run_command("showqueues", queue, peek="5", by_task=True, as_json=True), queue)
    assert found["tasks"] == [{"task": ENCODABLE, "count": 1}]
    assert found["messages"][0]["id"] == ENCODABLE


class Stop(Exception):
    """The test has seen enough."""


@pytest.mark.parametrize("as_json", [False, True])
def test_watch__shows_it_again(
    send: Any, queue: str, run_command: Run, monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    send(1)
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        send(2)
        if len(pauses) == 2:
            raise Stop

    monkeypatch.setattr("tasktools.management.watching.pause", sleep)
    out = io.StringIO()
    with pytest.raises(Stop):
        call_command("showqueues", queue, watch=True, as_json=as_json, stdout=out)
    assert pauses == [2.0, 2.0]
    if as_json:
        documents = [json.loads(line) for line in out.getvalue().splitlines()]
        assert [each["queues"][0]["ready"] for each in documents] == [1, 2]
    else:
        assert [block.splitlines()[1].split()[1] for block in out.getvalue().split("\n\n")] == ["1", "2"]


@pytest.mark.parametrize("is_terminal", [False, True])
def test_watch__that_queues_may_be_missing_is_said_once_or_stands_on_the_page(
    run_command: Run, monkeypatch: pytest.MonkeyPatch, is_terminal: bool
) -> None:
    monkeypatch.setattr("tasktools.queues.found.MOST_SCANS", 0)
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise Stop

    pages: list[list[str]] = []

    def page(command: Any, watched: Any, seen: Any, console: Any) -> str:
        pages.append(list(watched.notes(seen)))
        return ""

    monkeypatch.setattr("tasktools.management.watching.pause", sleep)
    monkeypatch.setattr("tasktools.management.watching._page", page)
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(out, "isatty", lambda: is_terminal, raising=False)
    with pytest.raises(Stop):
        call_command("showqueues", watch=True, stdout=out, stderr=err)
    assert err.getvalue().count("There may be more queues") == (0 if is_terminal else 1)
    assert [len(each) for each in pages] == ([1, 1, 1] if is_terminal else [])


def test_watch__a_broker_that_is_away_for_a_while(
    send: Any, queue: str, run_command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(1)
    looks: list[int] = []
    lost: list[Any] = []
    released: list[Any] = []
    release = Connection.release
    monkeypatch.setattr(Connection, "release", lambda self: (released.append(self), release(self)))
    look = queue_reading.Reading.look

    def look_or_fail(reading: Any) -> Any:
        looks.append(1)
        if len(looks) == 2:
            lost.append(reading.connection)
            raise Unreachable("The broker does not answer.")
        return look(reading)

    def sleep(seconds: float) -> None:
        if len(looks) == 3:
            raise Stop

    monkeypatch.setattr(queue_reading.Reading, "look", look_or_fail)
    monkeypatch.setattr("tasktools.management.watching.pause", sleep)
    out, err = io.StringIO(), io.StringIO()
    with pytest.raises(Stop):
        call_command("showqueues", queue, watch=True, as_json=True, stdout=out, stderr=err)
    assert [json.loads(line)["queues"][0]["ready"] for line in out.getvalue().splitlines()] == [1, 1]
    assert json.loads(err.getvalue())["warning"] == "The broker does not answer."
    assert any(each is lost[0] for each in released)


def test_watch__a_broker_that_does_not_answer_the_first_time(elsewhere: Any, typed: Run) -> None:
    name = elsewhere(broker_url=f"redis://127.0.0.1:{refusing_port()}/0")
    assert typed("showqueues", "-A", name, "--watch").code == 69


def test_eta__is_read_in_any_zone(send: Any, queue: str, run_command: Run) -> None:
    send(1, eta=datetime.now(timezone.utc) + timedelta(hours=1))
    found = shown(run_command("showqueues", queue, peek="1", as_json=True), queue)
    assert found["messages"][0]["eta"].startswith(str(datetime.now(timezone.utc).year))


def test_a_large_database__is_not_looked_at_in_full(
    send: Any, queue: str, run_command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasktools.queues.found.MOST_SCANS", 0)
    send(1)
    done = run_command("showqueues", as_json=True)
    assert json.loads(done.out)["is_complete"] is False
    assert "There may be more queues: not all keys were looked at." in json.loads(done.err)["warning"]
    assert json.loads(run_command("showqueues", as_json=True, deep=True).out)["is_complete"] is True
