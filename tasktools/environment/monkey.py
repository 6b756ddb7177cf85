"""gevent and eventlet: whether this process is patched for one of them, and how one starts that is.

Both replace parts of the standard library (socket, threading, time). What has been imported before keeps the old parts, so
a process is patched ahead of all else. As a script, this file does that and then runs what the command line names:

    python .../tasktools/environment/monkey.py POOL SCRIPT [WORDS]
    python .../tasktools/environment/monkey.py POOL -m MODULE [WORDS]
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

#: The pools of Celery that need it, and which module answers by which function what has been patched.
_ANSWERS = {"gevent": ("gevent.monkey", "is_module_patched"), "eventlet": ("eventlet.patcher", "is_monkey_patched")}
POOLS = tuple(_ANSWERS)

#: What a worker of the pool needs patched, by the pool's own names.
_NEEDED = {"gevent": ("socket", "time", "threading"), "eventlet": ("socket", "time", "thread")}


def is_patched(pool: str) -> bool:
    """Whether this process can be a worker of `pool`."""
    return _are_patched(pool, *_NEEDED[pool])


def switches() -> bool:
    """Whether to wait means here to let other greenlets run: a signal handler may then not wait, nor raise.

    It runs in the greenlet of the event loop, which nothing may block. gevent prints what is raised there; eventlet's ends.
    """
    return any(_are_patched(pool, "socket") for pool in POOLS)


def command(pool: str, words: Sequence[str]) -> list[str]:
    """Return the command line `words` (Python, its options, and what it runs) in a form that patches for `pool` first."""
    first = next((n for n, word in enumerate(words) if n and not word.startswith(("-W", "-X"))), len(words))
    return [*words[:first], os.path.abspath(__file__), pool, *words[first:]]


def _are_patched(pool: str, *names: str) -> bool:
    module, function = _ANSWERS[pool]
    answers = getattr(sys.modules.get(module), function, None)
    return answers is not None and all(answers(name) for name in names)


def _run(pool: str, words: list[str]) -> None:
    """Patch, and run a command line as Python would."""
    module = words.pop(0) == "-m" if words[0] == "-m" else False
    here = os.path.dirname(os.path.abspath(__file__))
    if sys.path and os.path.abspath(sys.path[0]) == here:  # not with Python's option -P
        sys.path[0] = os.getcwd() if module else os.path.dirname(os.path.realpath(words[0]))
    from celery import maybe_patch_concurrency

    maybe_patch_concurrency(["celery", "--pool", pool])
    import runpy

    sys.argv[:] = words
    if module:
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    _run(sys.argv[1], sys.argv[2:])
