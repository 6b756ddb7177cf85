"""gevent and eventlet: check whether this process is patched for one of them, and start a process that is.

Both replace parts of the standard library (socket, threading, time). Modules that were imported before keep the old parts,
so a process must be patched before everything else. As a script, this file does that and then runs what its arguments name:

    python .../tasktools/environment/monkey.py POOL SCRIPT [WORDS]
    python .../tasktools/environment/monkey.py POOL -m MODULE [WORDS]
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

#: Celery's pools that need it, and for each the module and its function that say what has been patched.
_ANSWERS = {"gevent": ("gevent.monkey", "is_module_patched"), "eventlet": ("eventlet.patcher", "is_monkey_patched")}
POOLS = tuple(_ANSWERS)

#: The modules that a worker of the pool needs patched, by the names that the pool's library uses.
_NEEDED = {"gevent": ("socket", "time", "threading"), "eventlet": ("socket", "time", "thread")}


def is_patched(pool: str) -> bool:
    """Whether this process can be a worker of `pool`."""
    return _are_patched(pool, *_NEEDED[pool])


def switches() -> bool:
    """Whether waiting lets other greenlets run in this process: a signal handler then must not wait or raise.

    The handler runs in the greenlet of the event loop, which nothing may block. gevent prints an error there; eventlet's stops.
    """
    return any(_are_patched(pool, "socket") for pool in POOLS)


def command(pool: str, words: Sequence[str]) -> list[str]:
    """Return a form of the command line `words` (Python, its options, and what it runs) that patches for `pool` first."""
    from tasktools.environment import as_python

    return as_python.command(__file__, [pool], words)


def _are_patched(pool: str, *names: str) -> bool:
    module, function = _ANSWERS[pool]
    answers = getattr(sys.modules.get(module), function, None)
    return answers is not None and all(answers(name) for name in names)


def _patch(pool: str) -> None:
    from celery import maybe_patch_concurrency

    maybe_patch_concurrency(["celery", "--pool", pool])


if __name__ == "__main__":
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    from tasktools.environment.as_python import run

    del sys.path[-1]
    run(sys.argv[2:], prepared_by=__file__, first=lambda: _patch(sys.argv[1]))
