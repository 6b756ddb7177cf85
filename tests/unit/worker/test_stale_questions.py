"""A worker that was busy leaves out what the admin asked long ago."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from celery.worker.pidbox import Pidbox

from tasktools.control.replies import Replies
from tasktools.worker import stale_questions
from tasktools.worker.stale_questions import MARGIN

OURS = {"exchange": "", "routing_key": Replies().name}
OTHERS = {"exchange": "reply.celery.pidbox", "routing_key": "some-id"}


@pytest.mark.parametrize(
    ("reply_to", "expires", "is_answered"),
    [
        (OURS, 1_000.0 - MARGIN - 1, False),
        (OURS, 1_000.0 - MARGIN + 1, True),  # the clocks may differ
        (OURS, None, True),
        (OTHERS, 0.0, True),  # of `inspect`
        (None, 0.0, True),  # of `revoke` and `shutdown`
    ],
)
def test_question__that_has_expired_is_left_out(reply_to: Any, expires: Any, is_answered: bool) -> None:
    app = Celery("test", broker="memory://", set_as_current=False)
    stale_questions.install(app)
    stale_questions.install(app)  # of a second worker in the process
    asked: list[Any] = []
    box = Pidbox(SimpleNamespace(app=app, hostname="a@h", controller=SimpleNamespace(use_eventloop=False)))
    box.node.now = lambda: 1_000.0
    box.node.dispatch = lambda **body: asked.append(body["method"])
    body = {"method": "stats", "arguments": {}, "reply_to": reply_to}
    box.on_message(body, SimpleNamespace(headers={"expires": expires, "clock": 1}))
    assert asked == (["stats"] if is_answered else [])


def test_node__is_of_other_code_too() -> None:
    from kombu.pidbox import Node

    class Special(Node):
        pass

    app = Celery("test", broker="memory://", set_as_current=False)
    app.control.mailbox.node_cls = Special
    stale_questions.install(app)
    stale_questions.install(app)
    assert [each.__name__ for each in app.control.mailbox.node_cls.__mro__[:3]] == ["FreshNode", "_Fresh", "Special"]
