"""Leases in a Redis or Valkey and in a file; those of RabbitMQ are in tests/e2e/test_queue_lease.py. One contract for all."""

from __future__ import annotations

import errno
import math
import os
import signal
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from redis.exceptions import NoPermissionError, ResponseError

from tasktools import conf
from tasktools.brokers import broker_of, file_lease, redis_lease
from tasktools.brokers.file_lease import MARK, FileLease
from tasktools.brokers.keys import Keys
from tasktools.brokers.lease import Holder
from tasktools.brokers.redis_lease import LONGEST_WAIT, RedisLease, holder_of, standing_by
from tasktools.exceptions import Unreachable
from tests.brokers.lease_contract import *  # noqa: F403 - the tests of every lease
from tests.brokers.lease_contract import SECONDS, Place, start
from tests.brokers.lease_process import open_lease
from tests.support import Site, refusing_port, silent_port, wait_for

pytestmark = pytest.mark.usefixtures("server_that_ends_with_the_suite")

PREFIX = "site:"


@pytest.fixture(params=["redis", "prefix", "file"])
def place(request: pytest.FixtureRequest, tmp_path: Path, client: Any) -> Place:
    if request.param == "file":
        return {"path": str(tmp_path)}
    return {"url": url(), "options": {"global_keyprefix": PREFIX} if request.param == "prefix" else {}}


def url() -> str:
    return f"redis+socket://{conf.data_dir() / 'valkey.sock'}?virtual_host=8"


@pytest.fixture
def client(app: Any) -> Iterator[Any]:
    """A client that sees all keys of the database of these tests, on the private Valkey."""
    app.connection_for_write().default_channel.client.ping()  # starts it
    with redis.Redis(unix_socket_path=str(conf.data_dir() / "valkey.sock"), db=8) as made:
        yield made


class Channel:
    """What Keys reads of kombu's channel."""

    def __init__(self, client: Any, prefix: str = "") -> None:
        self.pool = client.connection_pool
        self.global_keyprefix = prefix


@pytest.fixture
def keys(client: Any) -> Keys:
    return Keys(Channel(client))


@pytest.fixture
def lease(keys: Keys, name: str) -> RedisLease:
    return RedisLease(keys, name, "me")


def ends_within(client: Any, key: str, low: float, high: float) -> bool:
    return low * 1000 < client.pttl(key) <= high * 1000


# --- Redis: the time of a lease


def test_redis__the_lease_lasts_as_long_as_it_was_asked_for_last(client: Any, lease: RedisLease, name: str) -> None:
    lease.hold("one", 30)
    assert ends_within(client, name, 25, 30)
    lease.hold("one", 60)
    assert ends_within(client, name, 55, 60)
    lease.hold("one", 2.5)
    assert ends_within(client, name, 0, 2.5)
    assert client.get(name) == b"me one"


def test_redis__the_other_s_seconds_are_those_that_are_left(keys: Keys, lease: RedisLease, name: str) -> None:
    RedisLease(keys, name, "other").hold("one", 5.5)
    held = lease.hold("two", 60)
    assert held is not None
    assert 4 < held.seconds <= 5.5
    assert lease.terms == 0


@pytest.mark.parametrize("given_up", [True, False])
def test_redis__a_lease_that_has_passed_to_another_is_lost(
    client: Any, keys: Keys, lease: RedisLease, name: str, given_up: bool
) -> None:
    lease.hold("one", 5)
    client.delete(name)
    other = RedisLease(keys, name, "other")
    other.hold("two", 5)
    held = lease.hold("one", 60)
    assert held is not None
    assert held.text == "two"
    if given_up:
        lease.give_up("one")
    assert client.get(name) == b"other two"


def test_redis__a_lease_that_has_ended_and_is_free_begins_another_term(
    client: Any, lease: RedisLease, name: str
) -> None:
    lease.hold("one", 5)
    client.delete(name)
    assert lease.hold("again", 5) is None
    assert lease.terms == 2
    assert client.get(name) == b"me again"


