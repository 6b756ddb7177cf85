"""A command line that is launched: it runs as Python would run it, and says in one line why it cannot start."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tasktools.management import launch
from tasktools.supervisor.site import CHANGED
from tests.support import wait_for

MANAGE = "import sys\nprint(sys.argv, sys.path[0], __name__)\nimport conf\n"


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start MANAGE by the launcher. Whatever still runs at the end is killed."""
    (tmp_path / "manage.py").write_text(MANAGE)
    started: list[subprocess.Popen[str]] = []

    def run(*words: str, watched: dict[str, list[str]] | None = None) -> subprocess.Popen[str]:
        command = launch.command([sys.executable, "-Wignore", "manage.py", *words], watched)
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(command, cwd=tmp_path, **pipes))
        return started[-1]

    yield run
    for each in started:
        each.kill()
        each.communicate()


def end(process: subprocess.Popen[str]) -> tuple[str, str, int]:
    out, err = process.communicate(timeout=60)
    return out, err, process.returncode


def test_launch__runs_as_python_does(tmp_path: Path, start: Start) -> None:
    (tmp_path / "conf.py").write_text("")
    assert end(start("check")) == (f"['manage.py', 'check'] {tmp_path} __main__\n", "", 0)


def test_broken__is_one_line_with_its_place(tmp_path: Path, start: Start) -> None:
    (tmp_path / "conf.py").write_text("x = (\n")
    _, err, code = end(start("check"))
    place = f"({tmp_path / 'conf.py'}, line 1)"
    sentence = f"The project cannot be imported: SyntaxError: '(' was never closed {place}."
    assert (err, code) == (f"{sentence}\nHint: the same command with --traceback shows where\n", 1)


def test_broken__with_traceback_it_is_shown(tmp_path: Path, start: Start) -> None:
    (tmp_path / "conf.py").write_text("nosuch\n")
    _, err, _ = end(start("check", "--traceback"))
    assert err.startswith("Traceback (most recent call last):")
    assert "cannot be imported" not in err


@pytest.mark.parametrize("words", [[], ["--traceback"]])
def test_broken_web_server__waits_for_a_change(tmp_path: Path, start: Start, words: list[str]) -> None:
    (tmp_path / "conf.py").write_text("nosuch\n")
    process = start("runserver", *words, watched={"roots": [str(tmp_path)], "ignore": []})
    assert process.stderr is not None
    lines = iter(process.stderr.readline, "")
    assert "the web server did not start: waiting for a change\n" in lines
    assert process.poll() is None
    (tmp_path / "conf.py").write_text("# fixed\n")
    wait_for(lambda: process.poll() is not None)
    assert end(process)[2] == CHANGED


THREAD = """
import json, os, threading
assert os.environ["RUN_MAIN"] == "true"
def fail():
    nosuch
def fail_in_a_library():
    json.loads("")
another = threading.Thread(target=fail, name="another")
another.start()
another.join()
thread = threading.Thread(target={function}, name="django-main-thread")
thread.start()
thread.join()
"""


@pytest.mark.parametrize("words", [[], ["--traceback"]])
@pytest.mark.parametrize("function", ["fail", "fail_in_a_library"])
def test_thread_that_starts_the_server__waits_for_a_change_of_any_file(
    tmp_path: Path, start: Start, function: str, words: list[str]
) -> None:
    """Django's autoreloader watches the file that has raised the error. If it is a library's, the web server stayed down."""
    (tmp_path / "conf.py").write_text(THREAD.format(function=function))
    process = start("runserver", *words, watched={"roots": [str(tmp_path)], "ignore": []})
    assert process.stderr is not None
    lines = list(iter(process.stderr.readline, "the web server did not start: waiting for a change\n"))
    assert lines[0] == "Exception in thread another:\n"
    assert "Exception in thread another:\n" not in lines[1:]
    assert any("cannot be imported: " in line for line in lines) is (not words)
    (tmp_path / "other.py").write_text("# new\n")
    wait_for(lambda: process.poll() is not None)
    assert end(process)[2] == CHANGED


def test_command__carries_what_is_watched() -> None:
    watched = {"roots": ["/srv"], "ignore": []}
    command = launch.command(["python", "-Xdev", "manage.py", "runserver"], watched)
    assert command[:2] + command[4:] == ["python", "-Xdev", "manage.py", "runserver"]
    assert json.loads(command[3]) == watched
