"""Streams whose encoding cannot write all that is printed: an escape takes the place, and JSON stays JSON."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable

import pytest
from django.core.management import load_command_class

Printed = tuple[int, str, str]


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Printed]:
    """Run a command as manage.py does, with streams of that encoding; return its exit code and what they took."""

    def run(encoding: str, errors: str, *words: str) -> Printed:
        out, err = io.BytesIO(), io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding=encoding, errors=errors))
        monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(err, encoding=encoding, errors="backslashreplace"))
        code = 0
        try:
            load_command_class("tasktools", words[0]).run_from_argv(["manage.py", *words])
        except SystemExit as error:
            code = int(error.code or 0)
        sys.stdout.flush()
        sys.stderr.flush()
        return code, out.getvalue().decode(encoding), err.getvalue().decode(encoding)

    return run


@pytest.mark.parametrize(
    ("encoding", "errors", "shown"),
    [
        ("latin-1", "strict", r"10 \u20ac é \ud83d\ude00"),
        ("ascii", "surrogateescape", r"10 \u20ac \u00e9 \ud83d\ude00"),
        ("ascii", "replace", "10 ? ? ?"),
        ("utf-8", "strict", "10 € é 😀"),
    ],
)
def test_stdout__of_any_encoding(printed: Callable[..., Printed], encoding: str, errors: str, shown: str) -> None:
    assert printed(encoding, errors, "runtask", "echo", "10 € é 😀") == (0, f"{shown}\n", "")


@pytest.mark.parametrize(("encoding", "errors"), [("latin-1", "strict"), ("ascii", "surrogateescape")])
def test_stdout__json_keeps_its_value(printed: Callable[..., Printed], encoding: str, errors: str) -> None:
    code, out, _ = printed(encoding, errors, "runtask", "echo", "10 € é 😀", "--json")
    assert (code, json.loads(out)["result"]) == (0, "10 € é 😀")


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_stderr__an_error_stays_json(printed: Callable[..., Printed], encoding: str) -> None:
    code, _, err = printed(encoding, "strict", "runtask", "€é😀", "--json")
    assert (code, json.loads(err)["error"]) == (2, 'No task is called "€é😀".')
