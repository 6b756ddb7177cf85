"""rundev says what is wrong before it starts anything, and what it would start."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.management.commands.runserver import Command as Runserver

from tasktools.exceptions import AppError
from tasktools.management import launch, site_parts
from tasktools.management.become_supervisor import ignored, roots
from tasktools.management.site_parts import joined
from tasktools.project import Project
from tests.commands.conftest import Run
from tests.conftest import Ran
from tests.servers import free_port


class Became(BaseException):
    """The command would be another process now."""


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The plans that the command has handed over."""
    found: list[dict[str, Any]] = []

    def execv(path: str, words: list[str]) -> None:
        assert path == words[0] == sys.executable
        found.append(json.loads(words[2]))
        raise Became

    monkeypatch.setattr(os, "execv", execv)
    monkeypatch.setattr(sys, "argv", ["manage.py", "rundev"])
    monkeypatch.setattr(
        site_parts, "get_child_arguments", lambda: [sys.executable, "-Xdev", "manage.py", *sys.argv[1:]]
    )
    monkeypatch.setattr(Runserver, "default_port", str(free_port()))
    return found


@pytest.fixture
def plan(typed: Run, plans: list[dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def run(*words: str) -> dict[str, Any]:
        sys.argv[2:] = words
        with pytest.raises(Became):
            typed("rundev", *words)
        return plans[-1]

    return run


def test_become__that_fails_leaves_the_signals_as_they_were(plan: Callable[..., dict[str, Any]]) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    plan()
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


START = [sys.executable, "-Xdev", "manage.py"]


def web(*words: str) -> list[str]:
    """The command line of the web server: rundev is its autoreloader."""
    watched = {"roots": [*map(str, roots())], "ignore": [*map(str, ignored())]}
    return launch.command([*START, "runserver", *words], watched)


WRONG = [
    (("99999",), '"99999" is no port.', "give one from 1024 to 65535"),
    (("here",), '"here" is no port and no ADDR:PORT.', "manage.py rundev 8001, manage.py rundev 0.0.0.0:8000"),
    (("nosuch.invalid:80",), 'No address belongs to "nosuch.invalid".', "manage.py rundev 127.0.0.1:8000"),
    (
        ("--no-web", "--no-worker", "--no-beat"),
        "Nothing is left to run.",
        "leave out --no-web, --no-worker or --no-beat",
    ),
    (("--no-web", "8000"), "There is no web server with --no-web.", "leave out --no-web"),
    (("--no-web", "--plus"), "There is no web server with --no-web.", "leave out --no-web"),
    (("--no-beat", "--beat", "-l DEBUG"), "--beat and --no-beat exclude each other.", "leave out --no-beat"),
    (("--worker", "--nosuch"), '--worker "--nosuch": Unrecognized arguments: --nosuch.', "manage.py runworker --help"),
    (("--beat", "-c 2"), '--beat "-c 2": Unrecognized arguments: -c.', "manage.py runbeat --help"),
    (("--worker", "'x"), '--worker "\'x" cannot be read: No closing quotation.', "quote it as for a shell"),
    (("--worker", "-D"), '--worker "-D": --detach would leave rundev.', "leave out --detach"),
    (("--worker",), "Argument --worker: expected one argument.", "manage.py rundev --help"),
    (("-A", "nosuch:app"), '-A names "nosuch:app", and there is no module "nosuch".', "give -A as module:attribute"),
]


@pytest.mark.parametrize(("words", "sentence", "hint"), WRONG, ids=lambda value: " ".join(value)[:30])
def test_wrong__is_told_and_nothing_starts(
    typed: Run, plans: list[Any], monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], sentence: str, hint: str
) -> None:
    monkeypatch.setattr(site_parts, "server_command", lambda plus: "runserver")  # --plus has tests of its own
    done = typed("rundev", *words)
    assert done.err.splitlines()[0] == sentence
    assert done.err.splitlines()[1].startswith(f"Hint: {hint}")
    assert (done.code, done.out, plans) == (2, "", [])


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_port__one_that_is_taken_is_named(typed: Run, plans: list[Any], taken: int) -> None:
    done = typed("rundev", str(taken))
    hint = f"Hint: another port: manage.py rundev {site_parts.other(taken)}"
    assert (done.err, done.code) == (f"Port {taken} of 127.0.0.1 is taken.\n{hint}\n", 2)
    assert plans == []


def test_port__one_that_has_just_been_left_is_free(taken: int) -> None:
    """The side that closes first keeps the address for a while, in TIME_WAIT."""
    port = free_port()
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
        with socket.create_connection(("127.0.0.1", port)) as client:
            server, _ = listener.accept()
            server.close()
            assert client.recv(1) == b""
    with socket.socket() as strict, pytest.raises(OSError):
        strict.bind(("127.0.0.1", port))
    site_parts.require_free("127.0.0.1", port)


def test_port__that_is_another_machine_s_is_refused(typed: Run, plans: list[Any]) -> None:
    done = typed("rundev", "192.0.2.1:8000")
    assert done.err.startswith("Port 8000 of 192.0.2.1 cannot be had: ")
    assert (done.code, plans) == (2, [])


def test_other_port__is_one() -> None:
    assert (site_parts.other(8000), site_parts.other(65535)) == (8001, 8000)


def test_call_command__is_refused(run_command: Callable[..., Ran], plans: list[Any]) -> None:
    done = run_command("rundev")
    assert (done.code, plans) == (2, [])
    assert "takes the whole process" in done.err
    assert "Hint: call manage.py rundev" in done.err


def test_plan__all_three_as_a_person_would_start_them(plan: Any) -> None:
    found = plan()
    assert found == {
        "kind": "site",
        "commands": {
            "web": web(),
            "worker": [*START, "runworker", "-l", "INFO"],
            "beat": [*START, "runbeat", "-l", "INFO"],
        },
        "keep_going": False,
        "color": False,
        "color_stderr": False,
        "reloaded": ["web"],
    }


def test_plan__options_reach_their_part(plan: Any) -> None:
    port = str(free_port())
    words = (port, "--worker", "-c 2 -l DEBUG", "--beat", "--max-interval=5", "--keep-going", "-v", "2", "--no-color")
    found = plan(*words, "--traceback")
    shared = ["--verbosity", "2", "--no-color", "--traceback"]
    assert found["commands"] == {
        "web": web(port, *shared),
        "worker": [*START, "runworker", "-c", "2", "-l", "DEBUG", *shared],
        "beat": [*START, "runbeat", "-l", "INFO", "--max-interval=5", *shared],
    }
    assert found["keep_going"] is True


def test_plan__the_app_is_that_of_worker_and_beat(plan: Any, app: Any, elsewhere: Any, project: Project) -> None:
    name = elsewhere(broker_url="memory://")
    before = project.found
    try:
        found = plan("-A", name)["commands"]
    finally:
        project.found = before
    assert found["web"] == web()
    assert found["beat"] == [*START, "runbeat", "--app", name, "-l", "INFO"]


@pytest.mark.parametrize(
    ("conf", "sentence"),
    [
        (
            {"task_always_eager": True, "broker_url": "redis://localhost:1"},
            "CELERY_TASK_ALWAYS_EAGER is set: .delay() and beat run each task in their own process, and no worker gets it.",
        ),
        (
            {"broker_url": "memory://"},
            'The broker "memory://" exists only inside each process: a worker gets nothing that another process sends.',
        ),
    ],
)
def test_doubt__is_printed_once_for_all_parts(
    plan: Any, elsewhere: Any, project: Project, capsys: pytest.CaptureFixture[str], conf: Any, sentence: str
) -> None:
    before = project.found
    try:
        plan("-A", elsewhere(**conf))
    finally:
        project.found = before
    assert capsys.readouterr().err.startswith(f"{sentence}\nHint: ")


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("--no-web",), ["worker", "beat"]),
        (("--no-worker",), ["web", "beat"]),
        (("--no-worker", "--no-beat"), ["web"]),
    ],
    ids=" ".join,
)
def test_plan__parts_can_be_left_out(plan: Any, words: tuple[str, ...], parts: list[str]) -> None:
    assert list(plan(*words)["commands"]) == parts


