from __future__ import annotations

import inspect
import re

from tasktools import exceptions
from tasktools.exceptions import TasktoolsError
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
