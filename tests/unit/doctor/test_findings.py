from __future__ import annotations

import pytest

from tasktools.doctor.findings import ERROR, OK, WARNING, Section, count, error, listed, of_error, ok, warning
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
