"""A list of Redis or Valkey for the replies of many rounds.

kombu declares a queue for the replies to each command and deletes it after the round: some forty commands at the broker for
three questions, and more for each reply. Here the workers reply to the default exchange, which puts a reply into the list of
that name: nothing is declared, bound or deleted.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

import redis
from kombu.serialization import prepare_accept_content

from tasktools.brokers.keys import Keys

#: How the names of these lists end. `queues.found.is_internal` knows it.
ENDING = ".reply.tasktools.pidbox"

#: How long replies are kept that nobody has taken, in seconds. Who takes them does so much more often.
KEPT = 300

#: What `await_late` puts into the list; no reply.
_MARK = b""

#: How many replies one command takes: more than workers send. A round has few commands, and what it leaves is there for good.
_AT_ONCE = 1_000_000

#: When replies are looked for at first, before it is known how long workers take: then, and the earliest, in seconds.
_AT_FIRST, _EARLIEST = 0.05, 0.02

#: What happens to this time after a round in which it was enough: it may have been too long.
_SOONER = 0.8

#: KEYS: the list. ARGV: what to put into it, and how long it is kept then.
_AWAIT = "redis.call('LPUSH', KEYS[1], ARGV[1]) return redis.call('EXPIRE', KEYS[1], ARGV[2])"


class Replies:
    """A list that only this object reads.

    A reply that comes when there is no list makes one, without an end: `overview.redis_bound` gives it one.
    """

    def __init__(self) -> None:
        self.name = f"{uuid4()}{ENDING}"
        self._takes_many = True
        self._runs_scripts = True
        #: How long workers usually take to reply, in seconds.
        self._usual = _AT_FIRST
        #: Whether somebody is silent, as far as is known: all replies do not come before the limit then.
        self.is_incomplete = False
        #: How often the list was read in the latest round.
        self.takes = 0

    def times(self, limit: float) -> Iterator[float]:
        """Yield when to take replies, in seconds after the questions: three times at the most, and at last at the limit.

        Each is a command at the broker: it is asked when all replies are there, as far as earlier rounds tell.
        """
        usual = min(self._usual, limit)
        yield usual
        if usual < limit:
            if not self.is_incomplete:
                yield math.sqrt(usual * limit)
            yield limit
        self.is_incomplete = True

    def learn(self, taken: float) -> None:
        """Take note of after how many seconds all replies were there."""
        self.is_incomplete = False
        self._usual = max(_EARLIEST, taken * _SOONER) if taken <= self._usual else taken

    def ask(
        self, mailbox: Any, producer: Any, ticket: str, command: str, arguments: Mapping[str, Any], limit: float
    ) -> None:
        """Send a command as kombu's mailbox does (kombu.pidbox.Mailbox._publish), but with this list for the replies."""
        message = {
            "method": command,
            "arguments": dict(arguments),
            "destination": None,
            "pattern": None,
            "matcher": None,
            "ticket": ticket,
            "reply_to": {"exchange": "", "routing_key": self.name},
        }
        headers = {"clock": mailbox.clock.forward(), "expires": time.time() + limit}
        producer.publish(
            message,
            exchange=mailbox.exchange.name,
            declare=[mailbox.exchange],
            headers=headers,
            serializer=mailbox.serializer,
        )

    def take(self, mailbox: Any) -> list[Any]:
        """Return the replies that are there, as messages of kombu."""
        channel = mailbox.connection.default_channel
        self.takes += 1
        messages = [
            channel.Message(json.loads(each), channel=channel) for each in self._raw(Keys(channel)) if each != _MARK
        ]
        for each in messages:
            each.accept = prepare_accept_content(mailbox.accept)
        return messages

    def await_late(self, connection: Any) -> None:
        """Have the list end by itself, with the replies that come later: perhaps nobody looks again. `connection` is kombu's.

        A list keeps its end as long as it has an element, and there is no empty list.
        """
        keys = Keys(connection.default_channel)
        key = keys.full(self.name)
        if self._runs_scripts:
            try:
                keys.client.eval(_AWAIT, 1, key, _MARK, KEPT)
                return
            except redis.exceptions.ResponseError:  # its user may not do that, or there is no room
                self._runs_scripts = False
        with keys.client.pipeline(transaction=False) as pipeline:
            pipeline.lpush(key, _MARK).expire(key, KEPT).execute(raise_on_error=False)

    def delete(self, connection: Any) -> None:
        """Delete what is in the list; nobody takes it any more. `connection` is kombu's."""
        keys = Keys(connection.default_channel)
        keys.client.delete(keys.full(self.name))

    def _raw(self, keys: Keys) -> list[bytes]:
        key = keys.full(self.name)  # nobody gives a reply a priority, which would have a list of its own
        if self._takes_many:
            try:
                return list(keys.client.rpop(key, _AT_ONCE) or ())
            except redis.exceptions.ResponseError:  # before Redis 6.2 it takes no number
                self._takes_many = False
        with keys.client.pipeline() as pipeline:
            found, _ = pipeline.lrange(key, 0, -1).delete(key).execute()
        return list(found)
