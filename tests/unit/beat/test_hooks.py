"""Code of the project, and of libraries, that comes in when a tick is sent; and a server that refuses something."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import celery.beat
import pytest
import redis
from celery import Task
from celery.signals import before_task_publish

from tasktools import conf
from tasktools.beat.scheduler import AGAIN, Scheduler
from tasktools.publishing import batch
from tests.brokers.bulk import DATABASE
from tests.unit.beat.conftest import Beats, every

pytestmark = pytest.mark.usefixtures("server_that_ends_with_the_suite")

Make = Callable[..., Beats]
Forward = Callable[[float], None]

#: Three entries, of which the one in the middle has a task of its own.
SCHEDULE = {"a": every(60, "a"), "own": every(60, "own", task="shop.own"), "z": every(60, "z")}


def with_own(site: Beats, base: type[Task]) -> Scheduler:
    """Return a beat of an app whose task "shop.own" has this class."""

    @site.app.task(name="shop.own", shared=False, base=base)
    def own(x: str) -> None: ...

    beat = site.start()
    site.go(beat)
    return beat


@pytest.fixture
def receiver() -> Iterator[Callable[[Callable[..., None]], None]]:
    """Connect a receiver of before_task_publish for the test."""
    connected: list[Any] = []

    def connect(function: Callable[..., None]) -> None:
        before_task_publish.connect(function, weak=False)
        connected.append(function)

    yield connect
    for each in connected:
        before_task_publish.disconnect(each)


def test_messages__say_when_they_were_sent(beats: Make, forward: Forward) -> None:
    site = beats(SCHEDULE)
    beat = with_own(site, Task)
    forward(61)
    begin = int(time.time())
    site.go(beat)
    messages: Any = site.client.lrange("celery", 0, -1)
    stamps = [json.loads(each)["properties"]["timestamp"] for each in messages]
    assert len(stamps) == 3
    assert all(begin <= each <= time.time() for each in stamps)


def test_receiver_that_raises_for_one_task__all_are_sent(
    beats: Make, forward: Forward, receiver: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Celery logs what a receiver raises, and sends the task."""

    def refuse(sender: str, headers: dict[str, Any], **_: Any) -> None:
        headers["seen"] = sender
        if sender == "shop.own":
            raise LookupError("no tenant")

    receiver(refuse)
    site = beats(SCHEDULE)
    beat = with_own(site, Task)
    forward(61)
    site.go(beat)
    assert sorted(site.sent()) == ["a", "own", "z"]
    assert {each["seen"] for each in site.headers()} == {"shop.add", "shop.own"}
    assert any("no tenant" in each for each in caplog.messages)


def test_apply_async_that_raises__the_others_are_sent(
    beats: Make, forward: Forward, caplog: pytest.LogCaptureFixture
) -> None:
    class Refusing(Task):
        abstract = True

        def apply_async(self, *args: Any, **options: Any) -> Any:
            raise LookupError("no tenant")

    site = beats(SCHEDULE)
    beat = with_own(site, Refusing)
    for _ in range(2):
        forward(61)
        site.go(beat)
    assert sorted(site.sent()) == ["a", "a", "z", "z"]
    [said] = {each for each in caplog.messages if 'the entry "own" could not be sent' in each}
    assert "no tenant" in said
    assert site.kept("own")["count"] == 2
    assert beat.leadership.in_charge


def test_apply_async_that_calls_super__is_called_and_stays_in_the_transaction(
    beats: Make, forward: Forward, caplog: pytest.LogCaptureFixture
) -> None:
    class Tagging(Task):
        abstract = True

        def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
            headers = {**(options.pop("headers", None) or {}), "tenant": "7"}
            return super().apply_async(args, kwargs, headers=headers, **options)

    site = beats(SCHEDULE)
    beat = with_own(site, Tagging)
    forward(61)
    site.pass_on()
    site.go(other := site.start())  # it takes charge and sends: what the first one makes must not be sent
    beat.tick()
    assert sorted(site.sent()) == ["a", "own", "z"]
    [headers] = [each for each in site.headers() if each["task"] == "shop.own"]
    assert (headers["tenant"], headers["celery_beat_task"]) == ("7", True)
    assert site.kept("own")["id"] == headers["id"]
    assert not [each for each in caplog.messages if "apply_async" in each]
    assert other.leadership.in_charge


