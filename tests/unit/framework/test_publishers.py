from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from celery._state import _task_stack
from celery.signals import after_task_publish

from tasktools.exceptions import Unreachable
from tasktools.framework import publishers
from tests.support import refusing_port
from tests.unit.framework.test_celery_backend import message_of


def test_publisher__is_kept(app: Any) -> None:
    with publishers.publisher(app) as one:
        pass
    with publishers.publisher(app) as other:
        assert other is one
    publishers.close(app)


def test_publisher__only_so_many_are_kept(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishers, "MOST_KEPT", 1)
    with publishers.publisher(app) as one, publishers.publisher(app):
        pass
    with publishers.publisher(app), publishers.publisher(app) as third:
        assert third is not one
    assert len(publishers._kept[app]) == 1
    publishers.close(app)


def test_publishers__are_closed_at_the_end_of_the_process(app: Any, tasks: ModuleType) -> None:
    tasks.add.enqueue(1)
    (one,) = publishers._kept[app]
    connection = one.open()
    assert connection.connected
    publishers._close_all()
    assert (publishers._kept, connection.connected) == ({}, False)


def test_enqueue__of_many_threads(app: Any, tasks: ModuleType) -> None:
    ids: list[str] = []

    def send() -> None:
        ids.extend(tasks.add.enqueue(number).id for number in range(10))

    threads = [threading.Thread(target=send) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(30)
    assert len(set(ids)) == 80
    assert all(message_of(app, each) and tasks.add.get_result(each) for each in ids[::9])


def test_enqueue__of_a_forked_process(app: Any, tasks: ModuleType) -> None:
    """It must not talk over a connection of its parent: the answers would be mixed up."""
    tasks.add.enqueue(1)
    before = publishers._kept[app][0]
    child = os.fork()
    if child == 0:
        code = 1
        try:
            result = tasks.add.enqueue(2)
            code = 0 if tasks.add.get_result(result.id).args == [2] and publishers._kept[app][0] is not before else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    result = tasks.add.enqueue(3)
    assert publishers._kept[app] == [before]
    assert tasks.add.get_result(result.id).args == [3]


def test_enqueue__after_the_server_has_closed_the_connection(app: Any, tasks: ModuleType) -> None:
    tasks.add.enqueue(1)
    app.backend.client.client_kill_filter(_type="normal", skipme=True)
    result = tasks.add.enqueue(2)
    assert message_of(app, result.id)


def test_enqueue__the_broker_is_down(
    app: Any, tasks: ModuleType, monkeypatch: pytest.MonkeyPatch, no_hang: None
) -> None:
    monkeypatch.setitem(app.conf, "broker_url", f"redis://127.0.0.1:{refusing_port()}/0")
    monkeypatch.setitem(app.conf, "broker_write_url", app.conf.broker_url)
    with pytest.raises(Unreachable, match="cannot be reached"):
        tasks.add.enqueue(1)


@pytest.fixture
def parent(app: Any, tasks: ModuleType) -> Iterator[None]:
    """The process runs a task of Celery, which is the parent of what is enqueued."""
    task = app.tasks[f"{tasks.__name__}.told"]
    _task_stack.push(task)
    task.push_request(id="parent", root_id="root", args=(), kwargs={}, called_directly=False)
    yield
    task.pop_request()
    _task_stack.pop()


def test_enqueue__of_a_task_after_one_of_no_task(app: Any, tasks: ModuleType, request: pytest.FixtureRequest) -> None:
    """The kept publisher knows how the messages without a parent look."""
    for number in range(2):
        tasks.add.enqueue(number)
    request.getfixturevalue("parent")
    headers = message_of(app, tasks.add.enqueue(2).id)["headers"]
    assert (headers["parent_id"], headers["root_id"]) == ("parent", "root")


def test_enqueue__of_no_task_after_one_of_a_task(app: Any, tasks: ModuleType, parent: None) -> None:
    tasks.add.enqueue(1)
    with publishers.publisher(app) as publisher:
        plans = publisher._maker._plans
    own = {"headers": {"django_task": {}}}
    assert plans.kind_of(tasks.add.module_path, own).why == "it is sent by a task, its parent"
    _task_stack.pop()
    try:
        assert plans.kind_of(tasks.add.module_path, own).why == ""
    finally:
        _task_stack.push(app.tasks[f"{tasks.__name__}.told"])


def test_enqueue__a_receiver_that_is_connected_later_is_called(app: Any, tasks: ModuleType) -> None:
    for number in range(2):
        tasks.add.enqueue(number)
    seen: list[str] = []

    def receive(headers: Any, **_: Any) -> None:
        seen.append(headers["id"])

    after_task_publish.connect(receive)
    try:
        result = tasks.add.enqueue(2)
    finally:
        after_task_publish.disconnect(receive)
    assert seen == [result.id]
