"""A lease in a Redis or Valkey, by the clock of the server, without scripts. Its keys are these:

Its keys:

    NAME               the token of the holder, a space, and what the holder says of itself; the key expires with the lease
    NAME:standing-by   a sorted set of those that wait, each with the time (Unix, in milliseconds) until which it may be believed
    NAME:given-up      a list: the process that gives the lease up appends one element, and one of those that wait takes it

NAME is the name of the lease with the prefix of the broker's keys.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any

from redis.exceptions import NoPermissionError, RedisError, ResponseError, WatchError

from tasktools.brokers.keys import Keys
from tasktools.brokers.lease import Holder, Lease, ServerTime

#: How long one wait may take, in seconds: shorter than the limit for an answer.
LONGEST_WAIT = 3.0

#: How long a process that comes to wait learns that the lease was given up, in seconds.
GIVEN_UP = 1.0

#: How often the beat in charge asks the server for its time, in seconds.
TIME_AGAIN = 5.0

#: How much longer than its wait a standby is believed to stand by, in seconds.
BELIEVED = 2.0


class RedisLease(Lease):
    """A lease in a Redis or Valkey."""

    def __init__(self, keys: Keys, name: str, token: str, *, release: Callable[[], object] | None = None) -> None:
        """`name` has no prefix of the broker's keys; `token` has no space, and no other process has the same.

        `release` closes the connection, if that is the lease's own.
        """
        self.keys = keys
        self.name = keys.full(name)
        self.token = token
        self._standing_by, self._given_up = f"{self.name}:standing-by", f"{self.name}:given-up"
        self._is_held = False
        self._release = release
        self._asked = (0.0, 0.0)
        self._has_getex = True

    def ask_time(self) -> None:
        [server] = self._ask(["TIME"])
        self._note(server)

    def hold(self, text: str, seconds: float) -> Holder | None:
        milliseconds = int(seconds * 1000)
        if self._is_held and self._keep(milliseconds):
            return None
        self._is_held = False
        while True:
            held, left = self._look()
            if held is None:
                value = f"{self.token} {text}"
                if self.keys.client.set(self.name, value, nx=True, px=milliseconds):
                    self._is_held = True
                    self.terms += 1
                    return None
            elif not self._is_own(held):
                return holder(held, left)
            elif self._keep(milliseconds):  # an answer was lost
                self._is_held = True
                self.terms += 1
                return None

    def _keep(self, milliseconds: int) -> bool:
        """Extend the lease. If it has passed to another process, that one's lease is extended: no harm."""
        if time.monotonic() - self._asked[1] >= TIME_AGAIN:
            self.ask_time()
        held = self._extended(milliseconds)
        if isinstance(held, bytes) and not self._is_lease(held):
            self._move_aside(self.name)
            return False
        return isinstance(held, bytes) and self._is_own(held)

    def _extended(self, milliseconds: int) -> Any:
        """Return what is at the key, which expires in `milliseconds` then; one command does it from Redis 6.2 on."""
        if self._has_getex:
            try:
                [held] = self._ask(["GETEX", self.name, "PX", milliseconds], timed=False)
            except ResponseError as error:
                if not isinstance(error, NoPermissionError) and "unknown command" not in str(error).lower():
                    raise
                self._has_getex = False
            else:
                return held
        held, _ = self._ask(["GET", self.name], ["PEXPIRE", self.name, milliseconds], timed=False)
        return held

    def _look(self) -> tuple[bytes | None, int]:
        """Return the value of the lease and its milliseconds; None if nobody holds it. Move aside what is no lease."""
        held, left, server = self._ask(["GET", self.name], ["PTTL", self.name], ["TIME"])
        self._note(server)
        if isinstance(held, ResponseError) or (held is not None and (left == -1 or not self._is_lease(held))):
            self._move_aside(self.name)
            return None, 0
        return held, int(left)

    def _is_lease(self, held: bytes) -> bool:
        return self.recognizes is None or self.recognizes(held.decode(errors="replace").partition(" ")[2])

    def _move_aside(self, key: str) -> None:
        """Rename a key that holds something else. It stays there: a beat may have given it a time to expire, as to its lease."""
        try:
            aside = self.keys.move_aside(key)
        except ResponseError as error:
            if "no such key" not in str(error):  # another process has done it
                raise
        else:
            self.foreign = f'the key "{key}" held something else, which is now at "{aside}"'
            with contextlib.suppress(NoPermissionError):
                self.keys.client.persist(aside)

    def _ask(self, *commands: Sequence[Any], timed: bool = True) -> list[Any]:
        """Return the answers to the commands; an error of a wrong type is the answer of its command, and so is any of TIME.

        With `timed`, note when the server was asked.
        """
        began = time.monotonic()
        with self.keys.client.pipeline(transaction=False) as pipe:
            for command in commands:
                pipe.execute_command(*command)
            answers: list[Any] = pipe.execute(raise_on_error=False)
        if timed:
            self._asked = began, time.monotonic()
        for command, answer in zip(commands, answers, strict=True):
            if isinstance(answer, RedisError) and not str(answer).startswith("WRONGTYPE") and command[0] != "TIME":
                raise answer
        return answers

    def _note(self, server: Any) -> None:
        if isinstance(server, RedisError):  # the user may not ask
            return
        seconds, microseconds = server
        before, after = self._asked
        unix = int(seconds) + int(microseconds) / 1e6
        self.server_time = ServerTime(unix=unix, monotonic=(before + after) / 2, within=(after - before) / 2)

    def _is_own(self, held: bytes) -> bool:
        return held.split(b" ", 1)[0] == self.token.encode()

    def give_up(self, text: str) -> None:
        client = self.keys.client
        with client.pipeline(transaction=True) as pipe, contextlib.suppress(WatchError):
            pipe.watch(self.name)
            held = pipe.get(self.name)
            if held is not None and self._is_own(held):
                pipe.multi()
                pipe.delete(self.name)
                pipe.lpush(self._given_up, "1")
                _, pushed = pipe.execute(raise_on_error=False)
                if not isinstance(pushed, RedisError):  # else the key is somebody's
                    client.pexpire(self._given_up, int(GIVEN_UP * 1000))
            client.zrem(self._standing_by, f"{self.token} {text}")
        self._is_held = False

    def wait(self, text: str, seconds: float) -> None:
        seconds = min(max(seconds, 0.01), LONGEST_WAIT)
        try:
            for key, use in ((self._standing_by, self._stand_by), (self._given_up, self._wait)):
                self._use(key, use, text, seconds)
        except NoPermissionError:
            time.sleep(min(seconds, 0.2))

    def _use(self, key: str, use: Callable[[str, float], None], text: str, seconds: float) -> None:
        """Call `use(text, seconds)`, which writes a key; move aside what else is there."""
        try:
            use(text, seconds)
        except ResponseError as error:
            if "WRONGTYPE" not in str(error):
                raise
            self._move_aside(key)

    def _wait(self, text: str, seconds: float) -> None:
        self.keys.client.blpop([self._given_up], timeout=seconds)

    def _stand_by(self, text: str, seconds: float) -> None:
        now = (self.server_time.unix if self.server_time else time.time()) * 1000
        key = self._standing_by
        with self.keys.client.pipeline(transaction=False) as pipe:
            pipe.zremrangebyscore(key, "-inf", now)
            pipe.zadd(key, {f"{self.token} {text}": now + (seconds + BELIEVED) * 1000})
            pipe.execute()
        self.keys.client.pexpire(key, int((LONGEST_WAIT + BELIEVED) * 1000))

    def close(self) -> None:
        if self._release is not None:
            with contextlib.suppress(RedisError, OSError):
                self._release()


