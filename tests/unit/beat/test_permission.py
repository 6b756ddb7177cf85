from __future__ import annotations

from typing import Any

import pytest
from redis.exceptions import NoPermissionError

from tasktools.beat import permission
from tasktools.beat.permission import refusal
from tasktools.beat.records import key_of
from tasktools.brokers import broker_of
from tasktools.brokers.keys import Keys
from tests.support import refusing_port, wait_for

pytestmark = pytest.mark.usefixtures("server_that_ends_with_the_suite")


def test_refusal__none_and_nothing_stays_behind(app: Any) -> None:
    assert refusal(app) is None
    with broker_of(app).publishing_connection(5) as connection:
        keys = Keys(connection.default_channel)
        wait_for(lambda: not keys.client.exists(keys.full(f"{key_of(app)}:permission")), 2)


def test_refusal__names_the_keys_to_allow(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Client:
        def get(self, name: str) -> None:
            raise NoPermissionError("No permissions to access a key")

    class Refusing(Keys):
        def __init__(self, channel: Any) -> None:
            super().__init__(channel)
            self.prefix = "mine:"
            self.client = Client()

    monkeypatch.setattr(permission, "Keys", Refusing)
    found = refusal(app)
    assert found is not None
    assert found.sentence == (
        "Beat cannot keep its state in the broker, so it uses Celery's scheduler and a file: No permissions to access a key."
    )
    assert "~mine:tasktools:beat:*" in found.hint


def test_refusal__of_a_broker_that_is_away_is_not_known(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.conf, "broker_url", f"redis://127.0.0.1:{refusing_port()}/0")
    assert refusal(app) is None
