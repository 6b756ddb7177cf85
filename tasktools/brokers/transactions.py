"""Messages and a mark, written to Redis or Valkey as a whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from redis.exceptions import NoPermissionError, RedisError, ResponseError, WatchError

from tasktools.brokers.keys import Keys
from tasktools.brokers.recording import Outgoing
from tasktools.exceptions import ArgumentError, ConfigurationError


@dataclass(kw_only=True)
class Mark:
    """What is written to the broker in the transaction of a batch: a hash."""

    #: Its name, without the prefix that the broker's keys may have.
    key: str
    values: Mapping[str, str]
    #: What the hash holds before, as far as it must be that; an empty text stands for a field that is not there.
    expected: Mapping[str, str] = field(default_factory=dict)


class NotBegun(Exception):
    """The connection broke ahead of the transaction."""


def transact(keys: Keys, outgoing: Outgoing, mark: Mark | None) -> None:
    """Send the commands, and write the mark, in one transaction.

    Raises ArgumentError when the mark is not as expected, NotBegun when nothing can have been sent, and what redis-py
    raises.
    """
    with keys.client.pipeline(transaction=True) as pipe:
        if mark:
            key = keys.full(mark.key)
            try:
                _watch(pipe, key, mark.expected)
            except ResponseError:
                raise
            except (RedisError, OSError) as error:
                raise NotBegun(str(error)) from error
            pipe.hset(key, mapping=dict(mark.values))
        outgoing.put_into(pipe)
        try:
            pipe.execute()
        except WatchError as error:
            if not isinstance(error.__context__, RedisError):
                raise _overtaken() from None
            raise error.__context__ from None  # the connection broke


def read_mark(keys: Keys, name: str) -> dict[str, str]:
    """Return the mark of that name; empty when there is none.

    Raises ConfigurationError when the broker's user may not read it, and what redis-py raises.
    """
    try:
        found = keys.client.hgetall(keys.full(name))
    except NoPermissionError as error:
        raise ConfigurationError(
            f'The broker\'s user may not read the key "{keys.full(name)}", in which --resume keeps how far a run has come.',
            hint="allow the user that key (ACL SETUSER), or leave out --resume",
        ) from error
    return {name.decode(): value.decode() for name, value in found.items()}


def _overtaken() -> ArgumentError:
    hint = "wait for that one, or give the run another name"
    return ArgumentError("Another process sends the same run: the mark has changed.", hint=hint)


def _watch(pipe: Any, key: str, expected: Mapping[str, str]) -> None:
    """Have the transaction fail when the hash is, or will be, another one than expected. Raises ArgumentError."""
    pipe.watch(key)
    found = pipe.hmget(key, list(expected)) if expected else []
    if [(each or b"").decode() for each in found] != list(expected.values()):
        raise _overtaken()
    pipe.multi()
