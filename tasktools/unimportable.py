"""Code of the project that cannot be imported: why, in one line with its file and line. It works before Django is set up."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import traceback
from pathlib import Path

from tasktools import render, terminal
from tasktools.brokers.masking import hide, hider
from tasktools.environment.installed import is_installed
from tasktools.supervisor import reports


def brief(error: BaseException) -> str:
    """Return an error as one line: its type and its text, without passwords."""
    text = error.msg or "" if isinstance(error, SyntaxError) else render.text_of(error)
    sentence = " ".join(f"{type(error).__name__}: {text}".split())
    return _hidden(sentence)[:300].rstrip(".: ")  # in this order: half a password is not found


def _hidden(text: str) -> str:
    """Return the text without passwords, also those of the settings if they can be read."""
    with contextlib.suppress(Exception):
        from tasktools import conf  # and Django, which may be what cannot be imported

        return hider(conf.with_passwords())(text)
    return hide(text)


def described(error: BaseException) -> str:
    """Return an error as its type, its text, and the place in the project's code that it comes from, if there is one."""
    place = place_of(error)
    return f"{brief(error)} ({place})" if place else brief(error)


def place_of(error: BaseException) -> str:
    """Return the innermost file and line of the project that led to `error`; "" if it comes from a library alone."""
    if isinstance(error, SyntaxError) and error.filename and _is_own(error.filename):
        return f"{error.filename}, line {error.lineno}"
    own = [
        f"{frame.f_code.co_filename}, line {line}"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_globals.get("__name__") != "__main__" and _is_own(frame.f_code.co_filename)
    ]
    return own[-1] if own else ""


def report(error: BaseException, *, as_json: bool = False) -> None:
    """Write to stderr why the project cannot be imported. In a part of rundev, rundev writes it, once for all parts."""
    sentence = f"The project cannot be imported: {render.ended(described(error))}"
    hint = "the same command with --traceback shows where"
    if reports.is_part():
        reports.report(sentence)
    elif as_json:
        sys.stderr.write(terminal.json(json.dumps({"error": sentence, "hint": hint})) + "\n")
    else:
        say(sentence)
        say(f"Hint: {hint}")


def say(text: str) -> None:
    """Write one line for a person to stderr."""
    sys.stderr.write(f"{terminal.line(text)}\n")
    sys.stderr.flush()


def reported(problem: BaseException) -> bool:
    """Report what has caused `problem` if this process is a part of rundev, and the cause is in the project's code."""
    cause = problem.__cause__
    if cause is None or not reports.is_part() or not place_of(cause):
        return False
    report(cause)
    return True


def _is_own(file: str) -> bool:
    """Whether a file is code of the project: frozen modules and compiled text have no file, and tasktools may be a link."""
    package = os.path.dirname(os.path.abspath(__file__))
    return os.path.isfile(file) and not file.startswith(package + os.sep) and not is_installed(Path(file))
