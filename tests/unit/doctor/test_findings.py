from __future__ import annotations

from collections.abc import Iterator

import pytest

from tasktools.doctor.findings import (
    ERROR,
    OK,
    WARNING,
    Line,
    Section,
    cause_of,
    count,
    error,
    listed,
    of_error,
    ok,
    tried,
    warning,
)
from tasktools.exceptions import TasktoolsError


def test_count__by_status() -> None:
    sections = [
        Section(name="a", lines=[ok("x", "y"), error("x", "y", "z")]),
        Section(name="b", lines=[warning("x", "y", "z"), error("x", "y", "z")]),
    ]
    assert [count(sections, status) for status in (OK, WARNING, ERROR)] == [1, 1, 2]


def test_error__of_an_exception_has_all_its_sentences() -> None:
    line = of_error("broker", TasktoolsError("One.", hint="fix it", more=["Two."]))
    assert (line.status, line.name, line.text, line.remedy) == (ERROR, "broker", "One. Two.", "fix it")


@pytest.mark.parametrize(
    ("names", "text"), [({"b", "a"}, "a, b"), ("abcde", "a, b, c, d, e"), ("fabcde", "a, b, c, d, e and 1 more")]
)
def test_listed__the_first_ones(names: set[str], text: str) -> None:
    assert listed(names) == text


def test_tried__keeps_the_lines_before_an_error() -> None:
    def lines() -> Iterator[Line]:
        yield ok("a", "b")
        raise RuntimeError("no")

    first, second = tried("x", lines)
    assert first == ok("a", "b")
    text = "The lines about x cannot be made: RuntimeError: no."
    assert second == error("x", text, "the same command with --traceback shows where")
    problem = cause_of(second)
    assert isinstance(problem, TasktoolsError)
    assert isinstance(problem.__cause__, RuntimeError)
    assert cause_of(first) is None


def test_tried__an_error_of_ours_is_its_line() -> None:
    problem = TasktoolsError("One.", hint="fix it")

    def lines() -> list[Line]:
        raise problem

    (line,) = tried("x", lines)
    assert line == error("x", "One.", "fix it")
    assert cause_of(line) is problem
