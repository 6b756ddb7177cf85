"""Redis and Valkey."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tasktools.brokers.base import PRIVATE_SOCKET, Trace
from tasktools.brokers.keys import Keys
from tasktools.brokers.lease import LIMIT
from tasktools.brokers.portable import PortableBroker
from tasktools.brokers.redis_lease import RedisLease


class RedisBroker(PortableBroker):
    """Redis and Valkey: messages in a queue can be read without taking them."""

    supports_find = True
    supports_transactions = True
    supports_leases = True

    def options(self, limit: float) -> dict[str, Any]:
        return {"socket_timeout": limit, "socket_connect_timeout": limit}

    def prepare(self) -> None:
        if str(self.app.conf.broker_url).startswith(PRIVATE_SOCKET):
            from tasktools.brokers import private

            private.prepare()

    def lease(self, name: str, token: str) -> RedisLease:
        from tasktools.brokers.reach import connect

        connection = connect(self, LIMIT)
        keys = Keys(connection.default_channel)
        keys.client.set_retry(Retry(NoBackoff(), 0))  # beat itself tries again, and must not wait for long
        return RedisLease(keys, name, token, release=connection.release)

    def find(self, task_ids: Collection[str]) -> dict[str, Trace]:
        """Look first at the messages that workers have reserved, then in the queues of the app and of any producer.

        It reads only both ends of a queue longer than MOST_READ. A message is kombu's JSON: the id of its task is its
        header "id" (Celery's protocol 2) or its correlation_id.
        """
        found: dict[str, Trace] = {}
        with self.publishing_connection(limit=5) as connection:
            keys = Keys(connection.default_channel)
            for message in keys.reserved():
                found |= _traces(message, task_ids, place="reserved")
            for queue in set(self.app.amqp.queues).union(_allowed(keys.queues())):
                for message in keys.messages(queue):
                    found |= _traces(message, task_ids, place="queued", queue=queue)
        return found


def _allowed(names: Iterable[str]) -> Iterator[str]:
    """Yield as many of the names as the user of the broker may read: its rules often do not allow SCAN."""
    with contextlib.suppress(redis.exceptions.NoPermissionError):
        yield from names


def _traces(message: bytes, task_ids: Collection[str], *, place: str, queue: str | None = None) -> dict[str, Trace]:
    """Return the trace of the one task of `task_ids` whose message this is, by its id; nothing if it is of another task."""
    if not any(json.dumps(task_id).encode() in message for task_id in task_ids):
        return {}
    try:
        parsed = json.loads(message)
        content = parsed[0] if isinstance(parsed, list) else parsed  # a reserved one: [message, exchange, routing key]
        headers = content["headers"]
        found = Trace(place=place, queue=queue, task=headers.get("task"), eta=headers.get("eta"))
        ids = {headers.get("id"), content["properties"].get("correlation_id")}
        return {task_id: found for task_id in task_ids if task_id in ids}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}  # another program's message in the same queue
