"""Workers send events of tasks only if they are told to: by -E, by a setting, or by remote control.

A worker's answer says whether it already sent them. Only those are turned off at the end that were turned on here.
"""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from tasktools.brokers import broker_of
from tasktools.brokers.reach import came_from_broker, connect
from tasktools.brokers.timeouts import TimedOut, within_thread
from tasktools.events.handing_on import hand_on, stay, taken_over
from tasktools.exceptions import TasktoolsError

if TYPE_CHECKING:
    from celery import Celery

#: How long answers are waited for after the last one, in seconds, and how long it may take to turn them off.
PATIENCE = 2.0
LIMIT = 2.5

#: What Celery's command enable_events answers if it has changed something (celery.worker.control).
_ENABLED = "task events enabled"


class Switch:
    """Turns the events of workers on, in threads of its own, and off again."""

    def __init__(self, app: Celery) -> None:
        self.app = app
        self._name = uuid.uuid4().hex
        self._lock = threading.Lock()  # the thread that hears the answers adds to what the main thread reads
        #: The workers that sent none before.
        self.turned_on: set[str] = set()
        self._news: SimpleQueue[str] = SimpleQueue()
        #: How many workers have answered.
        self.answers = 0

    def turn_on(self, names: Sequence[str] | None = None) -> None:
        """Turn on the events of these workers, or of all. It returns at once."""
        _in_thread(self._tell, "enable_events", names, reply=True, timeout=PATIENCE, callback=self._answered)

    def notice(self, event: Mapping[str, Any]) -> None:
        """Take over the workers of another watcher that leaves, if this is its event."""
        found = taken_over(event, self._name)
        if found is not None:
            leaver, workers = found
            with self._lock:
                self.turned_on |= workers
            _in_thread(stay, self.app, leaver)

    def news(self) -> list[str]:
        """Return the workers that were turned on since the last call."""
        found = []
        with contextlib.suppress(Empty):
            while True:
                found.append(self._news.get_nowait())
        return found

    def turn_off(self) -> None:
        """Turn off what was turned on, unless another watcher stays. A broker that has gone is no error."""
        with self._lock:
            names = list(self.turned_on)
        if names:
            with contextlib.suppress(TimedOut):
                within_thread(LIMIT, self._turn_off, sorted(names))

    def _turn_off(self, names: Sequence[str]) -> None:
        with _forgiven():
            if hand_on(self.app, self._name, names):
                return
        self._tell("disable_events", names)

    def _tell(self, command: str, names: Sequence[str] | None, **options: Any) -> None:
        with _forgiven(), connect(broker_of(self.app), LIMIT) as connection:
            self.app.control.broadcast(command, destination=names, connection=connection, **options)

    def _answered(self, body: Any) -> None:
        for name, answer in body.items() if isinstance(body, Mapping) else ():
            self.answers += 1
            if isinstance(answer, Mapping) and answer.get("ok") == _ENABLED:
                with self._lock:
                    self.turned_on.add(name)
                self._news.put(str(name))


def _in_thread(call: Callable[..., None], *args: Any, **options: Any) -> None:
    def run() -> None:
        with _forgiven():
            call(*args, **options)

    threading.Thread(target=run, daemon=True, name=call.__name__).start()


@contextlib.contextmanager
def _forgiven() -> Iterator[None]:
    """Go on if the broker fails: whoever follows the events says so."""
    try:
        yield
    except (TasktoolsError, OSError):
        return
    except Exception as error:
        if not came_from_broker(error):
            raise
