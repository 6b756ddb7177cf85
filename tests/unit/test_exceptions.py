from __future__ import annotations

import inspect
import re
import signal
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest

from tasktools import exceptions
from tasktools.exceptions import ProjectError, TasktoolsError, is_of_signal, project_code, tried
from tasktools.management.base import INTERRUPTED
from tasktools.management.epilogs import MEANINGS

#: A line of the tree in the docstring: its branches, a class, and an exit code where it is not the parent's.
_LINE = re.compile(r"^ {4}(?P<branch>[│├└─ ]*)(?P<name>[A-Z]\w+)(?: +(?P<code>\d+)\b.*)?", re.MULTILINE)


def drawn() -> dict[str, tuple[str, int]]:
    """Return the tree of the docstring: each class with its parent and its exit code."""
    found: dict[str, tuple[str, int]] = {}
    path: list[str] = []
    for match in _LINE.finditer(exceptions.__doc__ or ""):
        depth = len(match["branch"]) // 4
        parent = path[depth - 1] if depth else "Exception"
        path[depth:] = [match["name"]]
        described = match["code"] if match["code"] else found[parent][1]
        found[match["name"]] = (parent, int(described))
    return found


def classes() -> dict[str, type[TasktoolsError]]:
    return {
        name: value
        for name, value in vars(exceptions).items()
        if inspect.isclass(value) and issubclass(value, TasktoolsError)
    }


def test_docstring__draws_the_tree_that_is_there() -> None:
    assert drawn() == {name: (value.__base__.__name__, value.exit_code) for name, value in classes().items()}


def test_docstring__draws_every_exit_code_beside_its_class() -> None:
    assert {code for _, code in drawn().values()} == {1, 2, 3, 4, 69, 74, 75}


def test_exit_codes__the_table_lists_those_of_the_classes_and_done_and_interrupted() -> None:
    assert list(MEANINGS) == sorted({0, INTERRUPTED, *(value.exit_code for value in classes().values())})


def test_error__has_a_sentence_and_no_hint_unless_it_is_given_one() -> None:
    bare, full = TasktoolsError("It broke."), TasktoolsError("It broke.", hint="fix it")
    assert (str(bare), bare.sentence, bare.hint) == ("It broke.", "It broke.", "")
    assert (str(full), full.sentence, full.hint) == ("It broke.", "It broke.", "fix it")


@pytest.fixture
def handled() -> Iterator[None]:
    """Handle SIGTERM as a process does that a signal ends."""

    def end(signum: int, frame: Any) -> NoReturn:
        raise SystemExit(0)

    before = signal.signal(signal.SIGTERM, end)
    yield
    signal.signal(signal.SIGTERM, before)


def _blamed(error: BaseException) -> TasktoolsError:
    return ProjectError(type(error).__name__)


@pytest.mark.usefixtures("handled")
def test_code_of_the_project__a_signal_that_ends_the_process_is_no_error_of_it() -> None:
    with pytest.raises(SystemExit), project_code(_blamed):
        signal.raise_signal(signal.SIGTERM)
    with pytest.raises(SystemExit):
        tried(lambda: signal.raise_signal(signal.SIGTERM), lambda _: None)

    def leave() -> NoReturn:
        raise SystemExit(0)

    with pytest.raises(ProjectError, match="SystemExit"), project_code(_blamed):
        leave()
    assert tried(leave, lambda error: error.__class__) is SystemExit


@pytest.mark.parametrize(
    ("error", "handler", "expected"),
    [
        (KeyboardInterrupt(), signal.default_int_handler, True),
        (KeyboardInterrupt(), signal.SIG_IGN, False),
        (SystemExit(0), signal.default_int_handler, False),
        (RuntimeError(), signal.default_int_handler, False),
    ],
    ids=repr,
)
def test_interrupt__is_the_user_s_where_python_handles_the_signal(
    error: BaseException, handler: Any, expected: bool
) -> None:
    before = signal.signal(signal.SIGINT, handler)
    try:
        assert is_of_signal(error) is expected
    finally:
        signal.signal(signal.SIGINT, before)