def holder_of(keys: Keys, name: str) -> Holder | None:
    """Return who holds a lease. Raises ResponseError if something else is at its key."""
    full = keys.full(name)
    with keys.client.pipeline(transaction=False) as pipe:
        held, left = pipe.get(full).pttl(full).execute()
    return None if held is None else holder(held, left)


def standing_by(keys: Keys, name: str) -> list[Holder]:
    """Return who waits for a lease, without its holder. Raises ResponseError if something else is at their key."""
    full = keys.full(name)
    with keys.client.pipeline(transaction=False) as pipe:
        held, server = pipe.get(full).time().execute(raise_on_error=False)
    if isinstance(server, RedisError) and not isinstance(server, NoPermissionError):
        raise server
    seconds = time.time() if isinstance(server, RedisError) else server[0]  # a user that may not ask TIME
    waiting = keys.client.zrangebyscore(f"{full}:standing-by", int(seconds) * 1000, "+inf", withscores=True)
    token = held.partition(b" ")[0] if isinstance(held, bytes) else b""
    return [
        holder(text, int(until - int(seconds) * 1000)) for text, until in waiting if text.partition(b" ")[0] != token
    ]


def holder(value: bytes, milliseconds: int) -> Holder:
    """Read the value of a lease."""
    text = value.decode(errors="replace").partition(" ")[2]
    return Holder(text=text, seconds=max(0, milliseconds) / 1000)
