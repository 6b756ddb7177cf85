from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connections, transaction

from tasktools.failures import own_connection as module
from tasktools.failures.own_connection import OwnConnection, Uses
from tests.support import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnConnection]:
    """Give one to a file, as a site has it."""
    create = connections.create_connection

    def of_file(alias: str) -> Any:
        made = create(alias)
        made.settings_dict = {**made.settings_dict, "NAME": str(tmp_path / "db"), "OPTIONS": {"pool": True}}
        return made

    monkeypatch.setattr(connections, "create_connection", of_file)
    made = OwnConnection()
    yield made
    made.close()


def ask(own: OwnConnection) -> Any:
    """Use the connection; return that of the driver."""
    with own.used("default") as one, one.cursor() as cursor:
        assert connections["default"] is one
        cursor.execute("SELECT 1")
    return one


def test_used__it_stays_open_and_is_in_its_place_for_the_time_of_the_use(own: OwnConnection) -> None:
    before = connections["default"]
    first = ask(own)
    assert connections["default"] is before
    driver = first.connection
    assert driver is not None
    assert "pool" not in first.settings_dict["OPTIONS"]
    assert (ask(own), first.connection) == (first, driver)


def test_used__an_error_closes_it(own: OwnConnection) -> None:
    before, first = connections["default"], ask(own)
    with pytest.raises(OperationalError), own.used("default") as one, one.cursor() as cursor:
        cursor.execute("SELECT * FROM nothing")
    assert first.connection is None
    assert connections["default"] is before
    assert ask(own) is not first


def test_used__it_has_an_age(own: OwnConnection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a worker whose tasks fail all day writes for ever into a file that was replaced."""
    now = time.monotonic()
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    first = ask(own)
    now += module.MOST - 0.1
    assert ask(own) is first
    now += 0.2
    assert ask(own) is not first
    assert first.connection is None


def test_used__a_transaction_of_this_thread_goes_on(own: OwnConnection) -> None:
    """As in a project's tests."""
    with transaction.atomic(), own.used("default") as one:
        assert one is connections["default"]


def test_fork__closes_it_in_its_own_thread(own: OwnConnection) -> None:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(ask(own)))
    thread.start()
    thread.join(30)
    uses = Uses(own.close)
    assert found[0].connection is not None
    uses.before_fork()
    assert found[0].connection is None
    uses.after_fork()
    assert not uses._lock.locked()


def test_fork__leaves_it_to_a_use_that_takes_long(own: OwnConnection) -> None:
    first, uses, gate = ask(own), Uses(own.close), threading.Event()

    def use() -> None:
        with uses.one():
            assert gate.wait(30)

    thread = threading.Thread(target=use)
    thread.start()
    wait_for(uses._lock.locked)
    uses.before_fork()
    uses.after_fork()
    uses.end()
    assert first.connection is not None
    gate.set()
    thread.join(30)
    uses.end()
    assert first.connection is None
    assert not uses._lock.locked()


def test_fork__gives_back_only_what_its_thread_took(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FORK_WAIT", 0.01)
    uses = Uses(lambda: None)

    def fork() -> None:
        uses.before_fork()
        uses.after_fork()

    uses.before_fork()
    thread = threading.Thread(target=fork)
    thread.start()
    thread.join(30)
    assert uses._lock.locked()
    uses.after_fork()
    assert not uses._lock.locked()
    uses.after_fork()  # of a fork that did not get it
    with uses.one():
        uses.before_fork()
        uses.after_fork()
        assert uses._lock.locked()


def test_fork__waits_for_the_fork_of_another_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """A use that began in between would open a connection, which its child would inherit."""
    monkeypatch.setattr(module, "FORK_WAIT", 30.0)
    uses, took = Uses(lambda: None), threading.Event()

    def fork() -> None:
        uses.before_fork()
        took.set()
        uses.after_fork()

    uses.before_fork()
    thread = threading.Thread(target=fork)
    thread.start()
    assert not took.wait(0.1)
    uses.after_fork()
    assert took.wait(20)
    thread.join(30)
    assert not uses._lock.locked()


def test_fork__inside_of_another_one_gives_it_back_once() -> None:
    """A hook of the project's may start a process."""
    uses = Uses(lambda: None)
    uses.before_fork()
    uses.before_fork()
    uses.after_fork()
    uses.after_fork()
    assert not uses._lock.locked()


def test_fork__of_a_child_touches_nothing() -> None:
    closed: list[None] = []
    uses = Uses(lambda: closed.append(None))
    uses.before_fork()
    uses._process = -1
    uses.before_fork()
    uses.after_fork()
    assert (uses._lock.locked(), len(closed)) == (True, 1)
