"""The waits of Celery that the processes of tests do not sleep out: what is changed is there, and only where it is wanted."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.support import Site

CODE = """
import json
import billiard.pool, celery.concurrency.prefork, kombu.transport.redis, kombu.utils.eventio

waiting = {
    "child": billiard.pool.Worker._make_recv_method,
    "close": kombu.transport.redis.Channel.close,
    "brpop": kombu.transport.redis.Channel._brpop_start,
    "poll": getattr(kombu.utils.eventio, "_epoll", kombu.utils.eventio._select).poll,
}
print(json.dumps({name: each.__module__ for name, each in waiting.items()}))
"""


@pytest.mark.parametrize("short", [True, False])
def test_short_waits__are_there_unless_a_test_wants_those_of_celery(tmp_path: Path, short: bool) -> None:
    done = Site(tmp_path, short_waits=short).run(sys.executable, "-c", CODE)
    modules = json.loads(done.stdout)
    if sys.platform != "linux":
        modules.pop("poll")
    assert {module == "sitecustomize" for module in modules.values()} == {short}, modules
