"""The page "Tasks" on a real RabbitMQ: what it shows, what can be done, and that it says what cannot be known."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kombu
import pytest
from celery import Celery
from django.contrib.admin.models import LogEntry
from django.test import Client

from tasktools.admin.tasks_page import source
from tasktools.control.pause import read
from tasktools.discovery.celery_app import Found
from tasktools.project import Project
from tasktools.queues.pauses import utc_now
from tests.nodes import node
from tests.servers import RabbitMQ
from tests.support import wait_for

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = "/admin/tasktools/taskoverview/"


@pytest.fixture
def app(rabbitmq: RabbitMQ, tmp_path: Path, project: Project) -> Iterator[Celery]:
    """A site with a queue that a worker reads and one that nobody reads."""
    names = [f"{tmp_path.name}-{each}" for each in ("read", "unread")]
    made = Celery("rabbit", broker=rabbitmq.url, backend=f"file://{tmp_path}", set_as_current=False)
    made.conf.update(
        task_queues=[kombu.Queue(each) for each in names],
        task_default_queue=names[0],
        beat_schedule={"nightly": {"task": "celery.backend_cleanup", "schedule": 3600.0}},
    )
    project.found = Found(app=made)
    yield made
    source.outdate()
    with made.connection_for_write() as connection:
        for each in names:
            connection.default_channel.queue_delete(each)
    made.close()


def shown(client: Client, *what: str) -> str:
    """Return the page as soon as all this is on it."""

    def look() -> str:
        page = client.get(PAGE, {"wait": "1"}).content.decode()
        return page if all(each in page for each in what) else ""

    return str(wait_for(look, what=" and ".join(what), pause=0.2))


def worker_of(queue: str, task_id: str) -> dict[str, Any]:
    stats = {"pid": 7, "total": {}, "pool": {"implementation": "celery.concurrency.prefork:TaskPool"}}
    running = [{"id": task_id, "name": "shop.pay", "time_start": time.time() - 5}]
    return {
        "stats": lambda: stats,
        "active_queues": lambda: [{"name": queue}],
        "active": lambda **_: running,
        "revoke": lambda **_: {"ok": "noted"},
    }


def test_page__says_what_this_broker_does_not(app: Celery, admin_client: Client) -> None:
    read_queue, unread = (each.name for each in app.conf.task_queues)
    for _ in range(3):
        app.send_task("shop.pay", queue=unread)
    with node(app, "one@rabbit", worker_of(read_queue, "abc")), app.connection_for_read() as connection:
        consumer = connection.Consumer(kombu.Queue(read_queue), callbacks=[print])
        consumer.consume()
        # The broker counts what was sent a little later.
        cells = [f'data-label="{name}">{count}<' for name, count in (("Waiting", 3), ("Waiting", 0), ("Workers", 1))]
        page = shown(admin_client, "one@rabbit", 'data-label="Workers">0<', *cells)
        consumer.cancel()
    assert f"No worker reads a queue with messages: {unread}." in page
    rows = {name: page.split(f">{name}<")[1].split("</tr>")[0] for name in (read_queue, unread)}
    assert 'data-label="Waiting">3<' in rows[unread]
    assert 'data-label="Workers">0<' in rows[unread]
    assert 'data-label="Waiting">0<' in rows[read_queue]
    assert 'data-label="Workers">1<' in rows[read_queue]
    assert "Oldest" not in page
    assert "nor for how long messages have waited" in page
    assert "This broker keeps no numbers" in page
    assert "This broker does not say which beat is in charge, nor when entries last ran." in page
    assert "do/run/?name=nightly" in page


def test_buttons__do_it(app: Celery, admin_client: Client) -> None:
    name, ident = app.conf.task_default_queue, str(uuid.uuid4())
    with node(app, "one@rabbit", worker_of(name, ident)):
        admin_client.post(f"{PAGE}do/pause/", {"name": name, "reason": "a deployment"})
        assert [(each.name, each.reason) for each in read(app, utc_now())] == [(name, "a deployment")]
        assert "(<bdi>a deployment</bdi>)" in shown(admin_client, "one@rabbit")
        admin_client.post(f"{PAGE}do/resume/", {"name": name})
        assert read(app, utc_now()) == []
        admin_client.post(f"{PAGE}do/revoke/", {"name": ident})
    assert [each.change_message for each in LogEntry.objects.order_by("pk")] == ["Paused.", "Resumed.", "Revoked."]


def test_task__that_waits_and_one_that_nobody_knows_look_the_same(app: Celery, admin_client: Client) -> None:
    sent = app.send_task("shop.pay", queue=app.conf.task_queues[1].name)
    for ident in (sent.id, str(uuid.uuid4())):
        page = admin_client.get(f"{PAGE}task/", {"id": ident}).content.decode()
        assert "not all queues of this broker can be read: it waits, or nobody sent it" in page
        assert "do/revoke/" in page
