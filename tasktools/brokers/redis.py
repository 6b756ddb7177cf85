"""Redis and Valkey."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from redis.backoff import NoBackoff
from redis.retry import Retry

from tasktools.brokers.base import PRIVATE_SOCKET
from tasktools.brokers.keys import Keys
from tasktools.brokers.lease import LIMIT
from tasktools.brokers.portable import PortableBroker
from tasktools.brokers.redis_lease import RedisLease


class RedisBroker(PortableBroker):
    """Redis and Valkey: messages in a queue can be read without taking them."""

    supports_find = True
    supports_transactions = True
    supports_leases = True
    unchecked = MappingProxyType({"health_check_interval": 0})

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