def test_plan__colours_are_asked_of_the_parts_too(plan: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = plan("--force-color")
    assert found["color"] is found["color_stderr"] is True
    assert found["commands"]["web"] == web("--force-color")
    monkeypatch.setenv("NO_COLOR", "1")
    assert plan("--force-color")["color"] is False


def test_colored__a_terminal_unless_it_was_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    assert site_parts.colored(terminal, {"no_color": False, "force_color": False}) is True
    assert site_parts.colored(terminal, {"no_color": True, "force_color": False}) is False
    assert site_parts.colored(io.StringIO(), {"no_color": False, "force_color": False}) is False


def test_first_line__says_what_runs_and_where(plans: list[Any], capsys: pytest.CaptureFixture[str], plan: Any) -> None:
    notes: list[str] = []
    from tasktools.management.base import TasktoolsCommand

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TasktoolsCommand, "note", lambda self, *lines, **_: notes.extend(lines))
        port = free_port()
        plan(f"127.0.0.1:{port}", "--no-beat")
        plan("--no-worker", "--no-beat")
    first, second = notes
    assert first.startswith(f"rundev: web on http://127.0.0.1:{port}/, worker | broker ")
    assert second == f"rundev: web on http://127.0.0.1:{Runserver.default_port}/"


def test_app_that_cannot_be_found__is_told_and_the_parts_wait_for_a_change(
    plan: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasktools.management.base import TasktoolsCommand

    def find_app(self: Any, name: str | None) -> Any:
        raise AppError("There are two.", hint="TASKTOOLS_APP")

    notes: list[str] = []
    monkeypatch.setattr(TasktoolsCommand, "find_app", find_app)
    monkeypatch.setattr(TasktoolsCommand, "note", lambda self, *lines, **_: notes.extend(lines))
    assert list(plan()["commands"]) == ["web", "worker", "beat"]
    assert notes[:2] == ["There are two.", "Hint: TASKTOOLS_APP"]


def test_plus__needs_werkzeug(typed: Run, plans: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site_parts.importlib.util, "find_spec", lambda name: None)
    done = typed("rundev", "--plus")
    expected = "--plus needs Werkzeug, which is not installed.\nHint: pip install Werkzeug\n"
    assert (done.err, done.code, plans) == (expected, 2, [])


def test_plus__needs_the_command(monkeypatch: pytest.MonkeyPatch, typed: Run, plans: list[Any]) -> None:
    monkeypatch.setattr(site_parts.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(site_parts, "get_commands", dict)
    done = typed("rundev", "--plus")
    assert 'Hint: add "django_extensions" to INSTALLED_APPS' in done.err
    assert (done.code, plans) == (2, [])


def test_plus__is_the_web_server(monkeypatch: pytest.MonkeyPatch, plan: Any) -> None:
    monkeypatch.setattr(site_parts, "server_command", lambda plus: "runserver_plus" if plus else "runserver")
    port = free_port()
    assert plan("--plus", str(port))["commands"]["web"] == [*START, "runserver_plus", str(port)]


def test_runworker__of_another_app_is_refused(typed: Run, plans: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Django Channels has one."""
    known = site_parts.get_commands()
    monkeypatch.setattr(site_parts, "get_commands", lambda: {**known, "runworker": "django.core"})
    monkeypatch.setattr(site_parts, "load_command_class", lambda app, name: Runserver())
    done = typed("rundev", "--no-web")
    expected = '"runworker" is here the command of "django.core".\nHint: put "tasktools" before it in INSTALLED_APPS\n'
    assert (done.err, done.code, plans) == (expected, 2, [])


def test_joined__an_option_s_words_are_no_options_of_ours() -> None:
    assert joined(["--worker", "-A x", "80", "--beat"]) == ["--worker=-A x", "80", "--beat"]


@pytest.mark.parametrize(
    ("option", "hint"),
    [
        ("--noreload", 'an option of runworker is written --worker "--noreload ..."'),
        ("-l", 'an option of runworker is written --worker "-l ..."'),
        ("--max-interval", 'an option of runbeat is written --beat "--max-interval ..."'),
        ("--no-baet", "manage.py rundev --help"),
        ("--nostatic", "manage.py rundev --help"),
    ],
)
def test_option_of_a_part__is_refused_with_the_way_to_give_it(typed: Any, option: str, hint: str) -> None:
    ran = typed("rundev", option, "DEBUG")
    assert ran.err.splitlines() == [f"Unrecognized arguments: {option}.", f"Hint: {hint}"]
    assert ran.code == 2


def test_option__that_lacks_its_word(typed: Any) -> None:
    assert "Hint: manage.py rundev --help" in typed("rundev", "--worker").err
