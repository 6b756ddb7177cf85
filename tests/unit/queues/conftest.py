"""The fixtures of the command tests, for what is read of a broker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tasktools.brokers import broker_of
from tasktools.brokers.keys import Keys
from tests.commands.conftest import queue, server_that_ends_with_the_suite

__all__ = ["queue", "server_that_ends_with_the_suite"]


@pytest.fixture
def keys(app: Any) -> Iterator[Keys]:
    broker = broker_of(app)
    broker.prepare()
    with broker.publishing_connection(5) as connection:
        yield Keys(connection.default_channel)


@pytest.fixture
def fill(keys: Keys, queue: str) -> Iterator[Any]:
    """Put messages of these tasks into the queue; the first one is the next one."""

    def put(*names: str, priority: int = 0, padding: int = 0) -> None:
        key = keys.lists(queue)[priority]
        for name in names:
            keys.client.lpush(key, json.dumps({"headers": {"lang": "py", "task": name}, "body": "x" * padding}))

    yield put
    keys.client.delete(*keys.lists(queue))
