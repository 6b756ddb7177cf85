from __future__ import annotations

import pytest

from tests.commands.conftest import Run
from tests.support import REPOSITORY


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion__prints_the_script(typed: Run, shell: str) -> None:
    done = typed("completion", shell)
    assert (done.code, done.err) == (0, "")
    assert done.out == (REPOSITORY / f"tasktools/completions/manage.{shell}").read_text()


def test_completion__of_an_unknown_shell(typed: Run) -> None:
    done = typed("completion", "tcsh")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("Argument shell: invalid choice: 'tcsh'")
    assert done.err.endswith("Hint: manage.py completion --help\n")


def test_completion__without_a_shell(typed: Run) -> None:
    done = typed("completion")
    assert (done.code, done.out) == (2, "")


def test_completion__answers_the_script(typed: Run) -> None:
    done = typed("completion", "--words", "enqueue", "--wait", "boun")
    assert (done.code, done.out, done.err) == (0, "\tbound\n", "")


def test_completion__of_options_that_are_django_s_own(typed: Run) -> None:
    assert typed("completion", "--words", "enqueue", "--he").out == "\t--help\n"


def test_completion__of_an_app_that_is_not_there(typed: Run) -> None:
    done = typed("completion", "--words", "enqueue", "-A", "nosuch:app", "")
    assert (done.code, done.out) == (2, "")
    assert '-A names "nosuch:app"' in done.err
