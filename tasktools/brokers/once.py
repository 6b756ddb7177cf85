"""Send messages to Redis or Valkey, each of them once, whoever tries it and however often.

A key for each message says that it has been sent. It is written in the transaction that sends the message, and the transaction
fails if another process has written it meanwhile.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from redis.exceptions import RedisError, ResponseError, WatchError

from tasktools.brokers.keys import Keys
from tasktools.brokers.recording import Command, Outgoing
from tasktools.brokers.transactions import NotBegun, broken

#: How often a transaction is tried while other processes send some of the same messages.
_MOST_TRIES = 20


@dataclass(frozen=True, kw_only=True)
class Once:
    """A message, and the name of the key that says that it has been sent, without the prefix of the broker's keys."""

    mark: str
    commands: Sequence[Command]


@dataclass(kw_only=True)
class SentOnce:
    """What has become of messages, by their places in the sequence."""

    sent: list[int] = field(default_factory=list)
    #: Another process had sent them.
    before: list[int] = field(default_factory=list)
    #: The server has refused them, with its answer.
    refused: dict[int, Exception] = field(default_factory=dict)


class Late(Exception):
    """It is too late to send them: nothing was sent."""


class Contended(Exception):
    """Other processes send the same messages all the time: nothing was sent."""


def send_once(
    keys: Keys, messages: Sequence[Once], *, keep: float, is_late: Callable[[], bool] = lambda: False
) -> SentOnce:
    """Send those of the messages that were not sent yet, in one transaction. `keep` is how long their keys stay, in seconds.

    `is_late` is asked when other processes can no longer send them unseen.

    Raises NotBegun, Late and Contended when nothing was sent, ResponseError when the server refuses everything, and whatever
    else redis-py raises; then nobody knows.
    """
    names = [keys.full(each.mark) for each in messages]
    with keys.client.pipeline(transaction=True) as pipe:
        for _ in range(_MOST_TRIES):
            try:
                pipe.watch(*names)
                found = pipe.mget(names)
            except ResponseError:
                raise
            except (RedisError, OSError) as error:
                raise NotBegun(str(error)) from error
            if is_late():
                raise Late
            done = SentOnce(before=[place for place, value in enumerate(found) if value is not None])
            left = [place for place, value in enumerate(found) if value is None]
            if not left:
                return done
            if _sent(pipe, keys, names, messages, left, keep, done):
                return done
    raise Contended


def _sent(
    pipe: Any, keys: Keys, names: Sequence[str], messages: Sequence[Once], left: list[int], keep: float, done: SentOnce
) -> bool:
    """Send the messages at these places, and note that in `done`; return False if another process has written a key meanwhile."""
    outgoing = Outgoing()
    for place in left:
        for command in messages[place].commands:
            outgoing.add(command, command.value)
    pipe.multi()
    for place in left:
        pipe.set(names[place], "", ex=int(keep))
    outgoing.put_into(pipe)
    try:
        results = pipe.execute(raise_on_error=False)
    except WatchError as error:
        if lost := broken(error):
            raise lost from None
        return False
    targets = [*outgoing.lists, *outgoing.expires, *(topic for topic, _ in outgoing.published)]
    refused = {
        key: each for key, each in zip(targets, results[len(left) :], strict=True) if isinstance(each, Exception)
    }
    for place in left:
        why = next((refused[command.key] for command in messages[place].commands if command.key in refused), None)
        if why is None:
            done.sent.append(place)
        else:
            done.refused[place] = why
    if done.refused:
        # The server does not roll back. If this fails, the messages count as sent and are not: better than the contrary.
        keys.client.delete(*(names[place] for place in done.refused))
    return True


def forget_soon(keys: Keys, marks: Sequence[str], seconds: float) -> None:
    """Let keys of messages end sooner: what was sent is written down elsewhere. A failure does not matter."""
    if not marks:
        return
    with contextlib.suppress(RedisError, OSError), keys.client.pipeline(transaction=False) as pipe:
        for each in marks:
            pipe.expire(keys.full(each), int(seconds))
        pipe.execute(raise_on_error=False)


def keep_on(keys: Keys, marks: Sequence[str], seconds: float) -> None:
    """Let those keys of messages that are there stay for so long from now on. Raises what redis-py raises."""
    if not marks:
        return
    with keys.client.pipeline(transaction=False) as pipe:
        for each in marks:
            pipe.expire(keys.full(each), int(seconds))
        pipe.execute()
