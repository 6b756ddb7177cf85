"""Rows of CSV: where they begin and end, by the rules of the csv module, and in linear time."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasktools.exceptions import ArgumentError
from tasktools.management import csv_rows as rows_module
from tasktools.management.csv_rows import Row, cells, rows
from tasktools.management.input_lines import LONGEST_LINE, Line, line_of


def lines(text: str) -> Iterator[Line | None]:
    return iter([line_of(number, each.encode()) for number, each in enumerate(text.split("\n"), 1)])


def read(text: str) -> list[Row]:
    return [row for row in rows(lines(text)) if row is not None]


ROWS = [
    ("a,b\n1,2", [(1, 1), (2, 2)]),
    ('a\n"one\ntwo"\nb', [(1, 1), (2, 3), (4, 4)]),
    ('5" pipe,1\n7" pipe,2', [(1, 1), (2, 2)]),  # in an unquoted cell a quote is a character
    ('a"b\nc"d', [(1, 1), (2, 2)]),
    ('"say ""hi\n"" to","x\ny"\nb', [(1, 3), (4, 4)]),
    ('""\nb', [(1, 1), (2, 2)]),
    ('"""\n"""\nb', [(1, 2), (3, 3)]),
    ('\n  \n"a\n\nb"\n', [(3, 5)]),
    ('"a" b\n"c"', [(1, 1), (2, 2)]),  # what the csv module refuses ends with its line
]


@pytest.mark.parametrize(("text", "places"), ROWS)
def test_rows__end_where_no_quote_is_open(text: str, places: list[tuple[int, int]]) -> None:
    assert [(row.number, row.last) for row in read(text)] == places
    assert not any(row.endless for row in read(text))


def test_silence__is_passed_on_in_the_middle_of_a_row() -> None:
    given = iter([Line(1, b'"a'), None, Line(2, b'b"')])
    assert list(rows(given)) == [None, Row(1, 2, b'"a\nb"')]


def test_line_break_in_a_cell__stays_what_it_is() -> None:
    [header, row] = read('text,number\r\n"a\r\nb\nc\rd",1\r\n')
    assert header.data == b"text,number"
    assert row.data is not None
    assert cells(row.data.decode()) == ["a\r\nb\nc\rd", "1"]


ENDLESS = [
    (
        'a\n1\n"2\n3\n4',
        Row(3, 5, b'"2\n3\n4', "the quote that opens there is never closed, so lines 3 to 5 are one row."),
    ),
    ('a,b\n"1', Row(2, 2, b'"1', "the quote that opens there is never closed.")),
    (
        'a,b\n"1\n2","3\n4',
        Row(2, 4, b'"1\n2","3\n4', "the quote that opens in line 3 is never closed, so lines 2 to 4 are one row."),
    ),
]


@pytest.mark.parametrize(("text", "row"), ENDLESS)
def test_quote_that_is_never_closed__names_the_first_line_and_where_it_opens(text: str, row: Row) -> None:
    assert read(text)[-1] == row


def test_quote_that_is_not_closed_for_long__ends_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "MOST_LINES", 3)
    monkeypatch.setattr(rows_module, "LONGEST_LINE", 1 << 20)
    assert read('a\n"1\n2\n3"\nb')[-1] == Row(5, 5, b"b")
    [_, row] = read('a\n"1\n2\n3\n4"\nb')
    assert (row.number, row.last) == (2, 4)
    assert row.endless == "the quote that opens there is not closed within 3 lines, so lines 2 to 4 are one row."
    [_, row] = read('a\n"1\n' + "2" * (1 << 20) + '\n"\nb')
    assert (row.number, row.last, row.data) == (2, 3, None)
    assert "is not closed within 1 MB" in row.endless


@pytest.mark.parametrize("before", [[], [Line(1, b'"a')]])
def test_line_that_is_too_long__ends_the_rows(before: list[Line]) -> None:
    """Whether a quote is open after it is not known."""
    [row] = rows(iter([*before, Line(2, None), Line(3, b"a")]))
    assert row is not None
    assert (row.last, row.data) == (2, None)
    assert "16 MB" in row.endless


@settings(max_examples=300)
@given(st.lists(st.lists(st.text('a",\r\n', max_size=6), min_size=1, max_size=4), max_size=6), st.booleans())
def test_what_the_csv_module_writes__is_read_row_by_row(table: list[list[str]], unix: bool) -> None:
    if unix:  # the writer quotes no \r then, and the reader refuses it
        table = [[cell.replace("\r", "") for cell in row] for row in table]
    file = io.StringIO()
    csv.writer(file, lineterminator="\n" if unix else "\r\n").writerows(table)
    found = [cells((row.data or b"").decode()) for row in read(file.getvalue())]
    assert found == table


@settings(max_examples=300)
@given(st.text('a",\n', max_size=30))
def test_any_text__each_line_is_in_one_row(text: str) -> None:
    at = 0
    for row in read(text):
        assert row.number > at
        assert row.last >= row.number
        at = row.last
        if row.endless:
            assert at == text.count("\n") + 1


def test_quote_that_is_never_closed__takes_linear_time() -> None:
    began = time.process_time()
    [_, row] = read('x,y\n1,"2\n' + "3,4\n" * 90_000)
    assert "is never closed" in row.endless
    assert time.process_time() - began < 2


def test_long_cell__is_read() -> None:
    assert cells("a," + "b" * 1_000_000) == ["a", "b" * 1_000_000]
    assert LONGEST_LINE > 1_000_000
    with pytest.raises(ArgumentError, match="it is no row of CSV"):
        cells('"a" b')
