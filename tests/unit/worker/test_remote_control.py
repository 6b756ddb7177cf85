"""The queue by which a worker that others replace hears of remote control."""

from __future__ import annotations

import os

import pytest
from celery import Celery

from tasktools.worker import remote_control


@pytest.mark.parametrize(
    ("broker", "name"),
    [("amqp://", f"celery@web1.{os.getpid()}.celery.pidbox"), ("redis://", "celery@web1.celery.pidbox")],
    ids=["amqp", "redis"],
)
def test_separate__own_queue_where_it_can_be_locked_and_the_same_node(broker: str, name: str) -> None:
    app = Celery("test", broker=broker, set_as_current=False)
    remote_control.separate(app)
    node = app.control.mailbox.Node("celery@web1")
    assert node.mailbox.get_queue(node.hostname).name == name
    assert node.mailbox.get_queue(node.hostname).exchange.name == "celery.pidbox"
    assert node.hostname == "celery@web1"
