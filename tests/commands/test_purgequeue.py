"""purgequeue counts, asks, removes, and prints the true count."""

from __future__ import annotations

import contextlib
import io
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from amqp.exceptions import AccessRefused
from celery import Celery
from kombu import Queue

from tasktools.brokers import broker_of
from tasktools.brokers.keys import Keys
from tasktools.environment import interrupts
from tasktools.exceptions import Declined
from tasktools.management import purge_steps
from tasktools.queues.purge_redis import RedisPurger
from tests.conftest import Ran
from tests.hostile import HOSTILE, active
from tests.servers import Redis, started
from tests.support import refusing_port, silent_port

Run = Callable[..., Ran]

TOTAL, ECHO = "tests.site.tasks.total", "tests.site.tasks.echo"

pytestmark = pytest.mark.usefixtures("server_that_ends_with_the_suite")


@pytest.fixture
def keys(app: Any, queue: str) -> Iterator[Keys]:
    """The keys of the suite's broker, where the queue of the test is gone afterwards."""
    broker = broker_of(app)
    broker.prepare()
    with broker.publishing_connection(5) as connection:
        found = Keys(connection.default_channel)
        # What workers of other tests took and never acknowledged: they were killed.
        found.client.delete(found.full(found.channel.unacked_key), found.full(found.channel.unacked_index_key))
        yield found
        found.client.delete(*found.lists(queue))


@pytest.fixture
def send(app: Any, queue: str, keys: Keys) -> Callable[..., None]:
    """Send messages of tasks, by their names, to the queue of the test."""

    def send(*names: str, **options: Any) -> None:
        for place, name in enumerate(names):
            app.send_task(name, (place,), queue=queue, task_id=f"{place}", **options)

    return send


def left(keys: Keys, queue: str) -> list[str]:
    """Return the ids of what waits, the oldest first."""
    found = [json.loads(raw) for key in keys.lists(queue) for raw in keys.client.lrange(key, 0, -1)]
    return [each["headers"]["id"] for each in reversed(found)]


def test_purge__of_a_whole_queue_over_all_priorities(send: Any, keys: Keys, queue: str, run_command: Run) -> None:
    send(TOTAL, ECHO)
    send(TOTAL, priority=9)
    done = run_command("purgequeue", queue, "--noinput")
    heads, row = done.out.splitlines()
    assert heads.split() == ["QUEUE", "REMOVED", "LEFT"]
    assert row.split() == [queue, "3", "0"]
    assert (done.err, done.code) == ("", 0)
    assert not keys.client.exists(*keys.lists(queue))


def test_purge__of_one_task_leaves_the_others_in_their_order(
    send: Any, keys: Keys, queue: str, run_command: Run
) -> None:
    send(*([ECHO, TOTAL, TOTAL] * 50))
    done = run_command("purgequeue", queue, "--task", "site.tasks.total", "--noinput", "--json")
    assert json.loads(done.out) == {
        "dry_run": False,
        "task": TOTAL,
        "with_workers": 0,
        "queues": [{"queue": queue, "waiting": 150, "chosen": 100, "removed": 100, "left": 50}],
    }
    assert left(keys, queue) == [f"{each}" for each in range(0, 150, 3)]


def test_dry_run__removes_nothing(send: Any, keys: Keys, queue: str, run_command: Run) -> None:
    send(ECHO, TOTAL, TOTAL)
    done = run_command("purgequeue", queue, "--dry-run", "--task", "site.tasks.total")
    heads, row = done.out.splitlines()
    assert heads.split() == ["QUEUE", "TO", "REMOVE", "WAITING"]
    assert row.split() == [queue, "2", "3"]
    assert done.code == 0
    assert json.loads(run_command("purgequeue", queue, "--dry-run", "--json").out)["queues"] == [
        {"queue": queue, "waiting": 3, "chosen": 3, "removed": 0, "left": 3}
    ]
    assert left(keys, queue) == ["0", "1", "2"]