def test_redis__a_token_that_begins_as_another_is_not_that_one(keys: Keys, name: str) -> None:
    RedisLease(keys, name, "me").hold("one", 5)
    assert RedisLease(keys, name, "m").hold("two", 5) is not None
    assert RedisLease(keys, name, "me2").hold("two", 5) is not None


def test_redis__the_answer_to_the_taking_was_lost(client: Any, lease: RedisLease, name: str) -> None:
    client.set(name, "me one", px=500)
    assert lease.hold("two", 30) is None
    assert ends_within(client, name, 25, 30)
    assert lease.terms == 1
    assert client.get(name) == b"me one"


def test_redis__ends_between_the_look_and_the_keeping(
    client: Any, lease: RedisLease, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own token is found, and gone when it is kept: another process may have it by now."""
    client.set(name, "me one", px=60_000)
    ask = lease._ask

    def and_end(*commands: Any, **options: Any) -> list[Any]:
        answers = ask(*commands, **options)
        if ["PTTL", name] in commands and answers[0] == b"me one":
            client.set(name, "other two", px=60_000)
        return answers

    monkeypatch.setattr(lease, "_ask", and_end)
    held = lease.hold("one", 5)
    assert held is not None
    assert held.text == "two"


def test_redis__two_that_have_both_found_it_free(
    client: Any, lease: RedisLease, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = lease._look

    def and_take() -> Any:
        found = taken()
        client.set(name, "other two", nx=True, px=60_000)
        return found

    monkeypatch.setattr(lease, "_look", and_take)
    held = lease.hold("one", 5)
    assert held is not None
    assert held.text == "two"
    assert lease.terms == 0


def test_redis__the_time_is_the_server_s(client: Any, lease: RedisLease, monkeypatch: pytest.MonkeyPatch) -> None:
    assert lease.server_time is None
    monkeypatch.setattr(redis_lease, "TIME_AGAIN", 0)
    for asked in (lease.ask_time, lambda: lease.hold("one", 5), lambda: lease.hold("one", 5)):
        lease.server_time = None
        before, began = client.time(), time.monotonic()
        asked()
        ended = time.monotonic()
        assert lease.server_time is not None
        assert 0 <= lease.server_time.unix - (before[0] + before[1] / 1e6) < 60
        assert began <= lease.server_time.monotonic <= ended
        assert 0 < lease.server_time.within <= (ended - began) / 2


# --- Redis: something else at the key


def test_redis__the_time_is_not_asked_each_time(lease: RedisLease) -> None:
    lease.hold("one", 5)
    asked = lease.server_time
    assert lease.hold("one", 5) is None
    assert lease.server_time is asked


@pytest.mark.parametrize("unable", ["unknown command 'GETEX'", "NOPERM"])
def test_redis__is_kept_by_two_commands_where_one_is_not_there(
    client: Any, lease: RedisLease, name: str, monkeypatch: pytest.MonkeyPatch, unable: str
) -> None:
    """Before Redis 6.2, and for a user who may not use it."""
    ask, used = lease._ask, []

    def without(*commands: Any, **options: Any) -> list[Any]:
        used.append([command[0] for command in commands])
        if commands[0][0] == "GETEX":
            raise NoPermissionError(unable) if unable == "NOPERM" else ResponseError(unable)
        return ask(*commands, **options)

    monkeypatch.setattr(lease, "_ask", without)
    lease.hold("one", 0.5)
    used.clear()
    assert lease.hold("one", 60) is None
    assert lease.hold("one", 60) is None
    assert used == [["GETEX"], ["GET", "PEXPIRE"], ["GET", "PEXPIRE"]]
    assert client.pttl(name) > 50_000


def test_redis__another_error_of_that_command_is_an_error(lease: RedisLease, monkeypatch: pytest.MonkeyPatch) -> None:
    lease.hold("one", 5)

    def refuse(*_: Any, **__: Any) -> list[Any]:
        raise ResponseError("READONLY")

    monkeypatch.setattr(lease, "_ask", refuse)
    with pytest.raises(ResponseError, match="READONLY"):
        lease.hold("one", 5)


@pytest.mark.parametrize(("kind", "holding"), [("list", True), ("list", False), ("text", False)])
def test_redis__what_is_no_lease_is_moved_aside(
    client: Any, lease: RedisLease, name: str, kind: str, holding: bool
) -> None:
    if holding:
        lease.hold("one", 5)
        client.delete(name)
    if kind == "list":
        client.rpush(name, "mine")
    else:
        client.set(name, "a text of somebody")
    assert lease.hold("one", 5) is None
    assert lease.foreign == f'the key "{name}" held something else, which is now at "{name}:moved-aside"'
    assert client.get(name) == b"me one"
    assert client.type(f"{name}:moved-aside") == (b"list" if kind == "list" else b"string")
    assert client.ttl(f"{name}:moved-aside") == -1
    client.delete(f"{name}:moved-aside")


def test_redis__a_text_in_place_of_its_own_lease_is_somebody_s_until_that_would_end(
    client: Any, lease: RedisLease, name: str
) -> None:
    lease.hold("one", 1.5)
    client.set(name, "a text of somebody")
    held = lease.hold("one", 1.5)
    assert held is not None
    assert held.text == "text of somebody"
    wait_for(lambda: lease.hold("one", 1.5) is None)
    assert lease.terms == 2


@pytest.mark.parametrize("part", ["standing-by", "given-up"])
def test_redis__something_else_at_a_key_of_those_that_wait(
    client: Any, lease: RedisLease, name: str, part: str
) -> None:
    """It got a time to expire, and was lost."""
    key = f"{name}:{part}"
    client.set(key, "something")
    lease.wait("one", 0.05)
    assert client.get(f"{key}:moved-aside") == b"something"
    assert client.ttl(f"{key}:moved-aside") == -1
    assert lease.foreign == f'the key "{key}" held something else, which is now at "{key}:moved-aside"'
    lease.wait("one", 0.05)
    assert client.type(f"{name}:standing-by") == b"zset"
    client.delete(f"{key}:moved-aside")


def test_redis__something_else_where_the_lease_is_given_up(client: Any, lease: RedisLease, name: str) -> None:
    """It got a time to expire of one second, and was lost."""
    lease.hold("one", 30)
    client.set(f"{name}:given-up", "something")
    lease.give_up("one")
    assert not client.exists(name)
    assert client.get(f"{name}:given-up") == b"something"
    assert client.ttl(f"{name}:given-up") == -1
    client.delete(f"{name}:given-up")


@pytest.mark.parametrize("expires", [None, 60_000])
@pytest.mark.parametrize("holding", [True, False])
def test_redis__what_no_holder_says_is_moved_aside(
    client: Any, lease: RedisLease, name: str, holding: bool, expires: int | None
) -> None:
    lease.recognizes = lambda text: text.startswith("beat")
    if holding:
        lease.hold("beat one", 5)
    client.set(name, "a text of somebody", px=expires)
    assert lease.hold("beat one", 5) is None
    assert client.get(name) == b"me beat one"
    assert client.get(f"{name}:moved-aside") == b"a text of somebody"
    assert client.ttl(f"{name}:moved-aside") == -1
    assert lease.foreign
    client.delete(f"{name}:moved-aside")


def test_redis__what_another_holder_says_is_recognized(keys: Keys, lease: RedisLease, name: str) -> None:
    lease.recognizes = lambda text: text.startswith("beat")
    lease.hold("beat one", 5)
    lease.keys.client.delete(name)
    RedisLease(keys, name, "other").hold("beat two", 5)
    for _ in range(2):
        held = lease.hold("beat one", 5)
        assert held is not None
        assert held.text == "beat two"
    assert lease.foreign == ""


def test_redis__what_expires_is_held_by_somebody_until_then(client: Any, lease: RedisLease, name: str) -> None:
    client.set(name, b"\xff\xfe garb\xffage", px=1500)
    held = lease.hold("one", 5)
    assert held is not None
    assert held.text == "garb\ufffdage"
    assert lease.foreign == ""
    wait_for(lambda: lease.hold("one", 5) is None)


def test_redis__another_process_has_moved_it_aside(
    client: Any, lease: RedisLease, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.rpush(name, "mine")
    move = lease.keys.move_aside

    def moved(key: str) -> str:
        client.delete(key)
        return move(key)

    monkeypatch.setattr(lease.keys, "move_aside", moved)
    assert lease.hold("one", 5) is None


# --- Redis: users with few rights


@pytest.fixture
def restricted(client: Any) -> Iterator[Any]:
    """Make clients of a user with the rules that are given."""
    made: list[Any] = []

    def make(*rules: str) -> Any:
        client.execute_command("ACL", "SETUSER", "few", "reset", "on", ">secret", *rules)
        path = str(conf.data_dir() / "valkey.sock")
        made.append(redis.Redis(unix_socket_path=path, db=8, username="few", password="secret"))
        return made[-1]

    yield make
    for each in made:
        each.close()
    client.execute_command("ACL", "DELUSER", "few")


def test_redis__a_user_without_the_keys(restricted: Any, client: Any, name: str) -> None:
    lease = RedisLease(Keys(Channel(restricted("~celery*", "&*", "+@all"))), name, "me")
    with pytest.raises(redis.exceptions.NoPermissionError):
        lease.hold("one", 5)
    assert not client.exists(name)


def test_redis__a_user_without_the_time(restricted: Any, name: str) -> None:
    lease = RedisLease(Keys(Channel(restricted("~*", "&*", "+@all", "-time"))), name, "me")
    lease.ask_time()
    assert lease.hold("one", 5) is None
    assert lease.hold("one", 5) is None
    assert lease.server_time is None


def test_look__as_a_user_without_the_time(restricted: Any, client: Any, name: str) -> None:
    RedisLease(Keys(Channel(client)), name, "me").hold("one", 5)
    RedisLease(Keys(Channel(client)), name, "other").wait("two", 0.01)
    keys = Keys(Channel(restricted("~*", "&*", "+@all", "-time")))
    assert [each.text for each in standing_by(keys, name)] == ["two"]


def test_redis__a_user_who_may_not_move_what_is_no_lease(restricted: Any, client: Any, name: str) -> None:
    client.rpush(name, "mine")
    lease = RedisLease(Keys(Channel(restricted("~*", "&*", "+@all", "-rename"))), name, "me")
    with pytest.raises(redis.exceptions.NoPermissionError):
        lease.hold("one", 5)
    client.delete(name)


@pytest.mark.parametrize("command", ["blpop", "zadd"])
def test_redis__a_user_who_may_not_wait_looks_again_soon(
    restricted: Any, keys: Keys, name: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    RedisLease(keys, name, "other").hold("one", 30)
    lease = RedisLease(Keys(Channel(restricted("~*", "&*", "+@all", f"-{command}"))), name, "me")
    slept: list[float] = []
    monkeypatch.setattr(redis_lease.time, "sleep", slept.append)
    for seconds in (5, 0.05):
        lease.wait("two", seconds)
    assert slept == [0.2, 0.05]


# --- Redis: those that wait, and who looks


def test_redis__wait_is_shorter_than_the_limit_for_an_answer(
    lease: RedisLease, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    monkeypatch.setattr(lease.keys.client, "blpop", lambda keys, timeout: asked.append(timeout))
    for seconds in (0, 1, 60):
        lease.wait("one", seconds)
    assert asked == [0.01, 1, LONGEST_WAIT]


def test_redis__wait_ends_when_the_lease_is_given_up(
    client: Any, keys: Keys, lease: RedisLease, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert redis_lease.GIVEN_UP == 1.0
    monkeypatch.setattr(redis_lease, "GIVEN_UP", SECONDS)  # the machine may be busy
    other = RedisLease(keys, name, "other")
    other.hold("one", 30)
    other.give_up("one")
    assert not client.exists(name)
    assert ends_within(client, f"{name}:given-up", SECONDS / 2, SECONDS)
    heard: list[Any] = []
    wait = lease.keys.client.blpop
    monkeypatch.setattr(lease.keys.client, "blpop", lambda *args, **options: heard.append(wait(*args, **options)))
    lease.wait("two", 3)
    assert len(heard) == 1
    assert heard[0]  # it has not waited to the end of the time
    assert not client.exists(f"{name}:given-up")


def test_redis__the_lease_passes_to_another_while_it_is_given_up(
    client: Any, lease: RedisLease, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease.hold("one", 5)
    is_own = lease._is_own

    def and_pass(held: bytes) -> bool:
        client.set(name, "other two", px=60_000)
        return is_own(held)

    monkeypatch.setattr(lease, "_is_own", and_pass)
    lease.give_up("one")
    assert client.get(name) == b"other two"
    assert not client.exists(f"{name}:given-up")


def look(keys: Keys, name: str) -> tuple[Holder | None, list[Holder]]:
    return holder_of(keys, name), standing_by(keys, name)


def test_look__something_else_at_the_key_of_the_lease(keys: Keys, client: Any, name: str) -> None:
    """It does not hide those that wait."""
    RedisLease(keys, name, "b").wait("waits", 0.01)
    client.rpush(name, "mine")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        holder_of(keys, name)
    assert [each.text for each in standing_by(keys, name)] == ["waits"]


def test_look__nobody(keys: Keys, name: str) -> None:
    assert look(keys, name) == (None, [])


def test_look__who_holds_it_and_who_waits(keys: Keys, client: Any, name: str) -> None:
    holder, *waiting = (RedisLease(keys, name, token) for token in ("a", "b", "c"))
    holder.hold("the holder", 30)
    for each in waiting:
        each.hold("", 30)
        each.wait(f"standing by: {each.token}", 0.01)
    found, standing = look(keys, name)
    assert found is not None
    assert found.text == "the holder"
    assert 25 < found.seconds <= 30
    assert [each.text for each in standing] == ["standing by: b", "standing by: c"]
    assert all(0 < each.seconds < 4 for each in standing)
    assert 0 < client.pttl(f"{name}:standing-by") <= 5000


def test_look__one_that_has_left_and_one_that_has_taken_over(keys: Keys, name: str) -> None:
    holder, second, third = (RedisLease(keys, name, token) for token in ("a", "b", "c"))
    holder.hold("the holder", 30)
    for each in (second, third):
        each.wait(each.token, 0.01)
    third.give_up("c")
    assert [each.text for each in look(keys, name)[1]] == ["b"]
    holder.give_up("the holder")
    second.hold("the second", 30)
    found, standing = look(keys, name)
    assert found is not None
    assert found.text == "the second"
    assert standing == []


def test_look__one_that_was_killed_while_it_waited_is_forgotten(keys: Keys, client: Any, name: str) -> None:
    RedisLease(keys, name, "a").wait("killed", 0.01)
    client.zadd(f"{name}:standing-by", {"a killed": (time.time() - 3) * 1000})
    assert look(keys, name) == (None, [])
    RedisLease(keys, name, "b").wait("other", 0.01)
    assert client.zrange(f"{name}:standing-by", 0, -1) == [b"b other"]


def test_look__with_a_prefix(client: Any, name: str) -> None:
    keys = Keys(Channel(client, PREFIX))
    lease = RedisLease(keys, name, "me")
    lease.hold("one", 5)
    RedisLease(keys, name, "other").wait("two", 0.01)
    held, standing = look(keys, name)
    assert held is not None
    assert (held.text, [each.text for each in standing]) == ("one", ["two"])
    found = sorted(key.decode() for key in client.scan_iter(f"*{name}*"))
    assert found == [f"{PREFIX}{name}", f"{PREFIX}{name}:standing-by"]
    lease.give_up("one")
    assert not client.exists(f"{PREFIX}{name}")


# --- Redis: the connection


def test_redis__close_closes_the_connection_of_the_lease_alone(keys: Keys, name: str, client: Any) -> None:
    released: list[int] = []
    RedisLease(keys, name, "me").close()
    RedisLease(keys, name, "me", release=lambda: released.append(1)).close()
    assert released == [1]
    assert client.ping()


def test_broker__that_is_away_gives_no_lease() -> None:
    with pytest.raises(Unreachable, match=r'The broker "redis://.*" cannot be reached: .*refused'):
        open_lease({"url": f"redis://127.0.0.1:{refusing_port()}/0"}, "lease", "me")


def test_broker__that_is_silent_gives_no_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasktools.brokers.redis.LIMIT", 0.3)
    with silent_port() as port, pytest.raises(Unreachable, match=r"127\.0\.0\.1"):
        open_lease({"url": f"redis://127.0.0.1:{port}/0"}, "lease", "me")


@pytest.mark.parametrize(("broker", "gives"), [("redis://x", True), ("amqp://x", True), ("memory://", False)])
def test_broker__declares_whether_it_gives_leases(broker: str, gives: bool) -> None:
    found = broker_of(Celery("leases", broker=broker, set_as_current=False))
    assert found.supports_leases is gives
    if not gives:
        with pytest.raises(NotImplementedError):
            found.lease("lease", "me")


# --- a file


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "celerybeat-schedule.lock"


def test_file__is_for_this_user_and_is_not_inherited(lock: Path) -> None:
    lease = FileLease(str(lock))
    assert lease.hold("größer", SECONDS) is None
    assert stat.S_IMODE(lock.stat().st_mode) == 0o600
    assert lock.read_bytes() == MARK + "größer".encode()
    assert lease._file is not None
    assert not os.get_inheritable(lease._file)
    lease.give_up("größer")
    assert lock.read_bytes() == b""


def test_file__a_shorter_text_replaces_a_longer_one(lock: Path) -> None:
    lock.write_bytes(MARK + b"a long text of a beat that was killed")
    first, second = FileLease(str(lock)), FileLease(str(lock))
    first.hold("short", SECONDS)
    assert second.hold("two", SECONDS) == Holder(text="short", seconds=math.inf)
    first.close()
    assert second.hold("two", SECONDS) is None
    second.close()


def test_file__a_holder_that_is_killed_frees_it_at_once(site: Site, tmp_path: Path) -> None:
    killed = start(site, {"path": str(tmp_path)}, "lock", "one")
    killed.wait_for_output(" held")
    lease = FileLease(str(tmp_path / "lock"))
    assert lease.hold("two", SECONDS) is not None
    killed.end(signal.SIGKILL)
    assert lease.hold("two", SECONDS) is None
    lease.close()


@pytest.mark.parametrize("other", [True, False])
def test_file__that_somebody_has_removed(lock: Path, other: bool) -> None:
    first, second = FileLease(str(lock)), FileLease(str(lock))
    open_files = len(os.listdir("/dev/fd"))
    first.hold("one", SECONDS)
    lock.unlink()
    if other:
        assert second.hold("two", SECONDS) is None
        assert first.hold("one", SECONDS) == Holder(text="two", seconds=math.inf)
        first.give_up("one")
        assert lock.read_bytes() == MARK + b"two"
    else:
        assert first.hold("one", SECONDS) is None
        assert first.terms == 2
        assert second.hold("two", SECONDS) == Holder(text="one", seconds=math.inf)
    assert len(os.listdir("/dev/fd")) == open_files + 1
    first.close()
    second.close()


def test_file__removed_while_it_is_taken(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is locked, and another process has made another file at the path before."""
    lease, made = FileLease(str(lock)), FileLease(str(lock))
    locked = lease._lock

    def late(file: int, text: str) -> Holder | None:
        if made._file is None:
            lock.unlink()
            assert made.hold("two", SECONDS) is None
        return locked(file, text)

    monkeypatch.setattr(lease, "_lock", late)
    held = lease.hold("one", SECONDS)
    assert held is not None
    assert held.text == "two"
    made.close()


def test_file__many_looks_leave_no_file_open(lock: Path) -> None:
    first, second = FileLease(str(lock)), FileLease(str(lock))
    first.hold("one", SECONDS)
    second.hold("two", SECONDS)
    before = len(os.listdir("/dev/fd"))
    for _ in range(20):
        first.hold("one", SECONDS)
        second.hold("two", SECONDS)
    assert len(os.listdir("/dev/fd")) == before
    first.close()
    assert len(os.listdir("/dev/fd")) == before - 1


def make_folder(lock: Path) -> None:
    lock.mkdir()


def make_link(lock: Path) -> None:
    lock.with_name("mine").write_bytes(MARK)
    lock.symlink_to("mine")


def make_broken_link(lock: Path) -> None:
    lock.symlink_to("nowhere")


def make_pipe(lock: Path) -> None:
    os.mkfifo(lock)


def make_other(lock: Path) -> None:
    lock.write_text("[packages]\n")


def make_nothing(lock: Path) -> None:
    lock.parent.rmdir()


UNUSABLE = {
    "folder": (make_folder, IsADirectoryError, "Is a directory"),
    "link": (make_link, OSError, "it is a symbolic link"),
    "broken link": (make_broken_link, OSError, "it is a symbolic link"),
    "pipe": (make_pipe, OSError, "it is no ordinary file"),
    "other contents": (make_other, FileExistsError, "something else is in it"),
    "no folder": (make_nothing, FileNotFoundError, "No such file or directory"),
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_file__that_cannot_be_used(tmp_path: Path, kind: str) -> None:
    make, error, why = UNUSABLE[kind]
    folder = tmp_path / "folder"
    folder.mkdir()
    lock = folder / "celerybeat-schedule.lock"
    make(lock)
    before = lock.read_bytes() if lock.is_file() else None
    open_files = len(os.listdir("/dev/fd"))
    with pytest.raises(error) as caught:
        FileLease(str(lock)).hold("one", SECONDS)
    assert str(caught.value) == f'the lock "{lock}" cannot be used: {why}'
    assert len(os.listdir("/dev/fd")) == open_files
    assert (lock.read_bytes() if lock.is_file() else None) == before
    assert not lock.with_name("nowhere").exists()


def test_file__of_another_user(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock.touch()
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    with pytest.raises(PermissionError, match=rf"user {lock.stat().st_uid} owns it, and you are 4711"):
        FileLease(str(lock)).hold("one", SECONDS)
    assert lock.read_bytes() == b""


def test_file__on_a_full_disk_is_a_lock_without_a_text(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    first, second = FileLease(str(lock)), FileLease(str(lock))
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        assert first.hold("one", SECONDS) is None
    assert second.hold("two", SECONDS) == Holder(text="", seconds=math.inf)
    first.close()


def test_file__whose_text_was_cut_by_a_full_disk_is_a_lock_again(lock: Path) -> None:
    lock.write_bytes(MARK[:5])
    lease = FileLease(str(lock))
    assert lease.hold("one", SECONDS) is None
    lease.close()


def test_file__on_a_file_system_without_locks(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    open_files = len(os.listdir("/dev/fd"))
    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(OSError, match=r'the lock ".*" cannot be used: No locks available'):
        FileLease(str(lock)).hold("one", SECONDS)
    assert len(os.listdir("/dev/fd")) == open_files


def test_file__wait_is_a_moment(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(file_lease.time, "sleep", slept.append)
    for seconds in (60.0, 0.05, -1):
        FileLease(str(lock)).wait("one", seconds)
    assert slept == [file_lease.POLL, 0.05, 0.01]
    assert not lock.exists()
