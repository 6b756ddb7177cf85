from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.core.checks import registry
from django.core.management import CommandError, ManagementUtility, call_command, get_commands

import tasktools
from tasktools import startup
from tasktools.apps import TasktoolsConfig, _explained, after_start_up


class ReadOnlyEvent:
    """An event whose methods cannot be replaced, as gevent's."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    def is_set(self) -> bool:
        return self._event.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        return self._event.wait(timeout)


@pytest.fixture(params=[threading.Event, ReadOnlyEvent])
def event(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    made = request.param()
    monkeypatch.setattr(apps, "ready_event", made)
    return made


def test_after_start_up__calls_once_when_the_event_is_set(event: Any) -> None:
    calls: list[bool] = []
    after_start_up(lambda: calls.append(event.is_set()))
    assert (calls, apps.ready_event.is_set(), apps.ready_event.wait(timeout=0)) == ([], False, False)
    apps.ready_event.set()
    assert calls == [True]
    assert apps.ready_event is event
    apps.ready_event.set()
    assert calls == [True]


def test_explained__an_error_that_ends_django_setup(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not _explained(SyntaxError("bad"))
    monkeypatch.setattr(apps, "ready", False)
    assert not _explained(SystemExit())
    assert _explained(SyntaxError("bad"))
    assert capsys.readouterr().err.startswith("The project cannot be imported: SyntaxError: bad.\nHint: ")


def test_after_start_up__wakes_who_waited_before(event: Any) -> None:
    waiting = threading.Thread(target=event.wait, daemon=True)
    waiting.start()
    after_start_up(lambda: None)
    apps.ready_event.set()
    waiting.join(60)
    assert not waiting.is_alive()


def test_after_start_up__two_may_wait_for_it(event: Any) -> None:
    calls: list[str] = []
    after_start_up(lambda: calls.append("first"))
    after_start_up(lambda: calls.append("second"))
    apps.ready_event.set()
    assert sorted(calls) == ["first", "second"]
    assert apps.ready_event.is_set()


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> set[Any]:
    """The checks of Django's registry, without ours."""
    found: set[Any] = set()
    monkeypatch.setattr(registry.registry, "registered_checks", found)
    monkeypatch.setattr(apps, "ready_event", threading.Event())
    return found


def test_ready__again_registers_the_checks_once(registered: set[Any]) -> None:
    """As each override_settings(INSTALLED_APPS=...) has it."""
    config = apps.get_app_config("tasktools")
    config.ready()
    config.ready()
    assert len(registered) == 1


@pytest.fixture
def hidden(registered: set[Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[set[Any]]:
    """A project in which a file hides Celery."""
    monkeypatch.setitem(sys.modules, "tasktools.startup", None)
    monkeypatch.delattr("tasktools.startup")
    get_commands.cache_clear()
    yield registered
    get_commands.cache_clear()


def test_ready__without_celery_warns_once(hidden: set[Any]) -> None:
    config = apps.get_app_config("tasktools")
    config.ready()
    config.ready()
    (message,) = [message for check in hidden for message in check()]
    assert message.id == "tasktools.W002"


@pytest.mark.parametrize("words", [[], ["help"], ["help", "--commands"]])
def test_ready__without_celery_django_lists_its_commands(
    hidden: set[Any], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    apps.get_app_config("tasktools").ready()
    ManagementUtility(["manage.py", *words]).execute()
    listed = capsys.readouterr().out.split()
    assert {"runworker", "migrate"} <= set(listed)
    assert ("[tasktools]" in listed) is ("--commands" not in words)


def test_ready__without_celery_each_command_says_so(hidden: set[Any], capsys: pytest.CaptureFixture[str]) -> None:
    apps.get_app_config("tasktools").ready()
    with pytest.raises(SystemExit) as caught:
        ManagementUtility(["manage.py", "runworker"]).execute()
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("tasktools cannot be loaded: ")
    with pytest.raises(CommandError, match="tasktools cannot be loaded"):
        call_command("enqueue", "add")


@pytest.fixture
def paused(monkeypatch: pytest.MonkeyPatch) -> Iterator[TasktoolsConfig]:
    """The app config of a process that runs one of our commands."""
    monkeypatch.setattr(sys, "argv", ["manage.py", "runworker"])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    config = TasktoolsConfig("tasktools", tasktools)
    assert not gc.isenabled()
    yield config
    gc.enable()
    gc.unfreeze()


def test_ready__after_start_up_the_collector_runs_again_even_if_it_fails(
    registered: set[Any], paused: TasktoolsConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []

    def run() -> None:
        seen.append(gc.isenabled())
        raise ValueError("start-up fails")

    monkeypatch.setattr(startup, "run", run)
    paused.ready()
    with pytest.raises(ValueError, match="start-up fails"):
        apps.ready_event.set()
    assert (seen, gc.isenabled()) == ([False], True)


def test_ready__without_celery_the_collector_runs_again(paused: TasktoolsConfig, hidden: set[Any]) -> None:
    paused.ready()
    assert gc.isenabled()
