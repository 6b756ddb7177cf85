"""What listens for remote control as a worker does, in a thread of the test: kombu's own node, without a worker around it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.support import wait_for

Handlers = Mapping[str, Callable[..., Any]]


@contextlib.contextmanager
def node(app: Any, name: str, handlers: Handlers, *, answers: bool = True) -> Iterator[None]:
    """Listen as the worker `name`. One that does not answer is subscribed and takes nothing, as a process that is stopped."""
    stop, listens = threading.Event(), threading.Event()
    functions = {key: _without_state(function) for key, function in handlers.items()}

    def run() -> None:
        with app.connection_for_read() as connection:
            mailbox = app.control.mailbox(connection)
            consumer = mailbox.Node(name, handlers=functions, channel=connection.default_channel).listen()
            with contextlib.suppress(TimeoutError):
                connection.drain_events(timeout=0.05)  # only then a client of Redis subscribes
            listens.set()
            while not stop.wait(0.01):
                if answers:
                    with contextlib.suppress(TimeoutError):
                        connection.drain_events(timeout=0.05)
            consumer.cancel()

    thread = threading.Thread(target=run, daemon=True, name=name)
    thread.start()
    wait_for(listens.is_set, what=name)
    try:
        yield
    finally:
        stop.set()
        thread.join(10)


def _without_state(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda state, **arguments: function(**arguments)
