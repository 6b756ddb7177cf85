"""One round of remote control on real brokers, with kombu's own nodes as the workers."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery

from tasktools.control.answers import ask
from tasktools.exceptions import Unreachable
from tests.nodes import node
from tests.servers import RabbitMQ, Redis, started
from tests.support import silent_port


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with started(Redis, tmp_path_factory.mktemp("redis")) as made:
        yield made


@pytest.fixture
def app(server: Redis, request: pytest.FixtureRequest) -> Iterator[Any]:
    """An app with a database of the server that is empty."""
    server.client().flushall()
    with Celery("shop", broker=server.url, set_as_current=False) as made:
        made.conf.broker_transport_options = {"global_keyprefix": getattr(request, "param", "")}
        yield made


def fails() -> None:
    raise ValueError("broken")


HANDLERS = {"ping": lambda: {"ok": "pong"}, "echo": lambda word: [word], "fails": fails}
ASKED = {"ping": {}, "echo": {"word": "x"}}


@pytest.mark.parametrize("app", ["", "site:"], indirect=True)
def test_ask__all_that_listen_answer_everything(app: Any) -> None:
    with node(app, "a@h", HANDLERS), node(app, "b@h", HANDLERS):
        began = time.monotonic()
        found = ask(app, ASKED, limit=60)
    assert time.monotonic() - began < 30  # it ends when the last one has answered
    each = {"ping": {"ok": "pong"}, "echo": ["x"]}
    assert (found.said, found.failed) == ({"a@h": each, "b@h": each}, {})
    assert (found.listening, found.silent, found.absent, found.workers) == (2, 0, frozenset(), ["a@h", "b@h"])
    assert found.of("echo") == {"a@h": ["x"], "b@h": ["x"]}
    assert found.of("echo", dict) == {}


def test_ask__one_that_is_stopped_is_counted_and_named(app: Any) -> None:
    with node(app, "a@h", HANDLERS), node(app, "b@h", HANDLERS, answers=False):
        began = time.monotonic()
        found = ask(app, ASKED)
    assert time.monotonic() - began < 20
    assert found.workers == ["a@h"]
    assert (found.listening, found.silent, found.absent) == (2, 1, frozenset({"b@h"}))


def test_ask__with_more_time_all_that_listen_are_waited_for(app: Any) -> None:
    def late() -> dict[str, str]:
        threading.Event().wait(1.2)  # longer than quiet counts as the end
        return {"ok": "pong"}

    with node(app, "a@h", HANDLERS), node(app, "b@h", {"ping": late}):
        found = ask(app, {"ping": {}}, limit=60)
        assert (found.workers, found.silent) == (["a@h", "b@h"], 0)
        found = ask(app, {"ping": {}})
        assert (found.workers, found.silent, found.absent) == (["a@h"], 1, frozenset({"b@h"}))


def test_ask__a_dead_one_is_not_counted(app: Any, server: Redis) -> None:
    for name in (b"dead@h.celery.pidbox", b"dead\xff@h.celery.pidbox", b"a queue of another kind"):
        server.client().sadd("_kombu.binding.celery.pidbox", b"\x06\x16\x06\x16" + name)
    with node(app, "a@h", HANDLERS):
        found = ask(app, ASKED, limit=60)
    assert (found.listening, found.silent, found.absent) == (1, 0, frozenset({"dead@h", "dead\ufffd@h"}))


def test_ask__nobody_listens_and_nobody_is_waited_for(app: Any) -> None:
    began = time.monotonic()
    found = ask(app, ASKED, limit=60)
    assert time.monotonic() - began < 30
    assert (found.workers, found.listening, found.silent) == ([], 0, 0)


def test_ask__what_fails_there_is_apart(app: Any) -> None:
    with node(app, "a@h", HANDLERS):
        found = ask(app, {"ping": {}, "fails": {}, "nosuch": {}}, limit=60)
    assert found.said == {"a@h": {"ping": {"ok": "pong"}}}
    assert found.failed == {"a@h": {"fails": "ValueError('broken')", "nosuch": "KeyError('nosuch')"}}


def test_ask__two_with_one_name_are_both_heard(app: Any) -> None:
    """While one worker takes the place of the other."""
    other = {"ping": lambda: {"old": 1}, "echo": lambda word: [word, "more"]}
    with node(app, "a@h", HANDLERS), node(app, "a@h", other):
        found = ask(app, ASKED, limit=60)
    assert found.said == {"a@h": {"ping": {"ok": "pong", "old": 1}, "echo": found.said["a@h"]["echo"]}}
    assert sorted(found.said["a@h"]["echo"]) == ["more", "x"]
    assert (found.listening, found.silent) == (2, 0)


def test_ask__only_those_named(app: Any) -> None:
    with node(app, "a@h", HANDLERS), node(app, "b@h", HANDLERS):
        found = ask(app, ASKED, limit=60, destination=["b@h"])
        other = ask(app, ASKED, destination=["b@h", "nosuch@h"])
    assert (found.workers, found.silent) == (["b@h"], 0)
    assert (other.workers, other.silent) == (["b@h"], 0)


def test_ask__leaves_nothing_on_the_server(app: Any, server: Redis) -> None:
    with node(app, "a@h", HANDLERS):
        before = set(server.client().keys())
        ask(app, ASKED, limit=60)
        after = set(server.client().keys())
        assert (after - before, [key for key in after if b"reply" in key]) == (set(), [])


def test_ask__a_silent_broker_is_unreachable() -> None:
    with silent_port() as port, Celery("shop", broker=f"redis://127.0.0.1:{port}/0", set_as_current=False) as app:
        began = time.monotonic()
        with pytest.raises(Unreachable):
            ask(app, ASKED)
    assert time.monotonic() - began < 30


def test_ask__a_broker_that_freezes_later_is_unreachable(app: Any, server: Redis, monkeypatch: Any) -> None:
    from tasktools.control import broadcast

    def freeze(*args: Any) -> Any:
        server.suspend()
        return send(*args)

    send = broadcast.send
    monkeypatch.setattr(broadcast, "send", freeze)
    began = time.monotonic()
    try:
        with pytest.raises(Unreachable):
            ask(app, ASKED)
        assert time.monotonic() - began < 30
    finally:
        server.resume()


def test_ask__on_rabbitmq_nobody_knows_who_is_silent(rabbitmq: RabbitMQ) -> None:
    with contextlib.ExitStack() as stack:
        app = stack.enter_context(Celery("shop", broker=rabbitmq.url, set_as_current=False))
        stack.enter_context(node(app, "a@h", HANDLERS))
        stack.enter_context(node(app, "b@h", HANDLERS, answers=False))
        began = time.monotonic()
        found = ask(app, ASKED)
        assert time.monotonic() - began < 20
    assert found.said == {"a@h": {"ping": {"ok": "pong"}, "echo": ["x"]}}
    assert (found.listening, found.silent, found.absent) == (None, None, frozenset())
