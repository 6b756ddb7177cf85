from __future__ import annotations

from typing import Any


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
