"""A worker on gevent or eventlet: its process starts again, patched before all imports, as `celery -P gevent` does it."""

from __future__ import annotations

import importlib.util
import os
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeGuard

from django.utils.autoreload import get_child_arguments

from tasktools.environment import monkey
from tasktools.exceptions import UsageError
from tasktools.management.streams import flush
from tasktools.supervisor import reports


def pool_of_worker(typed: str | None, find_app: Callable[[], Any]) -> str | None:
    """Return the name of the pool that a worker will have, as Celery chooses it."""
    pool = typed or os.environ.get("CELERY_WORKER_POOL")  # which click reads
    return _configured(find_app) if pool in (None, "", "prefork") else pool  # "prefork" does not overrule the settings


def pool_of_words(words: Sequence[str]) -> str | None:
    """Return the value of -P or --pool in the words of a `celery worker`; None for every other command."""
    if "worker" not in words or {"multi", "-D", "--detach"} & set(words):
        return None
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if name in ("-P", "--pool"):
            return value if equals else next(rest, None)
        if word.startswith("-P"):
            return word[2:]
    return None


def lacks_patches(pool: str | None, *, own_process: bool) -> TypeGuard[str]:
    """Whether this process must start again for `pool`.

    Raises UsageError if the pool's package is not installed, or if the process is not the command's own.
    """
    if pool not in monkey.POOLS or monkey.is_patched(pool):
        return False
    if importlib.util.find_spec(pool) is None:
        raise UsageError(f"The pool {pool} needs {pool}, which is not installed.", hint=f"pip install {pool}")
    if not own_process:
        raise UsageError(
            f"The pool {pool} needs Python patched ahead of all imports, and this process has begun without.",
            hint=f"call manage.py runworker -P {pool}, or patch in the first line of the script",
        )
    return True


def start_again(pool: str) -> NoReturn:
    """Replace this process with the same command line, patched for `pool`."""
    flush()
    reports.pass_on()
    command = monkey.command(pool, [str(word) for word in get_child_arguments()])
    os.execv(command[0], command)


def _configured(find_app: Callable[[], Any]) -> str | None:
    """Return the pool that the settings name. Celery warns that it is too late to patch; here it is not too late."""
    try:
        found = find_app().conf.worker_pool
    except Exception:  # noqa: BLE001 - if the app or the settings cannot be read, that is reported where the worker needs them
        return None
    for pool in monkey.POOLS:
        if found in (pool, f"celery.concurrency.{pool}:TaskPool"):
            warnings.filterwarnings("ignore", r"\s*The worker_pool setting shouldn't be used", UserWarning)
            return pool
    return str(found)
