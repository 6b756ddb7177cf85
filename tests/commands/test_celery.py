from __future__ import annotations

from typing import Any

import pytest


def test_output__goes_where_call_command_wants_it(run_command: Any, capsys: Any) -> None:
    """It went to the stdout of the process."""
    ran = run_command("celery", "report")
    assert "software -> celery:" in ran.out
    assert ran.code == 0
    assert capsys.readouterr().out == ""


def test_errors__go_there_too(run_command: Any, capsys: Any) -> None:
    ran = run_command("celery", "call")
    assert "Missing argument" in ran.err
    assert (capsys.readouterr().out, ran.out) == ("", "")


@pytest.mark.parametrize("words", [(), ("--help",)])
def test_help__ends_with_examples(typed: Any, words: tuple[str, ...]) -> None:
    ran = typed("celery", *words)
    assert "  inspect " in ran.out
    assert "examples:\n  manage.py celery inspect ping " in ran.out


def test_help__of_a_subcommand_is_celerys(typed: Any) -> None:
    ran = typed("celery", "purge", "--help")
    assert "examples:" not in ran.out
