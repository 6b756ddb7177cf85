from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tasktools.brokers import listeners
from tasktools.queues import consumers as room
from tasktools.queues.consumers import Readers, consumers

BOTH = {"one": ["mails", "celery"], "two": ["celery"]}


@pytest.mark.parametrize(
    ("answers", "silent", "waiting", "expected"),
    [
        (BOTH, 0, 2, {"celery": 2, "mails": 1, "slow": 0}),
        (BOTH, 0, 1, {"celery": 2, "mails": 1, "slow": 0}),
        (BOTH, 0, 3, {"celery": 2, "mails": 1, "slow": None}),
        (BOTH, 0, None, {"celery": 2, "mails": 1, "slow": None}),
        (BOTH, 1, 2, {"celery": 2, "mails": 1, "slow": None}),
        (BOTH, None, 2, {"celery": 2, "mails": 1, "slow": None}),
        ({**BOTH, "three": None}, 0, 3, {"celery": 2, "mails": 1, "slow": None}),
        ({}, 0, 0, {"celery": 0, "mails": 0, "slow": 0}),
        ({}, 0, 1, {"celery": None, "mails": None, "slow": None}),
        ({}, 1, 0, {"celery": None, "mails": None, "slow": None}),
        ({}, None, None, {"celery": None, "mails": None, "slow": None}),
    ],
)
def test_consumers__nobody_is_counted_who_may_be_there(
    answers: Any, silent: int | None, waiting: int | None, expected: Any
) -> None:
    readers = Readers(queues=list(answers.values()), silent=silent)
    assert consumers(["celery", "mails", "slow"], readers, waiting) == expected


def test_waiting__each_client_that_waits_for_messages() -> None:
    clients = [{"db": "3", "cmd": "brpop"}, {"db": "3", "cmd": "BRPOP"}, {"db": "4", "cmd": "get"}, {"cmd": "bzpopmin"}]
    assert listeners.waiting(clients) == [3, 3, 0]
    assert listeners.waiting(None) is None


@pytest.mark.parametrize(("database", "count"), [(3, 2), ("3", 2), (4, 0), (0, 1), (None, 1)])
def test_listeners__of_this_database_alone(monkeypatch: pytest.MonkeyPatch, database: Any, count: int) -> None:
    clients: Any = [
        {"db": "3", "cmd": "brpop"},
        {"db": "3", "cmd": "brpop"},
        {"db": "4", "cmd": "get"},
        {"cmd": "brpop"},
    ]
    monkeypatch.setattr(
        room, "clients", lambda client: clients if client is keys.client else pytest.fail("another one")
    )
    pool = SimpleNamespace(connection_kwargs={} if database is None else {"db": database})
    keys: Any = SimpleNamespace(client=SimpleNamespace(connection_pool=pool))
    assert room.listeners(keys) == count
    clients = None  # its user may not ask
    assert room.listeners(keys) is None
