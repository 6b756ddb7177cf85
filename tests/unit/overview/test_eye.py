"""One look at a real broker: what it shows, and what it costs."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any

import kombu
import pytest
import redis
from amqp.exceptions import AccessRefused
from celery import Celery
from redis.connection import AbstractConnection

from tasktools.beat.records import key_of, lease_of
from tasktools.beat.state import read_state, state_of
from tasktools.brokers.keys import Keys
from tasktools.brokers.reach import connect
from tasktools.control import replies
from tasktools.control.answers import Answers
from tasktools.control.brief import look_over
from tasktools.health.minutes import hashes_of
from tasktools.overview import eye as eye_module
from tasktools.overview import eye as module
from tasktools.overview import questions, redis_bound, redis_look
from tasktools.overview.depths import Depths
from tasktools.overview.eye import Eye
from tasktools.overview.questions import Questions
from tasktools.overview.redis_bound import Bound
from tasktools.queues import depth
from tasktools.queues.depth import Depth
from tests.nodes import node
from tests.support import refusing_port, silent_port

STATS = {
    "pid": 7,
    "total": {"a": 3},
    "pool": {"implementation": "celery.concurrency.prefork:TaskPool", "max-concurrency": 4},
}


@pytest.fixture
def eye(app: Any) -> Iterator[Eye]:
    made = Eye(app)
    yield made
    made.close()


@pytest.fixture
def keys(app: Any) -> Iterator[Keys]:
    with app.connection_for_write() as connection:
        yield Keys(connection.default_channel)


def handlers(*queues: str) -> dict[str, Any]:
    running = [{"id": "abc", "name": "shop.pay", "time_start": time.time() - 5}]
    return {
        "stats": lambda: {**STATS, "tasktools": {"reserved": 1, "scheduled": 0}},
        "active_queues": lambda: [{"name": each} for each in queues],
        "active": lambda **_: running,
    }


def test_look__shows_workers_and_queues(eye: Eye, app: Any, keys: Keys) -> None:
    queue = f"eye-{uuid.uuid4()}"
    app.send_task("shop.pay", queue=queue)
    app.send_task("shop.pay", queue=queue, priority=9)
    try:
        with node(app, "one@eye", handlers(queue)):
            seen = eye.look()
    finally:
        keys.client.delete(*keys.lists(queue), f"_kombu.binding.{queue}")
    assert seen.trouble is None
    (worker,) = [each for each in seen.workers if each.name == "one@eye"]
    assert (worker.running, worker.reserved, worker.concurrency, worker.queues) == (1, 1, 4, [queue])
    (found,) = [each for each in seen.queues if each.name == queue]
    assert (found.ready, found.consumers) == (2, 1)
    assert found.oldest is not None
    assert 0 <= found.oldest < 30


#: Whether this thread, or the one that has started it, looks.
_looks: ContextVar[bool] = ContextVar("_looks", default=False)


@pytest.fixture
def cost_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[Eye], list[str]]:
    """Return what an eye sends for a look, by the first words: cost_of(eye). What the nodes of a test send does not count."""
    sent: list[str] = []
    send, pack = AbstractConnection.send_command, AbstractConnection.pack_commands

    def count(*command: Any) -> None:
        if _looks.get():
            words = [word.decode() if isinstance(word, bytes) else str(word) for word in command[:2]]
            name = " ".join(words).upper()
            sent.append(name if name.startswith("CLIENT ") else name.split()[0])

    def sending(self: Any, *args: Any, **more: Any) -> Any:
        count(*args)
        return send(self, *args, **more)

    def packing(self: Any, commands: Any) -> Any:  # of a pipeline
        commands = list(commands)
        for command in commands:
            count(*command)
        return pack(self, commands)

    monkeypatch.setattr(AbstractConnection, "send_command", sending)
    monkeypatch.setattr(AbstractConnection, "pack_commands", packing)

    def cost(eye: Eye) -> list[str]:
        sent.clear()
        token = _looks.set(True)
        try:
            eye.look()
        finally:
            _looks.reset(token)
        return list(sent)

    return cost


def test_look__costs_at_most_ten_commands(app: Any, cost_of: Callable[[Eye], list[str]]) -> None:
    clock = [0.0]
    eye = Eye(app, lambda: clock[0])
    queues = [f"eye-cost-{number}" for number in range(50)]
    costs = []
    try:
        with node(app, "one@eye", handlers(*queues)), node(app, "two@eye", handlers(*queues)):
            assert len([each for each in eye.look().queues if each.name in queues]) == 50  # it connects
            for after in (*[2.0] * 20, *[70.0] * 4):  # while somebody looks on, and after pauses
                clock[0] += after
                costs.append(cost_of(eye))
    finally:
        eye.close()
    assert {"SMEMBERS", "PUBLISH", "RPOP", "EVAL"} <= {word for words in costs for word in words}
    assert max(map(len, costs)) <= 10, costs
    rare = [words.count("CLIENT LIST") for words in costs], [words.count("EVAL") - 1 for words in costs]
    assert [sum(each[:20]) for each in rare] == [3, 1]  # in 40 seconds: every 10, and every 30
    assert sum(sum(each[20:]) for each in rare) == 4  # one of them at a look, in turn
    assert all(sum(each[20:]) == 2 for each in rare)


def test_look__costs_at_most_ten_commands_when_somebody_is_silent(
    app: Any, keys: Keys, cost_of: Callable[[Eye], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(questions, "ANSWERING", 0.2)
    clock, costs = [0.0], []
    eye = Eye(app, lambda: clock[0])
    gone = f"\x06\x16\x06\x16gone-{uuid.uuid4()}@eye.celery.pidbox"  # of a worker that was killed
    try:
        with node(app, "one@eye", handlers()):
            eye.look()
            keys.client.sadd(keys.full("_kombu.binding.celery.pidbox"), gone)
            with node(app, "two@eye", handlers(), answers=False):
                for _ in range(8):
                    clock[0] += 70.0
                    costs.append(cost_of(eye))
                seen = eye.look()
    finally:
        keys.client.srem(keys.full("_kombu.binding.celery.pidbox"), gone)
        eye.close()
    assert seen.trouble is None
    assert "CLIENT LIST" in costs[0]  # that which has a name
    assert max(map(len, costs)) <= 10, costs
    assert (
        max(words.count("EVAL") for words in costs) == 3
    )  # the queues that nobody has named are looked for all the same


def test_look__after_a_pause_does_not_check_its_connection(app: Any) -> None:
    eye = Eye(app)
    try:
        eye.look()
        assert eye._connection.default_channel.pool.connection_kwargs["health_check_interval"] == 0
    finally:
        eye.close()


@pytest.mark.parametrize("has_scripts", [True, False])
@pytest.mark.parametrize("which", [key_of, lease_of])
@pytest.mark.parametrize("is_text", [True, False])
def test_look__what_no_beat_wrote_is_not_taken_for_no_beat(
    app: Any, keys: Keys, monkeypatch: pytest.MonkeyPatch, which: Any, is_text: bool, has_scripts: bool
) -> None:
    """The admin page said "no beat is in charge", and showschedule that something else is there."""
    import redis

    def forbid(*_: Any) -> None:
        raise redis.exceptions.NoPermissionError("no scripts")

    if not has_scripts:
        monkeypatch.setattr(keys.client, "eval", forbid)
    app = Celery(f"eye-{uuid.uuid4()}", broker=app.conf.broker_url, set_as_current=False)
    key, now = keys.full(which(app)), time.time()
    _ = keys.client.set(key, "else") if is_text else keys.client.rpush(key, "else")
    try:
        seen = redis_look.look(app, keys, [], now)
        found = state_of(seen.lease, seen.runs, is_foreign=seen.is_foreign)
        assert found == read_state(app)
        assert (found.is_foreign, found.in_charge) == (True, None)
    finally:
        keys.client.delete(key)
    seen = redis_look.look(app, keys, [], now)
    assert not seen.is_foreign


def test_look__leaves_nothing_at_the_broker(eye: Eye, app: Any, keys: Keys) -> None:
    before = set(keys.client.keys("*pidbox*"))
    with node(app, "one@eye", handlers()):
        assert [each.name for each in eye.look().workers if each.name == "one@eye"]
        during = set(keys.client.keys("*reply*tasktools*"))
    assert during == set()
    assert {each for each in keys.client.keys("*reply*") if each not in before} == set()


@pytest.mark.parametrize(("answer", "asked"), [("unknown command 'EVAL'", 1), ("ERR something else", 2)])
def test_look__of_a_server_that_runs_no_scripts(
    app: Any, keys: Keys, monkeypatch: pytest.MonkeyPatch, answer: str, asked: int
) -> None:
    refused: list[Any] = []
    queue, now = f"eye-{uuid.uuid4()}", time.time()
    app.send_task("shop.pay", queue=queue)
    keys.client.hset(f"{hashes_of(app)}{int(now // 3600)}", "59:succeeded", 3)
    try:
        by_script = redis_look.look(app, keys, [queue, "eye-none"], now)

        def refuse(*_: Any) -> Any:
            refused.append(1)
            raise redis.exceptions.ResponseError(answer)

        monkeypatch.setattr(keys.client, "eval", refuse)
        scripts = redis_look.Scripts()
        plainly = redis_look.look(app, keys, [queue, "eye-none"], now, scripts)
        assert redis_look.look(app, keys, [queue, "eye-none"], now, scripts) == by_script
        assert len(refused) == asked
        bound = Bound()
        bound.step(keys)
        assert bound.queues == frozenset()
    finally:
        keys.client.delete(*keys.lists(queue), f"_kombu.binding.{queue}", f"{hashes_of(app)}{int(now // 3600)}")
    assert by_script == plainly
    assert [length for length, _ in by_script.fronts[queue]] == [1]
    assert by_script.hours[1][b"59:succeeded"] == b"3"


@pytest.mark.parametrize(
    "error",
    [
        redis.exceptions.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
        redis.exceptions.ResponseError("BUSY Redis is busy"),
    ],
)
def test_look__of_a_server_that_is_busy_asks_it_for_no_more(
    app: Any, keys: Keys, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(keys.client, "eval", refuse)
    scripts = redis_look.Scripts()
    with pytest.raises(type(error)):
        redis_look.look(app, keys, ["eye-none"], time.time(), scripts)
    assert not scripts.are_refused


@pytest.mark.parametrize("is_plain", [False, True])
def test_look__reads_the_fronts_of_so_many(
    app: Any, keys: Keys, monkeypatch: pytest.MonkeyPatch, is_plain: bool
) -> None:
    monkeypatch.setattr(redis_look, "MOST_FRONTS", 1)
    queues = [f"eye-{uuid.uuid4()}" for _ in range(2)]
    for each in queues:
        app.send_task("shop.pay", queue=each)
    try:
        seen = redis_look.look(app, keys, queues, time.time(), redis_look.Scripts(are_refused=is_plain))
    finally:
        for each in queues:
            keys.client.delete(*keys.lists(each), f"_kombu.binding.{each}")
    assert [[(length, bool(end)) for length, end in seen.fronts[each]] for each in queues] == [
        [(1, True)],
        [(1, False)],
    ]


def test_look__leaves_out_queues_beyond_a_number(
    eye: Eye, app: Any, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_FOUND", 1)
    queues = [f"eye-{uuid.uuid4()}" for _ in range(3)]
    for each in queues:
        keys.client.sadd(f"_kombu.binding.{each}", keys.channel.sep.join(("key", "", each)))
    try:
        seen = eye.look()
    finally:
        keys.client.delete(*(f"_kombu.binding.{each}" for each in queues))
    assert len({*queues} & {each.name for each in seen.queues}) <= 1
    assert seen.more_queues >= 2


def test_look__of_keys_that_hold_something_else(app: Any, keys: Keys) -> None:
    queue = f"eye-{uuid.uuid4()}"
    keys.client.set(queue, "no list")
    try:
        seen = redis_look.look(app, keys, [queue], time.time())
    finally:
        keys.client.delete(queue)
    assert seen.other_type == {queue}


def test_look__does_not_fetch_a_long_message(app: Any, keys: Keys) -> None:
    queue = f"eye-{uuid.uuid4()}"
    app.send_task("shop.pay", args=("x" * 1_000_000,), queue=queue)
    try:
        seen = redis_look.look(app, keys, [queue], time.time())
    finally:
        keys.client.delete(*keys.lists(queue), f"_kombu.binding.{queue}")
    ((length, end),) = seen.fronts[queue]
    assert length == 1
    assert len(end) <= 2_000


def test_bound__has_queues_that_nobody_reads(app: Any, keys: Keys) -> None:
    queue = f"eye-{uuid.uuid4()}"
    app.send_task("shop.pay", queue=queue)
    try:
        found = Bound()
        found.step(keys)
    finally:
        keys.client.delete(*keys.lists(queue), f"_kombu.binding.{queue}")
    assert queue in found.queues
    assert not any(each.endswith(".pidbox") for each in found.queues)


def test_bound__keeps_what_it_knows_until_the_round_is_over(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [(b"5", b"a"), (b"0", b"b"), (b"7", b"b"), (b"0", b"b")]
    begins: list[str] = []

    def answer(script: str, number: int, cursor: str, *_: Any) -> Any:
        begins.append(cursor)
        following, queue = answers[len(begins) - 1]
        return [following, [[keys.channel.sep.encode().join((b"key", b"", queue))]]]

    monkeypatch.setattr(keys.client, "eval", answer)
    found, known = Bound(), []
    for _ in answers:
        found.step(keys)
        known.append("".join(sorted(found.queues)))
    assert begins == ["0", "5", "0", "7"]
    assert known == ["a", "ab", "ab", "b"]


def test_bound__finds_all_in_some_steps(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_bound, "_SCANS", 1)
    mark, found = f"eye-{uuid.uuid4()}", Bound()
    tables = [f"_kombu.binding.{mark}-{number}" for number in range(3_000)]
    with keys.client.pipeline(transaction=False) as pipeline:
        for table in tables:
            pipeline.sadd(table, f"key{keys.channel.sep}{keys.channel.sep}{table.rpartition('.')[2]}")
        pipeline.execute()
    try:
        steps = round_of(found, keys)
        assert steps > 1
        assert sum(each.startswith(mark) for each in found.queues) == 3_000
        monkeypatch.setattr(redis_bound, "_SCANS", 20)
    finally:
        keys.client.delete(*tables)
    round_of(found, keys)
    round_of(found, keys)
    assert not any(each.startswith(mark) for each in found.queues)


def round_of(found: Bound, keys: Keys) -> int:
    """Make steps to the end of the round; return how many."""
    for number in range(1, 500):
        found.step(keys)
        if found._cursor == "0":
            return number
    raise AssertionError("no end")


def test_bound__gives_replies_that_nobody_takes_an_end(keys: Keys) -> None:
    names = [f"{uuid.uuid4()}.reply.tasktools.pidbox" for _ in range(2)]
    for each in names:
        keys.client.lpush(each, "a reply")
    keys.client.expire(names[1], 7)
    try:
        round_of(Bound(), keys)
        assert 7 < keys.client.ttl(names[0]) <= replies.KEPT
        assert 0 < keys.client.ttl(names[1]) <= 7
    finally:
        keys.client.delete(*names)


def test_close__deletes_late_replies(eye: Eye, app: Any, keys: Keys) -> None:
    eye.look()
    own = eye._questions._replies
    assert own is not None
    keys.client.lpush(own.name, "a reply")
    eye.close()
    assert not keys.client.exists(own.name)


def test_look__connects_again_before_it_says_that_the_broker_is_gone(eye: Eye, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise redis.exceptions.ConnectionError("Connection closed by server.")

    assert eye.look().trouble is None
    monkeypatch.setattr(eye._connection.default_channel.pool, "get_connection", fail)
    assert eye.look().trouble is None


def test_look__asks_less_often_while_somebody_is_silent(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, asked, ended, silent = [0.0], list[float](), list[float](), [1]

    def ask_over(*_: Any) -> Answers:
        asked.append(clock[0])
        return Answers(said={}, failed={}, listening=1, silent=silent[0])

    monkeypatch.setattr(questions, "ask_over", ask_over)
    monkeypatch.setattr(replies.Replies, "await_late", lambda *_: ended.append(clock[0]))
    made = Questions(app, lambda: clock[0])
    connection: Any = SimpleNamespace(transport=SimpleNamespace(driver_type="redis"))
    for at in range(0, 120, 2):
        clock[0] = float(at)
        found = made.answers(connection)
        assert found is not None
        assert found.silent == 1
    assert asked == [0, 6, 16, 36, 66, 96]
    silent[0] = 0
    for at in range(126, 132, 2):
        clock[0] = float(at)
        made.answers(connection)
    assert asked[6:] == [126, 128, 130]
    assert ended == asked[:6]  # only then replies come late


def test_look__of_a_broker_that_refuses_remote_control_drops_the_connection_and_asks_a_minute_later(
    app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, asked = [0.0], list[Any]()

    def refuse(_: Any, connection: Any, *__: Any) -> Any:
        asked.append(connection)
        raise AccessRefused("ACCESS_REFUSED - write access to exchange")

    monkeypatch.setattr(questions, "ask_over", refuse)
    eye = Eye(app, lambda: clock[0])
    try:
        for at in (0, 2, 58, 61, 63):
            clock[0] = float(at)
            assert eye.look().trouble is None
            assert eye._connection not in asked
    finally:
        eye.close()
    assert len(asked) == 2


def test_depths__of_a_slow_broker_has_what_came_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on, calls = threading.Event(), list[Any]()

    def read(connection: Any, names: Any, into: dict[str, Depth]) -> None:
        calls.append(names)
        into["a"] = Depth(waiting=3, consumers=2, exists=True)
        goes_on.wait(60)

    monkeypatch.setattr(depth, "read", read)
    depths = Depths(object(), time.monotonic())
    try:
        assert depths.consumers(["a", "b"]) == {"a": 2}
        depths.read(["c"])
    finally:
        goes_on.set()
    assert (depths.of("a").waiting, depths.of("b").waiting, depths.is_complete) == (3, None, False)
    assert calls == [["a", "b"]]


def test_look__of_a_slow_broker_shows_what_came_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on, calls = threading.Event(), list[Any]()

    def read(connection: Any, names: Any, into: dict[str, Depth]) -> None:
        calls.append(names)
        into["a"] = Depth(waiting=3, consumers=2, exists=True)
        goes_on.wait(60)

    app = other("memory://")
    app.conf.task_queues = [kombu.Queue("a"), kombu.Queue("b")]
    monkeypatch.setattr(depth, "read", read)
    monkeypatch.setattr(depth, "is_amqp", lambda connection: True)
    monkeypatch.setattr(module, "ENOUGH", 0.0)
    eye = Eye(app)
    try:
        seen = eye.look()
    finally:
        goes_on.set()
    assert seen.trouble is None
    assert {each.name: (each.ready, each.consumers) for each in seen.queues if each.name in "ab"} == {
        "a": (3, 2),
        "b": (None, None),
    }
    assert seen.more_consumers == {"a": 2}
    assert len(calls) == 1  # the queues are declared once for both
    assert eye._connection is None  # a thread still uses it


def test_presence__takes_counts_that_are_known(app: Any) -> None:
    answers = Answers(said={}, failed={}, listening=None, silent=None)
    found = look_over(app, object(), answers, lambda queues: dict.fromkeys(queues, 2))
    assert found.more_consumers
    assert set(found.more_consumers.values()) == {2}


def test_look__of_a_broker_that_refuses(app: Any) -> None:
    seen = Eye(other(f"redis://127.0.0.1:{refusing_port()}/0")).look()
    assert seen.trouble is not None
    assert "cannot be reached" in seen.trouble.sentence
    assert seen.trouble.hint


def test_look__of_a_broker_that_is_silent_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[float] = []

    def connecting(broker: Any, limit: float, **more: Any) -> Any:
        limits.append(limit)
        return connect(broker, limit, **more)

    monkeypatch.setattr(eye_module, "connect", connecting)
    with silent_port() as port:
        seen = Eye(other(f"redis://127.0.0.1:{port}/0")).look()
    assert limits == [1.2]
    assert seen.trouble is not None
    assert "does not answer" in seen.trouble.sentence


def test_look__of_a_broker_without_keys() -> None:
    seen = Eye(other("memory://")).look()
    assert seen.trouble is None
    assert [each.name for each in seen.queues] == ["celery"]
    assert seen.minutes is None
    assert not seen.beat.is_known


def other(url: str) -> Any:
    return Celery("other", broker=url, set_as_current=False)


def test_look__of_a_transport_that_nobody_knows() -> None:
    seen = Eye(other("nosuch://h")).look()
    assert seen.trouble is not None
    assert "nosuch" in seen.trouble.sentence
