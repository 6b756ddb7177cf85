"""Which workers do not answer, as far as the broker knows."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from tasktools.brokers import broker_of
from tasktools.brokers.reach import connect, reach
from tasktools.control.answers import BEYOND, CONNECTING, Answers, leaving
from tasktools.control.names import worker_of

if TYPE_CHECKING:
    from celery import Celery


@dataclass(frozen=True, kw_only=True)
class Presence:
    """Who is there and does not answer."""

    #: Names of workers that listen.
    silent: list[str]
    #: Names of workers of which nobody knows whether they listen or were killed.
    unknown: list[str]
    #: How many more listen; they may have one of the names of `unknown`. None if the broker does not say.
    unnamed: int | None = None
    #: By queue, how many more consumers it has than workers that answer; None if the broker does not say.
    consumers: Mapping[str, int] | None = None


def presence(
    app: Celery,
    answers: Answers,
    taken: Collection[str],
    routed: Collection[str] = (),
    connection: Any = None,
    count: Callable[[Collection[str]], Mapping[str, int]] | None = None,
) -> Presence:
    """Return who has not answered. `taken` has the queue of each worker that has, several times if several take from it.

    `routed` has the queues that tasks go to: perhaps only workers take from them that do not answer. The broker is asked over
    `connection` (kombu's), or over one that is made for that; `count` returns how many consumers queues have without that.

    Raises Unreachable.
    """
    look: Callable[[Any], Any] = partial(_look, app) if connection is None else lambda call: call(connection)
    if answers.silent is not None:
        is_clear = answers.silent in (0, len(answers.absent))
        named = frozenset[str]() if is_clear else look(_named)
        return of_redis(answers.silent, answers.absent, named)
    queues = {*taken, *routed, *map(str, app.amqp.queues)}
    counts = look(lambda opened: _consumers(opened, queues)) if count is None else count(queues)
    if counts is None:
        return Presence(silent=[], unknown=[])
    more = {queue: count - Counter(taken)[queue] for queue, count in sorted(counts.items())}
    return Presence(silent=[], unknown=[], consumers={queue: count for queue, count in more.items() if count > 0})


def of_redis(silent: int, absent: frozenset[str], named: frozenset[str]) -> Presence:
    """Return who is silent: `silent` workers, some of those with the names `absent`, certainly those of `named`."""
    certain = absent & named
    rest, left = absent - certain, max(0, silent - len(certain))
    if left and len(rest) <= left:
        return Presence(silent=sorted(absent), unknown=[], unnamed=left - len(rest))
    return Presence(silent=sorted(certain), unknown=sorted(rest) if left else [], unnamed=left)


def _look(app: Celery, call: Any) -> Any:
    broker = broker_of(app)
    connection = connect(broker, CONNECTING)
    with leaving(connection):
        return reach(broker.name, BEYOND, call, connection)


def _named(connection: Any) -> frozenset[str]:
    """Return the workers that have given their name to a connection which the server still has (CLIENT SETNAME)."""
    import redis

    from tasktools.brokers.keys import Keys

    channel = connection.default_channel
    try:
        clients = Keys(channel).client.client_list()
    except redis.exceptions.ResponseError:  # its user may not ask for that
        return frozenset()
    database = str(channel.pool.connection_kwargs.get("db") or 0)
    names = (worker_of(str(each.get("name"))) for each in clients if each.get("db") == database)
    return frozenset(name for name in names if name is not None)


def _consumers(connection: Any, queues: Collection[str]) -> dict[str, int] | None:
    """Return how many consumers each queue has; None for a broker that does not say. An unknown queue closes the channel."""
    if connection.transport.driver_name != "py-amqp":
        return None
    found = {}
    for queue in sorted(queues):
        with connection.channel() as channel, contextlib.suppress(connection.channel_errors):
            found[queue] = int(channel.queue_declare(queue, passive=True).consumer_count)
    return found
