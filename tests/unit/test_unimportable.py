"""Why code of the project cannot be imported: one line that names the file and the line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasktools import unimportable
from tasktools.checks import project as project_checks
from tasktools.exceptions import ProjectError
from tasktools.project import Project
from tasktools.supervisor import reports


def raised(folder: Path, text: str) -> tuple[Exception, Path]:
    """Return the error of a module with this text, and its file."""
    file = folder / "models.py"
    file.write_text(text)
    try:
        exec(compile(text, str(file), "exec"), {"__name__": "shop.models"})
    except Exception as error:
        return error, file
    raise AssertionError


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process is a part of rundev."""
    monkeypatch.setenv(reports.VARIABLE, "1")
    reports.is_part.cache_clear()
    assert reports.is_part()
    yield
    reports.is_part.cache_clear()


@pytest.mark.parametrize(
    ("text", "expected", "line"),
    [
        ("x = 1\ndef f(:\n", "SyntaxError: invalid syntax", 2),
        ("x = 1\n\nnosuch\n", "NameError: name 'nosuch' is not defined", 3),
        ("import json\njson.loads('')\n", "JSONDecodeError: Expecting value: line 1 column 1 (char 0)", 2),
        ("raise ValueError('redis://me:secret@host/\\nand more.')", "ValueError: redis://me:**@host/ and more", 1),
    ],
)
def test_described__names_error_file_and_line(tmp_path: Path, text: str, expected: str, line: int) -> None:
    error, file = raised(tmp_path, text)
    assert unimportable.described(error) == f"{expected} ({file}, line {line})"


def test_described__an_error_of_a_library_alone_has_no_place() -> None:
    with pytest.raises(json.JSONDecodeError) as caught:
        json.loads("")
    caught.value.__traceback__ = caught.value.__traceback__.tb_next  # type: ignore[union-attr]  # this test's frame
    assert unimportable.described(caught.value) == "JSONDecodeError: Expecting value: line 1 column 1 (char 0)"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (SyntaxError("bad", ("<string>", 1, 1, "x")), "SyntaxError: bad"),
        (SyntaxError(), "SyntaxError"),
    ],
)
def test_described__a_text_that_is_no_file_has_no_place(error: Exception, text: str) -> None:
    assert unimportable.described(error) == text


def test_described__without_the_passwords_of_the_settings(settings: Any) -> None:
    settings.REPORTS_DATABASE_URL = "postgresql://reader:Sup3rPw77@db/reports"
    assert unimportable.described(ValueError("login with Sup3rPw77 failed")) == "ValueError: login with ** failed"


def test_report__of_a_question_ends_with_its_mark(capsys: pytest.CaptureFixture[str]) -> None:
    """Some drivers ask whether the server is running."""
    unimportable.report(OSError("Is the server running?"))
    assert capsys.readouterr().err.splitlines()[0].endswith("OSError: Is the server running?")


def test_report__is_a_sentence_and_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    unimportable.report(ValueError("a\x1bb"))
    expected = (
        "The project cannot be imported: ValueError: a\\x1bb.\nHint: the same command with --traceback shows where\n"
    )
    assert capsys.readouterr().err == expected


def test_report__as_json(capsys: pytest.CaptureFixture[str]) -> None:
    unimportable.report(ValueError("a"), as_json=True)
    assert json.loads(capsys.readouterr().err) == {
        "error": "The project cannot be imported: ValueError: a.",
        "hint": "the same command with --traceback shows where",
    }


@pytest.fixture
def problem(tmp_path: Path) -> tuple[ProjectError, str]:
    """An error of start-up, and what rundev prints of it."""
    error, file = raised(tmp_path, "nosuch")
    found = ProjectError('The module "shop.models" cannot be imported: NameError.')
    found.__cause__ = error
    return found, f"The project cannot be imported: NameError: name 'nosuch' is not defined ({file}, line 1)."


@pytest.mark.usefixtures("part")
def test_check__of_a_part_reports_in_place_of_a_message(
    project: Project, problem: tuple[ProjectError, str], capsys: pytest.CaptureFixture[str]
) -> None:
    project.problems = [problem[0], ProjectError("The settings are wrong.")]
    assert [message.msg for message in project_checks.check()] == ["The settings are wrong."]
    assert capsys.readouterr().err == f"{reports.MARK}{problem[1]}\n"


def test_check__elsewhere_it_is_a_message(project: Project, problem: tuple[ProjectError, str]) -> None:
    project.problems = [problem[0]]
    assert [message.id for message in project_checks.check()] == ["tasktools.W002"]