def test_apply_async_that_declines__is_reported_once(
    beats: Make, forward: Forward, caplog: pytest.LogCaptureFixture
) -> None:
    class Declining(Task):
        abstract = True

        def apply_async(self, *args: Any, **options: Any) -> Any:
            return None

    site = beats(SCHEDULE)
    beat = with_own(site, Declining)
    for _ in range(3):
        forward(61)
        site.go(beat)
    assert sorted(site.sent()) == ["a"] * 3 + ["z"] * 3
    said = [each for each in caplog.messages if "apply_async" in each]
    assert said == ['beat: the apply_async of the task "shop.own" has sent nothing.']
    assert site.kept("own")["count"] == 3


def test_apply_async_over_a_connection_of_its_own__is_reported_once(
    beats: Make, forward: Forward, caplog: pytest.LogCaptureFixture
) -> None:
    class Elsewhere(Task):
        abstract = True

        def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
            options.pop("producer")
            with self.app.connection_for_write() as connection, self.app.amqp.Producer(connection) as producer:
                return super().apply_async(args, kwargs, producer=producer, **options)

    site = beats(SCHEDULE)
    beat = with_own(site, Elsewhere)
    for _ in range(2):
        forward(61)
        site.go(beat)
    assert sorted(site.sent()) == ["a"] * 2 + ["own"] * 2 + ["z"] * 2
    said = [each for each in caplog.messages if "apply_async" in each]
    assert said == [
        'beat: the apply_async of the task "shop.own" sends over a connection of its own: after a failover, its tick may be '
        "sent twice."
    ]


@pytest.mark.parametrize("fails", ["the project", "the server"])
def test_entry_that_fails__the_others_are_not_made_again(beats: Make, forward: Forward, fails: str) -> None:
    """What the project does in apply_async must not happen twice because of another entry."""
    called: list[str] = []

    class Counting(Task):
        abstract = True

        def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
            called.append(args[0])
            return super().apply_async(args, kwargs, **options)

    bad = every(60, "bad", options={"queue": "odd"}) if fails == "the server" else every(60, object())
    site = beats({"own": SCHEDULE["own"], "bad": bad, "z": every(60, "last", task="shop.own")})
    beat = with_own(site, Counting)
    site.client.set("odd", "no list")
    forward(61)
    site.go(beat)
    assert sorted(site.sent()) == ["last", "own"]
    assert sorted(called) == ["last", "own"]


