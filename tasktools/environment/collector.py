"""Python's garbage collector while a command starts."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence

from tasktools.environment.interrupts import is_ours


def pause(argv: Sequence[str]) -> Callable[[], None]:
    """Stop the collector of a process that runs one of our commands, and return the function that starts it again.

    What an import makes stays until the process ends. The collector looks at all of it many times while Django and Celery are
    imported, and again when Python ends: together a quarter of the time of a short command. After the pause, the collector no
    longer looks at what was made before (`gc.freeze`). So a pool of a worker also shares more memory with its parent.
    """
    if not is_ours(argv) or not gc.isenabled():
        return lambda: None
    gc.disable()
    return _resume


def _resume() -> None:
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
