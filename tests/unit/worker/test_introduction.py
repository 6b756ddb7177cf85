from __future__ import annotations

import os
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import celery
import pytest
from celery import Celery, signals
from celery.worker import control
from celery.worker.request import Request
from kombu.asynchronous.timer import Timer
from redis.exceptions import NoPermissionError

from tasktools.control.names import leaves
from tasktools.environment.code import code_digest
from tasktools.worker import introduction
from tasktools.worker.introduction import Introduction, install, memory
from tests.conftest import wait_for


@pytest.fixture
def stats(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What Celery itself answers; what `install` changes is put back after the test."""
    monkeypatch.setattr(signals.worker_ready, "receivers", [])
    answer: dict[str, Any] = {"pid": 1, "pool": {"processes": []}}
    monkeypatch.setattr(control, "stats", lambda state, **_: answer)
    for table in (control.Panel.data, control.Panel.meta):
        monkeypatch.setitem(table, "stats", table["stats"])
    return answer


def test_stats__have_a_key_more(stats: dict[str, Any], tmp_path: Path) -> None:
    with Celery(set_as_current=False) as app:
        install(app, tmp_path)
        assert Introduction in app.steps["consumer"]
    signals.worker_ready.send(None)

    def said() -> Any:
        return control.Panel.data["stats"](None)["tasktools"]

    wait_for(lambda: "code" in said())
    assert said().items() >= {"celery": celery.__version__, "code": code_digest(tmp_path)}.items()
    assert control.Panel.data["stats"](None).items() >= stats.items()


def test_stats__say_that_another_worker_takes_its_place(stats: dict[str, Any], tmp_path: Path) -> None:
    is_paused = False
    with Celery(set_as_current=False) as app:
        install(app, tmp_path, lambda: is_paused)
    assert not leaves(control.Panel.data["stats"](None))
    is_paused = True
    assert leaves(control.Panel.data["stats"](None))


@pytest.mark.parametrize("answer", [None, {"pool": 5}, {"pool": {"processes": 5}}])
def test_stats__that_are_strange_are_sent_as_they_are(
    stats: Any, monkeypatch: pytest.MonkeyPatch, answer: Any, tmp_path: Path
) -> None:
    monkeypatch.setattr(control, "stats", lambda state, **_: answer)
    with Celery(set_as_current=False) as app:
        install(app, tmp_path)
    assert control.Panel.data["stats"](None) == answer


def test_code__that_cannot_be_read_is_not_known(stats: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tried = Event()

    def fail(root: Path) -> str:
        tried.set()
        raise OSError

    monkeypatch.setattr(introduction, "code_digest", fail)
    with Celery(set_as_current=False) as app:
        install(app, tmp_path)
    signals.worker_ready.send(None)
    assert tried.wait(60)
    assert "code" not in control.Panel.data["stats"](None)["tasktools"]


def test_name__on_another_broker_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(introduction, "_name", lambda channel, worker: pytest.fail("no Redis"))
    consumer = SimpleNamespace(connection=SimpleNamespace(transport=SimpleNamespace(driver_type="amqp")))
    Introduction(consumer).start(consumer)


def test_memory__of_this_process_and_of_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for process, size in ((1, 1000), (2, 500)):
        folder = tmp_path / str(process)
        folder.mkdir()
        (folder / "smaps_rollup").write_text(f"Rss:   9999 kB\nPss:    {size} kB\nPss_Dirty: 1 kB\n")
    monkeypatch.setattr(introduction, "_PROCESSES", tmp_path)
    assert memory([1, 2, 3]) == 1500 * 1024
    assert memory([3, os.getpid()]) is None


def test_name__is_given_on_redis_as_often_as_it_connects(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[Any, str]] = []
    monkeypatch.setattr(introduction, "_name", lambda channel, worker: given.append((channel, worker)))
    connection = SimpleNamespace(transport=SimpleNamespace(driver_type="redis"), default_channel="channel")
    consumer = SimpleNamespace(connection=connection, hostname="w@h")
    step = Introduction(consumer)
    step.start(consumer)
    step.start(consumer)
    assert given == [("channel", "w@h")] * 2


def test_name__a_user_that_may_not_give_one_keeps_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    given = []

    def refuse(name: str) -> None:
        given.append(name)
        raise NoPermissionError("CLIENT")

    keys = SimpleNamespace(client=SimpleNamespace(client_setname=refuse))
    monkeypatch.setattr("tasktools.brokers.keys.Keys", lambda channel: keys)
    introduction._name(None, "w x@h")
    assert given == ["tasktools-worker:w%20x@h"]


def test_counts__are_those_of_the_lists_that_celery_sends(
    stats: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shop: Any
) -> None:
    """Its own commands list the same tasks, which takes seconds if there are thousands."""
    stub = shop.tasks["shop.pickled"]
    made = [_request(shop, stub, each) for each in "abcd"]
    timer = Timer()
    timer.call_after(60, print, (made[3],))
    timer.call_after(60, print, ("no task",))
    timer.call_after(60, print)
    monkeypatch.setattr(introduction, "reserved_requests", {*made[:3]})
    monkeypatch.setattr(introduction, "active_requests", {made[0]})
    with Celery(set_as_current=False) as app:
        install(app, tmp_path)
    state = SimpleNamespace(consumer=SimpleNamespace(timer=timer))
    said = control.Panel.data["stats"](state)["tasktools"]
    assert (said["reserved"], said["scheduled"]) == (2, 1) == (2, len(control.scheduled(state)))
    assert "reserved" not in control.Panel.data["stats"](None)["tasktools"]


def _request(app: Any, task: Any, task_id: str) -> Request:
    headers = {"id": task_id, "task": task.name, "lang": "py"}
    message = SimpleNamespace(headers=headers, delivery_info={}, properties={}, content_type="", content_encoding="")
    message.body = ((), {}, {})
    return Request(message, headers=headers, body=message.body, decoded=True, app=app, task=task)
