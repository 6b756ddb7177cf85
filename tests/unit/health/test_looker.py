from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery

from tasktools.health import looker as under_test
from tasktools.health.answer import Limits
from tasktools.health.looker import Looker, can_look
from tasktools.health.worker_watch import RUNNING, WorkerWatch
from tests.servers import Redis, started
from tests.support import refusing_port, silent_port


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with started(Redis, tmp_path_factory.mktemp("redis")) as made:
        yield made


@pytest.fixture
def look_at() -> Iterator[Callable[..., Looker]]:
    apps: list[Any] = []

    def make(url: str, *, always: bool = True, **limits: float) -> Looker:
        apps.append(Celery("looked", broker=url, set_as_current=False))
        return Looker(apps[-1], WorkerWatch(Limits(**limits)), lambda: ["a", "b"], always=always)

    yield make
    for app in apps:
        app.close()


def test_look__has_the_lengths_of_the_queues(server: Redis, look_at: Callable[..., Looker]) -> None:
    client = server.client()
    client.flushall()
    client.rpush("a", '{"properties": {"timestamp": 1000000000}, "headers": {"task": "x"}}', "{}")
    client.set("b", "of another program")
    looker = look_at(server.url)
    looker.look()
    assert looker.watch.lengths == {"a": 2}
    client.flushall()
    looker.look()
    assert (looker.watch.lengths, looker.watch.broker_error) == ({"a": 0, "b": 0}, "")


def test_look__nothing_follows_from_messages_of_a_paused_queue(server: Redis, look_at: Callable[..., Looker]) -> None:
    client = server.client()
    client.flushall()
    client.rpush("a", "{}")
    client.rpush("b", "{}")
    looker = look_at(server.url)
    said: list[Any] = []
    looker.watch.looked = lambda *words: said.append(words)  # type: ignore[method-assign]
    looker.paused = lambda: {"a"}
    looker.look()
    client.flushall()
    [(lengths, _, shared)] = said
    assert (lengths, shared) == ({"a": 1, "b": 1}, {"a"})  # /metrics still shows it


def test_look__a_connection_that_was_cut_is_made_again(server: Redis, look_at: Callable[..., Looker]) -> None:
    looker = look_at(server.url)
    looker.look()
    before = looker._connection
    server.client().client_kill_filter(_type="normal", skipme=True)
    looker.watch.lengths = {}
    looker.look()
    assert looker.watch.broker_error == ""
    assert looker.watch.lengths
    assert looker._connection is not before or before.connected


def test_look__says_that_the_broker_refuses(look_at: Callable[..., Looker]) -> None:
    looker = look_at(f"redis://:secret@127.0.0.1:{refusing_port()}/0")
    looker.look()
    assert "Connection refused" in looker.watch.broker_error
    assert "secret" not in looker.watch.broker_error


def test_look__of_a_silent_broker_ends(look_at: Callable[..., Looker], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "ANSWER", 0.2)
    with silent_port() as port:
        looker = look_at(f"redis://127.0.0.1:{port}/0")
        looker.look()
        assert looker.watch.broker_error
        monkeypatch.setattr(under_test, "ANSWER", 30.0)
        monkeypatch.setattr(under_test, "LONGEST", 0.2)
        looker.look()
        assert looker.watch.broker_error == "no answer"


@pytest.mark.parametrize(
    ("always", "can", "runs", "looks"),
    [(True, True, True, True), (False, True, True, False), (True, False, True, False), (True, True, False, False)],
)
def test_thread__looks_if_it_may_and_should(
    look_at: Callable[..., Looker], monkeypatch: pytest.MonkeyPatch, always: bool, can: bool, runs: bool, looks: bool
) -> None:
    """This worker, which has just begun, wants no look."""
    looker = look_at("memory://", always=always, look=0.01)
    looker.watch.can_look = can
    looker.watch.limits = Limits(look=60)
    if runs:
        looker.watch.phase = RUNNING
    seen: list[None] = []
    rounds: list[None] = []
    monkeypatch.setattr(looker, "look", lambda: seen.append(None))
    monkeypatch.setattr(looker, "_over", SimpleNamespace(wait=lambda _: rounds.append(None) or len(rounds) > 3))
    looker._go_on()
    assert len(seen) == (3 if looks else 0)


@pytest.mark.parametrize(
    ("url", "can"), [("redis://", True), ("amqp://", True), ("memory://", False), ("filesystem://", False)]
)
def test_can_look__where_a_length_costs_little(url: str, can: bool, tmp_path: Path) -> None:
    with Celery("any", broker=url, set_as_current=False) as app:
        assert can_look(app.connection_for_read()) is can
