"""Write messages and a mark to Redis or Valkey in one transaction."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from redis.exceptions import NoPermissionError, RedisError, ResponseError, WatchError

from tasktools.brokers.keys import Keys
from tasktools.brokers.recording import Outgoing
from tasktools.exceptions import ArgumentError, ConfigurationError


@dataclass(kw_only=True)
class Mark:
    """What is written to the broker in the transaction of a batch: a hash."""

    #: Its name, without the prefix of the broker's keys.
    key: str
    values: Mapping[str, str]
    #: The fields that the hash must hold before; an empty text means a field that is not there.
    expected: Mapping[str, str] = field(default_factory=dict)
    #: The fields that are removed.
    removed: Collection[str] = ()
    #: The full name of a lease (`redis_lease`) and the token of its holder: the transaction fails if another process holds it.
    lease: tuple[str, str] | None = None


class Overtaken(ArgumentError):
    """Another process has written the mark, or holds the lease."""


class NotBegun(Exception):
    """The connection broke before the transaction."""


class SentInPart(Exception):
    """The server has executed some commands of a transaction and refused others. It does not roll back."""

    def __init__(self, keys: Sequence[str], reason: Exception) -> None:
        super().__init__(str(reason))
        #: The keys whose commands were refused.
        self.keys = keys
        self.reason = reason


def broken(error: WatchError) -> RedisError | None:
    """Return what broke the connection while keys were watched, so that nobody knows what the server has done.

    Return None if another process has changed such a key, and so nothing was done. redis-py raises the same error for both.
    """
    return error.__context__ if isinstance(error.__context__, RedisError) else None


def transact(keys: Keys, outgoing: Outgoing, mark: Mark | None) -> None:
    """Send the commands, and write the mark, in one transaction.

    Raises Overtaken when the mark is not as expected, NotBegun when nothing can have been sent, ResponseError when the
    server refuses everything, SentInPart when it refuses some commands, and whatever else redis-py raises.
    """
    before: dict[bytes, bytes] = {}
    with keys.client.pipeline(transaction=True) as pipe:
        if mark:
            key = keys.full(mark.key)
            try:
                before = _watch(pipe, key, mark)
            except ResponseError:
                raise
            except (RedisError, OSError) as error:
                raise NotBegun(str(error)) from error
            _put_mark(pipe, key, mark)
        outgoing.put_into(pipe)
        try:
            results = pipe.execute(raise_on_error=False)
        except WatchError as error:
            raise broken(error) or _overtaken() from None
    marked = [key] * (bool(mark.values) + bool(mark.removed)) if mark else []
    # In the order of Outgoing.put_into.
    stored = [_text(name) if isinstance(name, bytes) else name for name in outgoing.stored]
    named = [*stored, *outgoing.lists, *outgoing.expires, *(topic for topic, _ in outgoing.published)]
    refused = {name: each for name, each in zip([*marked, *named], results, strict=True) if isinstance(each, Exception)}
    if not refused:
        return
    reason = next(iter(refused.values()))
    if not refused.keys() >= {*named}:
        raise SentInPart(list(refused), reason)
    if mark and key not in refused:
        try:
            _put_back(keys, key, before, mark)
        except (RedisError, OSError):
            raise SentInPart(list(refused), reason) from None
    raise reason


def _put_mark(pipe: Any, key: str, mark: Mark) -> None:
    if mark.values:
        pipe.hset(key, mapping={_packed(name): _packed(value) for name, value in mark.values.items()})
    if mark.removed:
        pipe.hdel(key, *map(_packed, mark.removed))


def announce(keys: Keys, events: Sequence[tuple[str, str]]) -> None:
    """Publish events: channels and messages. One that cannot be published is dropped: so does Celery, and its task is sent."""
    if not events:
        return
    with contextlib.suppress(RedisError, OSError), keys.client.client() as one:
        connection = one.connection  # redis-py's pipeline would take longer than all the rest of an event
        packed = (piece for event in events for piece in connection.pack_command("PUBLISH", *event))
        connection.send_packed_command([b"".join(packed)])
        for _ in events:
            with contextlib.suppress(ResponseError):
                connection.read_response()


def _put_back(keys: Keys, key: str, before: Mapping[bytes, bytes], mark: Mark) -> None:
    """Restore what a mark held: its batch was not sent. Leave it if another process has written it since then."""
    written = {**before, **{_packed(name): _packed(value) for name, value in mark.values.items()}}
    for name in mark.removed:
        written.pop(_packed(name), None)
    with keys.client.pipeline(transaction=True) as pipe, contextlib.suppress(WatchError):
        pipe.watch(key)
        if pipe.hgetall(key) != written:
            return
        pipe.multi()
        pipe.delete(key)
        if before:
            pipe.hset(key, mapping=dict(before))
        pipe.execute()


def read_mark(keys: Keys, name: str, purpose: str) -> dict[str, str]:
    """Return the mark with this name; empty if there is none. `purpose` says in an error what is kept there.

    Raises ConfigurationError when the broker's user may not read it, and what redis-py raises.
    """
    try:
        found = keys.client.hgetall(keys.full(name))
    except NoPermissionError as error:
        raise ConfigurationError(
            f'The broker\'s user may not read the key "{keys.full(name)}", in which {purpose}.',
            hint="allow the user that key (ACL SETUSER)",
        ) from error
    return {_text(name): _text(value) for name, value in found.items()}


def _packed(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


def _text(value: bytes) -> str:
    return value.decode(errors="surrogateescape")


def _overtaken() -> Overtaken:
    hint = "wait for that one, or give the run another name"
    return Overtaken("Another process sends the same run: the mark has changed.", hint=hint)


def _watch(pipe: Any, key: str, mark: Mark) -> dict[bytes, bytes]:
    """Make the transaction fail if the hash is not, or does not stay, as expected, and return what it holds.

    Raises Overtaken.
    """
    pipe.watch(key)
    if mark.lease:
        name, token = mark.lease
        pipe.watch(name)
        if not (pipe.get(name) or b"").startswith(_packed(f"{token} ")):
            raise _overtaken()
    found: dict[bytes, bytes] = pipe.hgetall(key)
    if any(_text(found.get(_packed(name), b"")) != value for name, value in mark.expected.items()):
        raise _overtaken()
    pipe.multi()
    return found
