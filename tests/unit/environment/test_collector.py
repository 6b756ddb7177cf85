from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from tasktools.environment import collector


@pytest.fixture(autouse=True)
def collecting() -> Iterator[None]:
    """The collector runs during the test, and whatever was frozen can be collected after it."""
    assert gc.isenabled()
    yield
    gc.enable()
    gc.unfreeze()


def test_pause__of_our_command_until_the_call() -> None:
    resume = collector.pause(["manage.py", "enqueue", "add", "2", "2"])
    assert (gc.isenabled(), gc.get_freeze_count()) == (False, 0)
    resume()
    assert gc.isenabled()
    assert gc.get_freeze_count() > 1000
    frozen = gc.get_freeze_count()
    kept = [[] for _ in range(10)]
    resume()
    assert gc.get_freeze_count() <= frozen, "a second call freezes nothing that the command has made"
    assert kept


@pytest.mark.parametrize("argv", [["manage.py", "migrate"], ["manage.py"], [], ["pytest", "tests"]])
def test_pause__of_other_processes_nothing(argv: list[str]) -> None:
    resume = collector.pause(argv)
    assert gc.isenabled()
    resume()
    assert (gc.isenabled(), gc.get_freeze_count()) == (True, 0)


def test_pause__somebody_who_has_switched_it_off_keeps_it_off() -> None:
    gc.disable()
    collector.pause(["manage.py", "enqueue"])()
    assert (gc.isenabled(), gc.get_freeze_count()) == (False, 0)
