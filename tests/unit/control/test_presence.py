from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from tasktools.control import presence as module
from tasktools.control.names import MARK, connection_name, worker_of
from tasktools.control.presence import Presence, of_redis
from tasktools.exceptions import Unreachable


@pytest.mark.parametrize(
    ("silent", "absent", "named", "found"),
    [
        (0, "", "", Presence(silent=[], unknown=[], unnamed=0)),
        (0, "ab", "", Presence(silent=[], unknown=[], unnamed=0)),  # all were killed
        (2, "ab", "", Presence(silent=["a", "b"], unknown=[], unnamed=0)),
        (1, "ab", "", Presence(silent=[], unknown=["a", "b"], unnamed=1)),
        (1, "ab", "b", Presence(silent=["b"], unknown=[], unnamed=0)),
        (2, "abc", "b", Presence(silent=["b"], unknown=["a", "c"], unnamed=1)),
        (3, "abc", "b", Presence(silent=["a", "b", "c"], unknown=[], unnamed=0)),
        (3, "a", "", Presence(silent=["a"], unknown=[], unnamed=2)),
        (1, "ab", "ab", Presence(silent=["a", "b"], unknown=[], unnamed=0)),  # one has just begun to listen
        (1, "a", "x", Presence(silent=["a"], unknown=[], unnamed=0)),
    ],
)
def test_of_redis__who_is_silent(silent: int, absent: str, named: str, found: Presence) -> None:
    assert of_redis(silent, frozenset(absent), frozenset(named)) == found


def test_connection_name__is_one_that_redis_takes() -> None:
    assert connection_name("celery@h 1\n") == f"{MARK}celery@h%201%0A"
    assert worker_of(connection_name("celery@h 1\n")) == "celery@h 1\n"
    assert worker_of("celery@h") is None


class Silent:
    """A connection to a server that says no goodbye."""

    def __init__(self) -> None:
        self.ends = threading.Event()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        self.ends.wait(20)


def test_look__a_server_that_says_no_goodbye_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise Unreachable("It does not answer.")

    connection = Silent()
    monkeypatch.setattr(module, "broker_of", lambda _: SimpleNamespace(name="The broker"))
    monkeypatch.setattr(module, "connect", lambda *_: connection)
    monkeypatch.setattr(module, "reach", fail)
    began = time.monotonic()
    with pytest.raises(Unreachable):
        module._look(None, None)  # type: ignore[arg-type]
    connection.ends.set()
    assert time.monotonic() - began < 5