def test_patched_apply_entry__is_called_and_its_headers_arrive(
    beats: Make, forward: Forward, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So do the crons of sentry-sdk, which unpack the positional arguments."""
    theirs = celery.beat.Scheduler.apply_entry
    checked: list[str] = []

    def apply_entry(*args: Any, **kwargs: Any) -> Any:
        scheduler, entry = args
        assert scheduler.app is not None
        headers = entry.options.pop("headers", {})
        headers.update({"sentry-monitor-check-in-id": str(len(checked))})
        entry.options["headers"] = headers
        checked.append(entry.name)
        return theirs(*args, **kwargs)

    monkeypatch.setattr(celery.beat.Scheduler, "apply_entry", apply_entry)
    site = beats({"a": every(60, "a")})
    beat = site.start()
    site.go(beat)
    for _ in range(2):
        forward(61)
        site.go(beat)
    assert checked == ["a", "a"]
    assert [each["sentry-monitor-check-in-id"] for each in site.headers()] == ["0", "1"]


def test_patched_apply_entry_that_fails__the_others_are_sent(
    beats: Make, forward: Forward, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    theirs = celery.beat.Scheduler.apply_entry

    def apply_entry(self: Any, entry: Any, producer: Any = None) -> Any:
        if entry.name == "own":
            raise ConnectionError("no monitor")
        return theirs(self, entry, producer=producer)

    monkeypatch.setattr(celery.beat.Scheduler, "apply_entry", apply_entry)
    site = beats(SCHEDULE)
    beat = with_own(site, Task)
    forward(61)
    site.go(beat)
    assert sorted(site.sent()) == ["a", "z"]
    assert 'beat: the entry "own" cannot be sent: ConnectionError: no monitor.' in caplog.messages


def test_task_that_is_not_registered__is_sent_by_its_name(beats: Make, forward: Forward) -> None:
    site = beats({"theirs": every(60, "x", task="other.project", options={"queue": "theirs", "priority": 3})})
    beat = site.start()
    site.go(beat)
    forward(61)
    site.go(beat)
    [headers] = site.headers("theirs\x06\x163")
    assert (headers["task"], headers["celery_beat_task"]) == ("other.project", True)


def test_queue_that_is_no_list__the_others_are_sent_and_it_is_reported(
    beats: Make, forward: Forward, caplog: pytest.LogCaptureFixture
) -> None:
    site = beats({"a": every(60, "a"), "odd": every(60, "odd", options={"queue": "odd"})})
    beat = site.start()
    site.go(beat)
    site.client.set("odd", "no list")
    forward(61)
    for _ in range(3):
        site.go(beat)
    assert site.sent() == ["a"]
    assert any('the entry "odd" could not be sent: ' in each and "WRONGTYPE" in each for each in caplog.messages)
    assert site.kept("a")["count"] == 1
    site.client.delete("odd")
    forward(61)
    site.go(beat)
    assert site.sent() == ["a", "a"]
    assert site.sent("odd") == ["odd"]


def test_transaction_executed_in_part__what_was_sent_is_not_sent_again(
    beats: Make, forward: Forward, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A queue becomes something else after kombu has looked at it. The server executes what it can of a transaction."""
    site = beats({"a": every(60, "a"), "odd": every(60, "odd", options={"queue": "odd"})})
    beat = site.start()
    site.go(beat)
    forward(61)
    theirs = batch.transact

    def later(*args: Any) -> None:
        site.client.set("odd", "no list")
        theirs(*args)

    monkeypatch.setattr(batch, "transact", later)
    beat.tick()
    monkeypatch.setattr(batch, "transact", theirs)
    assert any('What was for "odd" was not sent, the rest was.' in each for each in caplog.messages)
    for _ in range(3):
        site.go(beat)
    assert site.sent() == ["a"]
    assert site.kept("a")["count"] == 1


def test_only_queue_is_no_list__what_was_due_is_sent_when_it_is_mended(beats: Make, forward: Forward) -> None:
    site = beats({"odd": every(60, "odd", options={"queue": "odd"})})
    beat = site.start()
    site.go(beat)
    site.client.set("odd", "no list")
    forward(61)
    for _ in range(3):
        assert beat.tick() in (0, AGAIN)
    assert site.kept("odd")["count"] == 0
    site.client.delete("odd")
    site.go(beat)
    assert site.sent("odd") == ["odd"]
    assert site.kept("odd")["count"] == 1


def refused(site: Beats, client: redis.Redis, rules: list[str]) -> Beats:
    """Have the beats of a site use a user with these rules."""
    client.acl_setuser("beat", enabled=True, reset=True, passwords=["+secret"])
    client.execute_command("ACL", "SETUSER", "beat", *rules)
    site.app.conf.broker_url = f"redis+socket://beat:secret@{conf.data_dir() / 'valkey.sock'}?virtual_host={DATABASE}"
    return site


KEY = "beat: The broker's user may not"


@pytest.mark.parametrize(
    ("rules", "sends", "sentence"),
    [
        (["~*", "&*", "+@all"], True, ""),
        (["~*", "&*", "+@all", "-time"], True, ""),
        (["~*", "&*", "+@all", "-blpop", "-zadd"], True, ""),
        (["~*", "&*", "+@all", "-rename"], True, ""),
        (["~celery*", "~_kombu*", "~unacked*", "&*", "+@all"], False, "tasktools:beat:"),
        (["~*", "&*", "+@all", "-set"], False, "'set' command"),
        (["~*", "&*", "+@all", "-watch"], False, "watch"),
    ],
    ids=["all", "no TIME", "no BLPOP", "no RENAME", "no key", "no SET", "no WATCH"],
)
def test_user_of_the_broker_with_few_rights(
    beats: Make,
    forward: Forward,
    client: redis.Redis,
    caplog: pytest.LogCaptureFixture,
    rules: list[str],
    sends: bool,
    sentence: str,
) -> None:
    site = refused(beats({"a": every(60, "a")}), client, rules)
    try:
        beat = site.start()
        beat.tick()
        beat.tick()
        forward(61)
        beat.tick()
        beat.tick()
        assert site.sent() == (["a"] if sends else [])
        errors = [
            each for each in caplog.messages if "NoPermission" in each or "permission" in each or "may not" in each
        ]
        assert bool(errors) is not sends
        if errors:
            assert sentence in errors[0]
            assert "Hint: " in errors[0]
            assert "secret" not in errors[0]
            assert len(errors) == 1
    finally:
        client.acl_deluser("beat")
