"""What code of the project hands on to `app.send_task` -> another function, for the calls of one batch only."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

_LOCK = threading.Lock()

Way = Callable[..., Any]


class Switch:
    """Stands in for `app.send_task`. Calls with another producer, of other threads too, go to Celery's as ever."""

    def __init__(self, app: Any) -> None:
        self._celerys = app.send_task
        #: By the id of a producer.
        self.ways: dict[int, Way] = {}

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self.ways.get(id(options.get("producer")), self._celerys)(*args, **options)


@contextlib.contextmanager
def handed_on(app: Any, producer: object, way: Way) -> Iterator[None]:
    """Have `app.send_task` call `way` inside the block, if it is called with `producer`: `Task.apply_async` ends with that."""
    own = vars(app)
    with _LOCK:
        switch = own.get("send_task") or own.setdefault("send_task", Switch(app))
        switch.ways[id(producer)] = way
    try:
        yield
    finally:
        with _LOCK:
            del switch.ways[id(producer)]
            if not switch.ways:
                del own["send_task"]


class Overlay:
    """An object with some other attributes."""

    def __init__(self, under: object, **attributes: object) -> None:
        self._under = under
        vars(self).update(attributes)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._under, name)
