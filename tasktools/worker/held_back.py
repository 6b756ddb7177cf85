"""The tasks that a worker has reserved and not begun, in the order in which it got them, so that they can go back."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tasktools.worker.pool_options import request_of

if TYPE_CHECKING:
    from tasktools.worker.protocols import Message, Request

#: What a job of a thread returns that may not begin.
_SKIPPED = object()


#: A queue, and a task of it; "" for the whole queue.
Place = tuple[str, str]


class HeldBack:
    """Decides for each reserved task, once, whether it begins or goes back. The threads of a pool use it too.

    Once a task is to go back, all that came after it goes back too, until they have gone, also if the pause is over by then:
    else they would change places.
    """

    def __init__(self, holds: Callable[[Place], Place | None]) -> None:
        """`holds` returns what is paused of a task of a queue: the queue, or the task; None if nothing is."""
        self._holds = holds
        self._lock = threading.Lock()
        #: By id(): a request that goes back may come again with the same task id.
        self._waiting: dict[int, Request] = {}
        #: Those that should have begun while their queue was paused.
        self._skipped: set[int] = set()
        #: What was paused when a task or a message should have begun.
        self._closed: set[Place] = set()

    @property
    def closed_queues(self) -> frozenset[str]:
        """The queues to whose front something is to go back."""
        with self._lock:
            return frozenset(queue for queue, task in self._closed if not task)

    def refuses(self, place: Place) -> bool:
        """Whether a message that has come now goes back."""
        with self._lock:
            return self._stops(place)

    def reopen(self) -> None:
        """Let begin again what is not paused, if all has gone back."""
        with self._lock:
            if not self._skipped:
                self._closed.clear()

    def _stops(self, place: Place) -> bool:
        held = self._holds(place)
        if held is not None:
            self._closed.add(held)
        return held is not None or (place[0], "") in self._closed or place in self._closed

    def add(self, request: Request) -> None:
        with self._lock:
            self._waiting[id(request)] = request

    def forget(self, request: Request) -> None:
        """It will not begin, and not go back again: it has gone back, is revoked or has expired."""
        with self._lock:
            self._waiting.pop(id(request), None)
            self._skipped.discard(id(request))

    def clear(self) -> None:
        """Forget all: Celery has, with the connection."""
        with self._lock:
            self._waiting.clear()
            self._skipped.clear()
            self._closed.clear()

    def begin(self, request: Request) -> bool:
        """Whether the task may begin now; if not, it goes back or has gone."""
        with self._lock:
            key = id(request)
            if key not in self._waiting or key in self._skipped:
                return False
            if self._stops(place_of(request)):
                self._skipped.add(key)
                return False
            del self._waiting[key]
            return True

    def leaves(self, request: Request) -> bool:
        """Whether the task goes back, for its queue is paused now; if not, `begin` decides later."""
        with self._lock:
            if self._stops(place_of(request)):
                self._skipped.add(id(request))
            return id(request) in self._skipped

    @property
    def any_leaves(self) -> bool:
        """Whether a task is to go back."""
        with self._lock:
            return any(key in self._skipped or self._stops(place_of(each)) for key, each in self._waiting.items())

    def leaving(self) -> list[Request]:
        """Return the tasks that go back, the one that came first ahead. None of them begins; `forget` those that have gone."""
        with self._lock:
            found = {
                key: each for key, each in self._waiting.items() if key in self._skipped or self._stops(place_of(each))
            }
            for key in [key for key, each in found.items() if each.acknowledged]:
                del found[key], self._waiting[key]
                self._skipped.discard(key)
            self._skipped.update(found)
        return list(found.values())

    def guarded(self, apply: Callable[..., object], skipped: Callable[[], object]) -> Callable[..., object]:
        """Return a pool's `on_apply` whose jobs do nothing if their task may not begin; then `skipped` is called."""

        def on_apply(target: Any, args: Any = None, kwargs: Any = None, **options: Any) -> object:
            accept, done = options.get("accept_callback"), options.get("callback")
            request = request_of(options)
            if accept is None or request is None:
                return apply(target, args, kwargs, **options)
            begun: list[bool] = []

            @functools.wraps(accept)
            def accepting(*words: Any) -> None:
                begun.append(self.begin(request))
                if begun[-1]:
                    accept(*words)
                else:
                    skipped()

            def run(*words: Any, **more: Any) -> object:
                return target(*words, **more) if begun and begun[-1] else _SKIPPED

            def ending(result: Any) -> None:
                if result is not _SKIPPED and done is not None:
                    done(result)

            return apply(run, args, kwargs, **{**options, "accept_callback": accepting, "callback": ending})

        return on_apply


def place_of(request: Request) -> Place:
    """Return the queue and the name of a task."""
    return queue_of(request.message), request.name


def queue_of(message: Message) -> str:
    """Return the queue from which a message came."""
    return getattr(message, "tasktools_queue", "")
