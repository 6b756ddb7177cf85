"""RabbitMQ, which pushes: limits, reload and stops of a worker that takes more than it runs."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.signals import before_task_publish
from kombu import Queue

from tasktools.arguments.call import Call
from tasktools.exceptions import InDoubt, Unreachable
from tasktools.publishing.batch import enqueue_many
from tests import load, max_tasks
from tests.servers import RabbitMQ
from tests.support import Site, wait_for


@pytest.fixture
def settings(rabbitmq: RabbitMQ, tmp_path: Path) -> str:
    """The settings of a project with a queue of its own on the server, and without results."""
    return f"CELERY_BROKER_URL = {rabbitmq.url!r}\nCELERY_TASK_DEFAULT_QUEUE = {tmp_path.name!r}\n"


def test_max_tasks__begins_exactly_so_many_and_each_runs_once(site: Site, settings: str) -> None:
    max_tasks.prepare(site, settings)
    found = max_tasks.run(site, site.root / "record", "-c", "8")
    assert found.is_good(50), found
    assert "Traceback" not in found.output


def test_reload__each_task_runs_once_and_the_new_worker_has_remote_control(site: Site, settings: str) -> None:
    found = load.run(site, reloads=2, pool="prefork", acks_late=False, settings=settings)
    assert found.sent > 10  # how many there are in all depends on how quick the reloads are
    assert found.good, found
    [worker, *_] = site.running
    assert "already using this process mailbox" not in worker.output
    assert "Traceback" not in worker.output
    [name] = set(re.findall(r"(celery@\S+) ready\.", worker.output))

    def answers() -> list[str]:
        return re.findall(r"(celery@\S+): OK", site.manage("celery", "inspect", "ping").stdout)

    wait_for(lambda: answers() == [name], what="the old worker to be gone, and the new one to answer")


TASKS = """
import os, time
from celery import shared_task

VERSION = 1

@shared_task
def slow():
    while not os.path.exists("go"):
        time.sleep(0.05)
"""


def test_replaced_worker__leaves_remote_control_to_the_new_one(site: Site, settings: str) -> None:
    """The old one has a task to finish; only one of the two answers."""
    site.minimal(settings=settings)
    site.write("shop/tasks.py", TASKS)
    worker = site.start_manage("runworker", "-l", "INFO", "-c", "1")
    worker.wait_for_output(" ready.")
    assert site.manage("enqueue", "slow").returncode == 0
    worker.wait_for_output("received")
    site.write("shop/tasks.py", TASKS.replace("VERSION = 1", "VERSION = 2"))
    worker.wait_for_output("waiting for shop.tasks.slow")
    wait_for(lambda: worker.output.count(" ready.") == 2)
    wait_for(lambda: site.manage("celery", "inspect", "ping").stdout.count("pong") == 1)
    assert "succeeded" not in worker.output
    (site.root / "go").touch()
    worker.wait_for_output("finished: shop.tasks.slow")


@pytest.fixture
def shop(rabbitmq: RabbitMQ, tmp_path: Path) -> Iterator[Any]:
    """An app in this process, with a queue of its own on the server."""
    with Celery("shop", broker=rabbitmq.url, set_as_current=False) as app:
        app.conf.task_default_queue = tmp_path.name
        app.task(name="shop.add", shared=False)(_add)
        yield app


def _add(x: int, y: int = 2) -> int:
    return x + y


def received(app: Any) -> list[Any]:
    """Return and remove what is in the queue, without what differs from message to message."""
    found = []
    with app.connection_for_read() as connection:
        queue = app.amqp.queues[app.conf.task_default_queue](connection.default_channel)
        while (message := queue.get(no_ack=True)) is not None:
            task_id = message.headers["id"]
            assert message.properties["correlation_id"] == message.headers["root_id"] == task_id
            parts = (message.headers, message.properties, message.body, message.content_type, message.content_encoding)
            assert abs(message.properties["timestamp"] - time.time()) < 60
            found.append(re.sub(r"'timestamp': \d+", "", repr(parts).replace(task_id, "id")))
    return found


@pytest.mark.parametrize("with_receiver", [False, True])
def test_many_calls__are_confirmed_and_those_of_apply_async(shop: Any, with_receiver: bool) -> None:
    def receive(headers: dict[str, Any], properties: dict[str, Any], **_: Any) -> None:
        headers["tenant"], properties["priority"] = {"id": 7}, 3

    if with_receiver:
        before_task_publish.connect(receive)
    try:
        options = {"priority": 1, "queue": shop.conf.task_default_queue}
        for n in range(4):
            shop.tasks["shop.add"].apply_async((n, "ä"), {}, **options)
        theirs = received(shop)
        calls = [Call(task="shop.add", args=(n, "ä"), options=options) for n in range(4)]
        batches = list(enqueue_many(shop, calls, batch_size=3))
    finally:
        before_task_publish.disconnect(receive)
    assert received(shop) == theirs
    assert [len(each.ids) for each in batches] == [3, 1]
    assert batches[0].slow == {"shop.add": "this broker takes no transaction; its confirms come in batches"}


def test_many_calls__to_a_queue_that_refuses_some_are_in_doubt(shop: Any) -> None:
    full = {"x-max-length": 2, "x-overflow": "reject-publish"}
    shop.conf.task_queues = [Queue(shop.conf.task_default_queue, queue_arguments=full)]
    with pytest.raises(InDoubt, match="broke off") as caught:
        list(enqueue_many(shop, [Call(task="shop.add", args=(n,)) for n in range(5)]))
    assert caught.value.calls == 5
    assert len(received(shop)) == 2


def test_many_calls__end_when_the_broker_takes_nothing(shop: Any, rabbitmq: RabbitMQ) -> None:
    """As in a memory alarm: it accepts what is sent, and confirms nothing."""
    calls = [Call(task="shop.add", args=(n,)) for n in range(5)]
    list(enqueue_many(shop, calls))
    rabbitmq.control("set_vm_memory_high_watermark", "0")
    try:
        began = time.monotonic()
        with pytest.raises((InDoubt, Unreachable)):
            list(enqueue_many(shop, calls))
        assert time.monotonic() - began < 40
    finally:
        rabbitmq.control("set_vm_memory_high_watermark", "0.6")