class Person(io.StringIO):
    """stdin of a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("answer", "removed"), [("y\n", True), ("YES\n", True), ("n\n", False), ("", False)])
def test_question__is_answered(
    send: Any, keys: Keys, queue: str, typed: Run, monkeypatch: pytest.MonkeyPatch, answer: str, removed: bool
) -> None:
    send(TOTAL, TOTAL)
    monkeypatch.setattr(sys, "stdin", Person(answer))
    done = typed("purgequeue", queue, "--task", "site.tasks.total")
    assert f'Remove 2 messages of "{TOTAL}" from "{queue}"? [y/N] ' in done.err
    assert (left(keys, queue) == [], done.code) == (removed, 0 if removed else 1)
    assert ("Nothing was removed." in done.err, bool(done.out)) == (not removed, removed)


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_question__if_nobody_can_answer(send: Any, keys: Keys, queue: str, typed: Run, words: list[str]) -> None:
    send(TOTAL)
    done = typed("purgequeue", queue, *words)
    assert (done.out, done.code, left(keys, queue)) == ("", 2, ["0"])
    assert "Nothing was removed: nobody is there to say yes." in done.err


def test_question__is_not_asked_if_there_is_nothing(app: Any, keys: Keys, typed: Run) -> None:
    """A queue of the settings may have no message yet."""
    keys.client.delete(*keys.lists("slow"))
    done = typed("purgequeue", "slow")
    assert (done.out.splitlines()[1].split(), done.err, done.code) == (["slow", "0", "0"], "", 0)


def test_queue__that_is_not_there(send: Any, keys: Keys, queue: str, typed: Run) -> None:
    send(TOTAL)
    done = typed("purgequeue", queue, "slo", "--noinput")
    assert (done.out, done.code, left(keys, queue)) == ("", 4, ["0"])
    assert done.err.startswith('There is no queue "slo" at redis+socket://')
    assert "Hint: did you mean slow" in done.err


def test_queue__that_is_not_there__the_hint_has_no_internal_names(
    queue: str, typed: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    internal = {"celery@vm.celery.pidbox", "7.reply.celery.pidbox", "celeryev.7", "mails"}
    monkeypatch.setattr("tasktools.queues.purge_redis.RedisPurger.bound", lambda self: internal)
    hint = typed("purgequeue", "zzzzzz", "--noinput").err.splitlines()[1]
    assert hint.startswith("Hint: there are: ")
    assert "mails" in hint
    assert not any(name in hint for name in internal - {"mails"})


@pytest.mark.parametrize("kind", ["list", "string", "hash"])
def test_queue__a_key_of_another_program_is_none(keys: Keys, queue: str, typed: Run, kind: str) -> None:
    {
        "list": lambda: keys.client.rpush(queue, "precious"),
        "string": lambda: keys.client.set(queue, "precious"),
        "hash": lambda: keys.client.hset(queue, "precious", "1"),
    }[kind]()
    done = typed("purgequeue", queue, "--noinput")
    assert done.code == 4
    assert done.err.startswith(f'The key "{queue}" at ')
    assert f" is a {kind}, not a queue." in done.err
    assert keys.client.exists(queue)


def test_hint__names_no_garbage_and_no_queue_of_celery_s_own(keys: Keys, queue: str, typed: Run) -> None:
    table = keys.full("_kombu.binding.purge-garbage")
    names = (f"{queue}-good", f"{queue}.celery.pidbox", f"celeryev.{queue}")
    keys.client.sadd(table, *(f"\x06\x16\x06\x16{name}" for name in names), f"{queue}\x1b", b"\xff")
    try:
        done = typed("purgequeue", f"{queue}-god", "--noinput")
    finally:
        keys.client.delete(table)
    assert f"Hint: did you mean {queue}-good" in done.err
    assert [each for each in ("pidbox", "celeryev", "\\x1b", "\\udcff") if each in done.err] == [], done.err


def test_queue__that_nobody_has_declared(send: Any, keys: Keys, queue: str, typed: Run) -> None:
    send(TOTAL)
    keys.client.delete(keys.full(f"_kombu.binding.{queue}"))
    assert typed("purgequeue", queue, "--noinput").code == 0
    assert left(keys, queue) == []


def test_task__that_only_messages_have(send: Any, keys: Keys, queue: str, typed: Run) -> None:
    send("shop.gone", TOTAL)
    assert typed("purgequeue", queue, "--task", "gone", "--noinput").code == 0
    assert left(keys, queue) == ["1"]


def test_task__that_nobody_knows(send: Any, keys: Keys, queue: str, typed: Run) -> None:
    send(TOTAL)
    done = typed("purgequeue", queue, "--task", "totl", "--noinput")
    assert (done.out, done.code, left(keys, queue)) == ("", 2, ["0"])
    assert 'No task is called "totl".\nHint: did you mean ' in done.err
    assert TOTAL in done.err


def test_task__of_protocol_1(app: Any, send: Any, keys: Keys, queue: str, typed: Run) -> None:
    app.conf.task_protocol, before = 1, app.conf.task_protocol
    try:
        app.send_task(TOTAL, (1,), queue=queue)
    finally:
        app.conf.task_protocol = before
    send(ECHO)
    assert typed("purgequeue", queue, "--task", "site.tasks.total", "--noinput").code == 0
    assert left(keys, queue) == ["0"]


def test_messages__that_are_none_of_celery_s_stay(send: Any, keys: Keys, queue: str, typed: Run) -> None:
    send(TOTAL)
    strange = [b"\xff\x00", b"[]", b"[" * 100_000, b'{"headers": null}', b'{"headers": {"task": {}}, "body": 1}']
    keys.client.rpush(queue, *strange)
    done = typed("purgequeue", queue, "--task", "site.tasks.total", "--noinput")
    assert (done.out.splitlines()[1].split()[1:], done.code) == (["1", "5"], 0)
    assert keys.client.lrange(queue, 0, -1) == strange


def test_names__that_are_hostile_are_shown_harmlessly(send: Any, queue: str, keys: Keys, typed: Run) -> None:
    name = f"shop.{HOSTILE}"
    send(name)
    done = typed("purgequeue", queue, "--task", name, "--dry-run")
    assert (done.code, active(done.out + done.err)) == (0, [])
    none = typed("purgequeue", HOSTILE, "--noinput")
    assert (none.code, active(none.err.replace("\n", ""))) == (4, []), none.err


def test_messages__of_workers_are_named(send: Any, keys: Keys, queue: str, typed: Run) -> None:
    send(TOTAL)
    unacked = keys.full(keys.channel.unacked_key)
    keys.client.hset(unacked, "purge-test", "[]")
    try:
        done = typed("purgequeue", queue, "--noinput")
    finally:
        keys.client.hdel(unacked, "purge-test")
    text = "1 message of this broker is with a worker (running, reserved, or held for later): not touched.\n"
    assert (done.err, done.code) == (text, 0)


@pytest.mark.parametrize("words", [["--noinput"], ["--noinput", "--json"], ["--dry-run", "--task", "site.tasks.total"]])
def test_broker__that_does_not_answer(elsewhere: Any, typed: Run, words: list[str]) -> None:
    with silent_port() as silent:
        for port in (refusing_port(), silent):
            app = elsewhere(broker_url=f"redis://127.0.0.1:{port}/0")
            began = time.monotonic()
            done = typed("purgequeue", "celery", "-A", app, *words)
            assert (done.out, done.code) == ("", 69)
            assert time.monotonic() - began < 30
            assert f"127.0.0.1:{port}" in done.err


def test_broker__that_is_lost_in_the_middle(
    send: Any, keys: Keys, queue: str, typed: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was removed before is printed."""
    send(*[TOTAL] * 20)
    real, calls = RedisPurger._step, []

    def lost(*args: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise redis.exceptions.ConnectionError("gone")
        return real(*args)

    monkeypatch.setattr(RedisPurger, "_step", lost)
    done = typed("purgequeue", queue, "--task", TOTAL, "--noinput")
    assert (done.out, done.code, len(left(keys, queue))) == ("", 69, 16)
    assert "\nBefore that, 4 messages have been removed.\nWhat the last step has removed is not known.\n" in done.err


def test_purge__a_second_signal_ends_a_step(send: Any, queue: str, typed: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "_AT_ONCE", 0)

    def blocked(self: Any, *_: Any) -> Iterator[int]:
        yield 1
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        pytest.fail("It goes on.")

    send(TOTAL, TOTAL)
    monkeypatch.setattr(RedisPurger, "remove", blocked)
    done = typed("purgequeue", queue, "--task", TOTAL, "--noinput")
    said = "1 message has been removed. What the last step has removed is not known."
    assert (done.out, done.err.splitlines()[-1], done.code) == ("", said, 130)


def test_purge__that_others_disturb_all_the_time_says_so(
    send: Any, queue: str, typed: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disturbed(self: Any, *_: Any) -> Iterator[int]:
        self.is_sure = False
        yield 1

    send(TOTAL, TOTAL)
    monkeypatch.setattr(RedisPurger, "remove", disturbed)
    done = typed("purgequeue", queue, "--task", TOTAL, "--noinput")
    assert (done.out.splitlines()[1].split(), done.code) == ([queue, "1", "2"], 1)
    assert f'Others removed messages from "{queue}" all the time: some of this task may be left.' in done.err


@pytest.fixture
def full(tmp_path: Any, elsewhere: Any) -> Iterator[tuple[str, Any]]:
    """A Redis with 300 messages of two tasks, which takes no more; the name of an app for -A, and a client."""
    with started(Redis, tmp_path / "redis") as server, server.client() as client:
        name = elsewhere(broker_url=server.url)
        shop = sys.modules[name.partition(":")[0]].app
        for place in range(300):
            shop.send_task(("shop.drop", "shop.keep")[place % 2], (place,), task_id=f"{place}")
        client.config_set("maxmemory", 1)
        yield name, client


def test_full_server__is_emptied(full: tuple[str, Any], typed: Run) -> None:
    name, client = full
    done = typed("purgequeue", "celery", "--noinput", "-A", name)
    assert (done.out.splitlines()[1].split(), done.code, client.llen("celery")) == (["celery", "300", "0"], 0, 0), (
        done.err
    )


def test_full_server__loses_the_messages_of_one_task(full: tuple[str, Any], typed: Run) -> None:
    name, client = full
    done = typed("purgequeue", "celery", "--task", "shop.drop", "--noinput", "-A", name)
    assert (done.out.splitlines()[1].split(), done.code) == (["celery", "150", "150"], 0), done.err
    ids = [int(json.loads(raw)["headers"]["id"]) for raw in reversed(client.lrange("celery", 0, -1))]
    assert ids == list(range(1, 300, 2))


@pytest.mark.parametrize("words", [[], ["--task", TOTAL]])
def test_server__that_refuses_has_removed_nothing(
    send: Any, keys: Keys, queue: str, typed: Run, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    def refuse(*_: Any) -> Any:
        raise redis.exceptions.ReadOnlyError("You can't write against a read only replica.")

    send(TOTAL)
    monkeypatch.setattr(redis.client.Pipeline, "unlink", refuse)
    monkeypatch.setattr(type(keys.client), "eval", refuse)
    done = typed("purgequeue", queue, *words, "--noinput")
    assert (done.code, left(keys, queue)) == (69, ["0"])
    assert "a replica" in done.err
    assert "is not known" not in done.err


def test_progress__is_said_when_it_takes_long(
    send: Any, queue: str, typed: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(*[TOTAL] * 5)
    monkeypatch.setattr(purge_steps, "PERIOD", 0)
    done = typed("purgequeue", queue, "--task", TOTAL, "--noinput")
    told = done.err.splitlines()
    assert told[:2] == [f'Counting what waits in "{queue}": {n} so far.' for n in (4, 5)]
    assert told[2:] == [f'Removing from "{queue}". {n} messages have been removed.' for n in (4, 5)]


def test_full_disk__says_what_was_removed(send: Any, keys: Keys, queue: str, typed: Run) -> None:
    send(TOTAL)
    with open("/dev/full", "w") as stream, contextlib.redirect_stdout(stream):
        done = typed("purgequeue", queue, "--noinput")
    assert (done.code, left(keys, queue)) == (74, [])
    assert "1 message has been removed." in done.err


@pytest.fixture
def filed(elsewhere: Any, tmp_path: Any) -> tuple[str, Any]:
    """An app whose broker keeps messages in files, and its name for -A."""
    for folder in ("data", "control", "processed"):
        (tmp_path / folder).mkdir()
    options = {"data_folder_in": str(tmp_path / "data"), "data_folder_out": str(tmp_path / "data")}
    options |= {"control_folder": str(tmp_path / "control"), "processed_folder": str(tmp_path / "processed")}
    name = elsewhere(broker_url="filesystem://", broker_transport_options=options, task_queues=[Queue("filed")])
    return name, sys.modules[name.partition(":")[0]].app


def test_other_transport__is_emptied_as_a_whole(filed: tuple[str, Celery], typed: Run) -> None:
    name, other = filed
    for n in range(3):
        other.send_task("shop.add", (n,), queue="filed")
    done = typed("purgequeue", "filed", "--noinput", "--json", "-A", name)
    assert json.loads(done.out)["queues"] == [{"queue": "filed", "waiting": 3, "chosen": 3, "removed": 3, "left": 0}], (
        done.err
    )
    assert json.loads(done.out)["with_workers"] is None
    assert typed("purgequeue", "none", "--noinput", "-A", name).code == 4


def test_other_transport__refuses_one_task(filed: tuple[str, Celery], typed: Run) -> None:
    name, other = filed
    other.send_task("shop.add", (1,), queue="filed")
    done = typed("purgequeue", "filed", "--task", "shop.add", "--noinput", "-A", name)
    assert (done.out, done.code) == ("", 2)
    assert done.err.startswith('This kind of broker ("filesystem") can only empty a whole queue, ')
    assert "1" in typed("purgequeue", "filed", "--dry-run", "-A", name).out


@pytest.mark.parametrize(
    "error",
    [Declined("Another purge has held the messages."), AccessRefused("ACCESS_REFUSED - read access is denied")],
)
def test_remove__that_is_refused_has_removed_nothing(
    send: Any, queue: str, typed: Run, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Nothing is in doubt then, so nothing is said of it."""
    send(TOTAL)

    def refuse(*_: Any) -> Iterator[int]:
        raise error
        yield 0

    monkeypatch.setattr(RedisPurger, "remove", refuse)
    done = typed("purgequeue", queue, "--task", TOTAL, "--noinput")
    assert done.code in (1, 69)
    assert "Another purge" in done.err or "read access is denied" in done.err
    assert "not known" not in done.err
