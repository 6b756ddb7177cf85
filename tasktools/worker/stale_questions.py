"""A worker that was busy does not answer what the admin has asked in the meantime: nobody takes these replies any more.

kombu sends when a question expires, and its workers answer it all the same. A solo pool that has run a task for an hour would
answer hundreds. What others ask (inspect) and what workers are told to do (revoke, shutdown) is left as it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from kombu.pidbox import Node

from tasktools.celery_compat import MAILBOX, NODE_CLASS
from tasktools.control.replies import ENDING

if TYPE_CHECKING:
    from celery import Celery

#: How long a question is answered after its end, in seconds: the clocks of two machines differ.
MARGIN = 30.0


def install(app: Celery) -> None:
    """Have the worker that is about to start in this process do so."""
    mailbox = MAILBOX.of(app.control)
    known = NODE_CLASS.of(mailbox)
    if not issubclass(known, _Fresh):
        NODE_CLASS.put(mailbox, type("FreshNode", (_Fresh, known), {}))


class _Fresh(Node):  # type: ignore[misc, unused-ignore]
    """What listens for remote control."""

    now: Callable[[], float] = staticmethod(time.time)

    def handle_message(self, body: Any, message: Any = None) -> Any:
        if message is not None and is_stale(body, message.headers, self.now()):
            return None
        return super().handle_message(body, message)


def is_stale(body: Any, headers: Any, now: float) -> bool:
    """Whether it is a question of the admin that has expired."""
    reply_to = body.get("reply_to") if isinstance(body, Mapping) else None
    key = reply_to.get("routing_key") if isinstance(reply_to, Mapping) else None
    expires = headers.get("expires") if isinstance(headers, Mapping) else None
    return (
        isinstance(key, str) and key.endswith(ENDING) and isinstance(expires, (int, float)) and now > expires + MARGIN
    )
