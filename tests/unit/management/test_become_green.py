"""Which pool a worker will have, and whether its process starts again for it."""

from __future__ import annotations

import sys
import warnings
from types import SimpleNamespace
from typing import Any

import pytest

from tasktools.environment import monkey
from tasktools.exceptions import AppError, UsageError
from tasktools.management import become_green


def app_with(pool: Any) -> Any:
    return lambda: SimpleNamespace(conf=SimpleNamespace(worker_pool=pool))


@pytest.mark.parametrize(
    ("typed", "variable", "configured", "pool"),
    [
        ("gevent", None, "prefork", "gevent"),
        ("solo", None, "gevent", "solo"),
        (None, None, "prefork", "prefork"),
        (None, None, "gevent", "gevent"),
        (None, None, "celery.concurrency.eventlet:TaskPool", "eventlet"),
        (None, "eventlet", "prefork", "eventlet"),
        ("threads", "eventlet", "prefork", "threads"),
        # For Celery "prefork" is what was not typed (celery.bin.worker.WorkersPool).
        ("prefork", None, "gevent", "gevent"),
    ],
)
def test_pool__is_the_one_that_celery_chooses(
    monkeypatch: pytest.MonkeyPatch, typed: str | None, variable: str | None, configured: str, pool: str
) -> None:
    monkeypatch.delenv("CELERY_WORKER_POOL", raising=False)
    if variable:
        monkeypatch.setenv("CELERY_WORKER_POOL", variable)
    with warnings.catch_warnings():
        assert become_green.pool_of_worker(typed, app_with(configured)) == pool


def test_pool_of_the_settings__is_not_warned_of() -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        become_green.pool_of_worker(None, app_with("gevent"))
        from celery.worker.components import W_POOL_SETTING

        warnings.warn(W_POOL_SETTING, UserWarning, stacklevel=1)
        warnings.warn("another", UserWarning, stacklevel=1)
    assert [str(each.message) for each in seen] == ["another"]


def test_app_that_cannot_be_found__is_told_later() -> None:
    def find() -> Any:
        raise AppError("No app.", hint="none")

    assert become_green.pool_of_worker(None, find) is None


@pytest.mark.parametrize(
    ("words", "pool"),
    [
        (["worker", "-P", "gevent"], "gevent"),
        (["-A", "proj", "worker", "-Pgevent"], "gevent"),
        (["worker", "--pool=eventlet"], "eventlet"),
        (["worker", "--pool", "eventlet", "-c", "2"], "eventlet"),
        (["worker", "-P"], None),
        (["worker", "-c", "2"], None),
        (["worker", "-P", "gevent", "--detach"], None),
        (["multi", "start", "worker", "-P", "gevent"], None),
        (["inspect", "ping", "-P", "gevent"], None),
    ],
)
def test_words__name_the_pool_of_a_worker(words: list[str], pool: str | None) -> None:
    assert become_green.pool_of_words(words) == pool


@pytest.mark.parametrize("pool", [None, "prefork", "solo", "threads", "nosuch"])
def test_pools_without_greenlets__need_no_patches(pool: str | None) -> None:
    assert not become_green.lacks_patches(pool, own_process=True)


@pytest.mark.parametrize("pool", monkey.POOLS)
def test_green_pool__needs_a_start_of_its_own(pool: str) -> None:
    assert become_green.lacks_patches(pool, own_process=True)
    with pytest.raises(UsageError, match=rf"^The pool {pool} needs Python patched ahead of all imports") as caught:
        become_green.lacks_patches(pool, own_process=False)
    assert f"runworker -P {pool}" in caught.value.hint


def test_green_pool_that_is_not_installed__is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"^The pool gevent needs gevent, which is not installed\.$") as caught:
        become_green.lacks_patches("gevent", own_process=True)
    assert caught.value.hint == "pip install gevent"


def test_start_again__becomes_the_same_command_line_patched(monkeypatch: pytest.MonkeyPatch) -> None:
    became: list[Any] = []
    monkeypatch.setattr("os.execv", lambda *words: became.append(words))
    monkeypatch.setattr(become_green, "get_child_arguments", lambda: [sys.executable, "manage.py", "runworker"])
    become_green.start_again("gevent")
    command = [sys.executable, monkey.command("gevent", ["", "x"])[1], "gevent", "manage.py", "runworker"]
    assert became == [(sys.executable, command)]
