from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import load_command_class
from django_extensions.management.signals import post_command, pre_command

import tasktools
from tasktools.checks.run import IDS
from tasktools.exceptions import OutputError, PrivateServerError, TaskNameError, TasktoolsError, UsageError
from tasktools.management.base import TasktoolsCommand
from tasktools.management.epilogs import EPILOGS, RUN_CODES
from tests.conftest import Ran
from tests.support import REPOSITORY

PACKAGE = Path(tasktools.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
COMMANDS = sorted(file.stem for file in (PACKAGE / "management/commands").glob("*.py") if not file.stem.startswith("_"))
#: runtask runs one task, prints its result and ends.
RUN_UNTIL_STOPPED = {name for name in COMMANDS if name.startswith("run")} - {"runtask"}

LONGEST_FILE = 250
LONGEST_FUNCTION = 40
LONGEST_COMMAND_FILE = 90
LONGEST_RUN = 25


def place(file: Path) -> str:
    return file.relative_to(PACKAGE).as_posix()


def lines(file: Path) -> int:
    return len(file.read_text().splitlines())


def functions(file: Path) -> Iterator[tuple[str, int]]:
    """Yield each function as `file:name`, and how many lines it has from its def to its last."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield f"{place(file)}:{node.name}", (node.end_lineno or node.lineno) - node.lineno + 1


def commands() -> list[TasktoolsCommand]:
    return [load_command_class("tasktools", name) for name in COMMANDS]


def test_files__none_is_longer_than_a_reader_s_patience() -> None:
    assert {place(file): lines(file) for file in FILES if lines(file) > LONGEST_FILE} == {}


def test_functions__none_is_longer_than_a_screen() -> None:
    assert {name: length for file in FILES for name, length in functions(file) if length > LONGEST_FUNCTION} == {}


def test_commands__their_files_are_short() -> None:
    found = {name: lines(PACKAGE / f"management/commands/{name}.py") for name in COMMANDS}
    assert {name: length for name, length in found.items() if length > LONGEST_COMMAND_FILE} == {}


def test_commands__what_they_run_is_short() -> None:
    found = {
        name: length
        for file in FILES
        if place(file).startswith("management/")
        for name, length in functions(file)
        if name.endswith((":run", ":handle"))
    }
    assert "management/commands/enqueue.py:run" in found
    assert {name: length for name, length in found.items() if length > LONGEST_RUN} == {}


def imports_settings(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom):
        return node.module == "django.conf" or (node.module == "django" and any(a.name == "conf" for a in node.names))
    return isinstance(node, ast.Import) and any(alias.name.startswith("django.conf") for alias in node.names)


def test_errors__end_a_sentence_with_one_mark() -> None:
    """By reason_at_end, or render.ended: some drivers ask whether the server is running."""
    doubled = re.compile(r"\{[\w.]*(reason|described|brief)\([^)]*\)\}\.(?!\w)")
    assert [place(file) for file in FILES if doubled.search(file.read_text())] == []


def test_settings__are_read_by_few() -> None:
    readers = {place(file) for file in FILES if any(map(imports_settings, ast.walk(ast.parse(file.read_text()))))}
    readers = {reader for reader in readers if not reader.startswith("management/")}
    assert readers == {
        "checks/eager.py",
        "checks/security.py",
        "checks/shared_redis.py",
        "conf.py",
        "discovery/celery_app.py",
        "discovery/import_names.py",
        "startup.py",
    }


def test_settings__are_named_to_celery_in_the_ready_made_app_alone() -> None:
    def names(file: Path) -> bool:
        constants = (node.value for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Constant))
        return any(isinstance(value, str) and value.startswith("django.conf") for value in constants)

    # import_names.py compares: it asks whether an app of the project's own reads them.
    assert {place(file) for file in FILES if names(file)} == {"discovery/import_names.py", "celery.py"}


def test_commands__all_are_found() -> None:
    assert {"celery", "enqueue", "runbeat", "runworker", "showtasks", "taskresult"} <= set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_commands__share_one_base(name: str) -> None:
    command = load_command_class("tasktools", name)
    assert isinstance(command, TasktoolsCommand)
    # These two turn errors into exit codes and send the signals: a command that had its own would lose both.
    assert type(command).execute is TasktoolsCommand.execute
    assert type(command).handle is TasktoolsCommand.handle
    assert type(command)._signalling_run is TasktoolsCommand._signalling_run


@pytest.mark.parametrize("name", COMMANDS)
def test_commands__no_option_takes_the_name_that_django_gives_the_words(name: str) -> None:
    parser = load_command_class("tasktools", name).create_parser("manage.py", name)
    assert [action.option_strings for action in parser._actions if action.dest == "args"] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_commands__help_ends_with_examples_and_exit_codes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    command = load_command_class("tasktools", name)
    text = command.create_parser("manage.py", name).format_help()
    assert text.endswith(f"\n{EPILOGS[name]}\n")
    examples, _, codes = EPILOGS[name].partition("\n\n")
    assert re.match(rf"examples:\n  manage.py {name}", examples)
    assert re.match(r"exit codes:\n  \d+ +\w", codes)


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("width", [50, 80])
def test_commands__help_fits_the_terminal(name: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """At 80 columns, the examples and exit codes of most commands were longer than a line."""
    monkeypatch.setenv("COLUMNS", str(width))
    text = load_command_class("tasktools", name).create_parser("manage.py", name).format_help()
    long = [line for line in text.splitlines() if len(line) > width]
    # What is typed is not broken: an example, and what an option takes.
    assert [
        line for line in long if not re.match(r"  manage\.py | +\[?-", line) or (width == 80 and "[-P {" not in line)
    ] == []
    words = " ".join(text.split())
    for line in EPILOGS[name].splitlines():
        assert " ".join(line.split()) in words


@pytest.mark.parametrize("name", COMMANDS)
def test_commands__each_option_has_a_text(name: str) -> None:
    parser = load_command_class("tasktools", name).create_parser("manage.py", name)
    shown = [each for each in parser._actions if each.help != argparse.SUPPRESS]
    assert [each.option_strings or each.dest for each in shown if not each.help] == []
    assert "%%" not in parser.format_help()


@pytest.mark.parametrize("error", [TasktoolsError, UsageError, PrivateServerError, OutputError])
def test_run_commands__name_each_code_with_which_they_end(error: type[TasktoolsError]) -> None:
    assert error.exit_code in RUN_CODES


@pytest.mark.parametrize("name", COMMANDS)
def test_commands__data_can_be_had_as_json(name: str) -> None:
    command = load_command_class("tasktools", name)
    parser = command.create_parser("manage.py", name)
    assert ("--json" in parser._option_string_actions) is command.prints_data
    assert command.prints_data is (name not in {"celery", "completion", *RUN_UNTIL_STOPPED})


@pytest.fixture
def signals() -> Iterator[list[tuple[str, type, dict[str, Any]]]]:
    """The signals of django-extensions that commands have sent."""
    seen: list[tuple[str, type, dict[str, Any]]] = []

    def before(sender: type, **told: Any) -> None:
        seen.append(("pre_command", sender, told))

    def after(sender: type, **told: Any) -> None:
        seen.append(("post_command", sender, told))

    pre_command.connect(before)
    post_command.connect(after)
    yield seen
    pre_command.disconnect(before)
    post_command.disconnect(after)


def test_commands__send_the_signals_of_django_extensions(signals: list[Any], run_command: Any) -> None:
    done: Ran = run_command("showtasks", "elsewhere.total")
    assert done.code == 0, done.err
    (first, before, told), (second, after, outcome) = signals
    assert (first, second) == ("pre_command", "post_command")
    assert before is after is type(load_command_class("tasktools", "showtasks"))
    assert told["kwargs"]["pattern"] == "elsewhere.total"
    assert outcome["outcome"] is None


def test_commands__send_the_signals_where_they_fail(signals: list[Any], run_command: Any) -> None:
    assert run_command("showtasks", "nothing-like-it").code == 2
    assert [name for name, _, _ in signals] == ["pre_command", "post_command"]
    assert isinstance(signals[1][2]["outcome"], TaskNameError)


def test_checks__each_id_has_its_tests() -> None:
    files = {file.stem for file in (REPOSITORY / "tests/checks").glob("test_*.py")}
    assert {f"test_{check_id.rpartition('.')[2]}" for check_id in IDS} == files


@pytest.mark.parametrize("check_id", IDS)
def test_checks__each_id_is_given_somewhere(check_id: str) -> None:
    assert any(
        f'"{check_id}"' in file.read_text() for file in (PACKAGE / "checks").glob("*.py") if file.stem != "__init__"
    )
