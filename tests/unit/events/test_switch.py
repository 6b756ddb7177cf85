"""The answers of workers say which of them were turned on."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any

import pytest
from celery.worker import control

from tasktools.events import switch
from tasktools.events.switch import Switch


def answer(*groups: str) -> Any:
    """Return what a worker of the installed Celery answers whose dispatcher has these groups; it has all if there are none."""
    dispatcher = SimpleNamespace(groups=set(groups))
    return control.enable_events(SimpleNamespace(consumer=SimpleNamespace(event_dispatcher=dispatcher)))


def test_switch__knows_by_the_answer_who_sent_none(shop: Any) -> None:
    made = Switch(shop)
    made._answered({"celery@off": answer("worker")})
    made._answered({"celery@task": answer("worker", "task"), "celery@E": answer()})
    made._answered({"celery@odd": {"error": "no such command"}, "celery@odder": "text"})
    made._answered("nonsense")
    assert made.turned_on == {"celery@off"}
    assert made.answers == 5
    assert (made.news(), made.news()) == (["celery@off"], [])


def test_switch__turns_on_without_waiting(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[Any] = []
    monkeypatch.setattr(switch, "_in_thread", lambda *call, **options: called.append((call, options)))
    made = Switch(shop)
    made.turn_on()
    made.turn_on(["a"])
    options = {"reply": True, "timeout": switch.PATIENCE, "callback": made._answered}
    assert called == [((made._tell, "enable_events", names), options) for names in (None, ["a"])]


def test_switch__tells_those_that_are_named(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[Any] = []
    connection = contextlib.nullcontext("connection")
    monkeypatch.setattr(switch, "connect", lambda *_: connection)
    monkeypatch.setattr(shop.control, "broadcast", lambda *words, **options: said.append((words, options)))
    Switch(shop)._tell("disable_events", ["a"], reply=True)
    assert said == [(("disable_events",), {"destination": ["a"], "connection": "connection", "reply": True})]


def test_in_thread__of_which_nobody_waits_for_the_end() -> None:
    found: SimpleQueue[Any] = SimpleQueue()

    def call(word: str, *, number: int) -> None:
        thread = threading.current_thread()
        found.put((word, number, thread.name, thread.daemon, thread is threading.main_thread()))
        raise OSError("The broker has gone.")

    switch._in_thread(call, "a", number=2)
    assert found.get(timeout=60) == ("a", 2, "call", True, False)


@pytest.mark.parametrize("is_of_broker", [True, False])
def test_forgiven__is_only_what_comes_from_the_broker(monkeypatch: pytest.MonkeyPatch, is_of_broker: bool) -> None:
    monkeypatch.setattr(switch, "came_from_broker", lambda error: is_of_broker)
    with contextlib.nullcontext() if is_of_broker else pytest.raises(ValueError, match="a fault"), switch._forgiven():
        raise ValueError("a fault")


@pytest.mark.parametrize(("stays", "told"), [(True, []), (False, [("disable_events", ["a", "b"])])])
def test_switch__is_left_to_another_watcher_that_stays(
    shop: Any, monkeypatch: pytest.MonkeyPatch, stays: bool, told: list[Any]
) -> None:
    made, said = Switch(shop), []
    made.turned_on = {"b", "a"}
    monkeypatch.setattr(switch, "hand_on", lambda *_: stays)
    monkeypatch.setattr(made, "_tell", lambda *words: said.append(words))
    made.turn_off()
    assert said == told


def test_switch__answers_may_come_while_it_is_turned_off(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """They come in another thread, as many as there are workers."""

    class Growing(set[str]):
        """Says whether it is read or changed without the lock."""

        def __iter__(self) -> Iterator[str]:
            assert made._lock.locked()
            return super().__iter__()

        def add(self, name: str) -> None:
            assert made._lock.locked()
            super().add(name)

    made, said = Switch(shop), []
    made.turned_on = Growing(["b"])
    monkeypatch.setattr(made, "_turn_off", said.append)
    made._answered({"a": answer("worker")})
    made.turn_off()
    assert said == [["a", "b"]]


def test_switch__tells_nobody_if_nobody_was_turned_on(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Switch(shop)
    monkeypatch.setattr(made, "_turn_off", lambda _: pytest.fail("it tells somebody"))
    made.turn_off()


def test_switch__takes_over_from_one_that_leaves(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[Any] = []
    monkeypatch.setattr(switch, "_in_thread", lambda *call: called.append(call))
    made = Switch(shop)
    made.notice({"type": "watcher-leaves", "watcher": "other", "workers": ["a"]})
    made.notice({"type": "task-sent", "watcher": "other", "workers": ["b"]})
    assert made.turned_on == {"a"}
    assert [call[1:] for call in called] == [(shop, "other")]


def test_switch__a_broker_that_fails_is_no_error(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise ConnectionResetError

    made = Switch(shop)
    made.turned_on = {"a"}
    monkeypatch.setattr(switch, "hand_on", fail)
    monkeypatch.setattr(switch, "connect", fail)
    made.turn_off()
    made._tell("enable_events", None)
