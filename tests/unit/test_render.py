from __future__ import annotations

import enum
import io
import json
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from rich.console import Console

from tasktools import render
from tasktools.arguments.call import Call
from tasktools.exceptions import TasktoolsError
from tasktools.results.outcome import Failure, Outcome


class Colour(str, enum.Enum):
    RED = "r"


class Odd:
    def __repr__(self) -> str:
        return "<odd>"


def parsed(text: str) -> Any:
    """Parse as strictly as other languages do: Python alone takes NaN and Infinity."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (4, "4"),
        (4.5, "4.5"),
        ("grün", '"grün"'),
        ([1, (2, 3)], "[1, [2, 3]]"),
        ({"a": {"b": 1}}, '{"a": {"b": 1}}'),
        (Decimal("1.10"), '"1.10"'),
        (UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (date(2030, 1, 31), '"2030-01-31"'),
        (datetime(2030, 1, 31, 18, tzinfo=timezone(timedelta(hours=2))), '"2030-01-31T18:00:00+02:00"'),
        (timedelta(minutes=1, milliseconds=500), "60.5"),
        (Colour.RED, '"r"'),
        (Odd(), '"<odd>"'),
        (b"x", "\"b'x'\""),
        ({(1, 2): 3}, '{"(1, 2)": 3}'),
        ({"a": [{(1, 2): 3}]}, '{"a": [{"(1, 2)": 3}]}'),
        ({1: "a", None: "b"}, '{"1": "a", "null": "b"}'),
    ],
)
def test_as_json__values(value: Any, text: str) -> None:
    assert render.as_json(value) == text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [float("-inf")], {"a": float("nan")}])
def test_as_json__stays_valid_with_numbers_that_json_does_not_know(value: Any) -> None:
    parsed(render.as_json(value))


def test_as_json__stays_valid_with_a_time_that_the_encoder_refuses() -> None:
    assert "18" in parsed(render.as_json(time(18, 0, tzinfo=timezone.utc)))


def test_as_json__stays_valid_with_odd_keys_inside_a_dataclass() -> None:
    assert parsed(render.as_json(Outcome(id="i", state="SUCCESS", result={(1, 2): 3})))["result"] == {"(1, 2)": 3}


def test_as_json__can_be_written_whatever_bytes_a_file_name_had() -> None:
    assert parsed(render.as_json(["\udcff"]).encode().decode()) == ["\udcff"]


def test_as_json__a_call_as_an_object() -> None:
    call = Call(task="shop.add", args=(1, 2), kwargs={"z": 3}, options={"countdown": 90.0})
    assert parsed(render.as_json(call)) == {
        "task": "shop.add",
        "args": [1, 2],
        "kwargs": {"z": 3},
        "options": {"countdown": 90.0},
    }


def test_as_json__dataclasses_inside_dataclasses() -> None:
    outcome = Outcome(id="i", state="FAILURE", error=Failure(type="ValueError", message="broken"))
    assert parsed(render.as_json(outcome))["error"] == {"type": "ValueError", "message": "broken"}


@dataclass
class Node:
    name: str
    parent: Any = None


def test_as_json__a_dataclass_that_holds_itself() -> None:
    node = Node("root")
    node.parent = node
    assert parsed(render.as_json(node)) == {"name": "root", "parent": repr(node)}
    node.parent = [node]
    assert parsed(render.as_json(node)) == {"name": "root", "parent": [repr(node)]}


def test_as_json__dataclasses_deeper_than_is_looked_into() -> None:
    node = Node("root")
    for _ in range(400):
        node = Node("child", node)
    found, levels = parsed(render.as_json(node)), 0
    while isinstance(found, dict):
        found, levels = found["parent"], levels + 1
    assert levels == render.MOST_LEVELS


def test_as_json__a_dataclass_with_a_field_that_was_never_set() -> None:
    node = Node("root")
    del node.name
    assert parsed(render.as_json(node)) == {"parent": None}


class Refusing(Node):
    @property
    def name(self) -> str:  # type: ignore[override]
        raise ValueError("not now")

    @name.setter
    def name(self, value: str) -> None:
        pass


class Closed(dict[str, Any]):
    def items(self) -> Any:
        raise ValueError("not now")


@pytest.mark.parametrize("value", [Refusing("a"), Closed(a=1)])
def test_as_json__what_does_not_tell_what_it_holds(value: Any) -> None:
    assert isinstance(parsed(render.as_json([value]))[0], str)


class Exiting:
    def __repr__(self) -> str:
        raise SystemExit(7)


def test_as_json__a_value_whose_repr_exits_ends_nothing() -> None:
    assert render.as_json([Exiting()]) == '["<Exiting>"]'
    assert render.text_of(Exiting()) == "<Exiting>"


def test_as_json__one_line_unless_told_otherwise() -> None:
    assert render.as_json({"a": [1]}) == '{"a": [1]}'
    assert render.as_json({"a": 1}, indent=2) == '{\n  "a": 1\n}'


@pytest.mark.parametrize("value", [None, 4, "x", [1, {"a": Decimal(1)}], UUID(int=1), date(2030, 1, 31)])
def test_is_json__carries_it(value: Any) -> None:
    assert render.is_json(value) is True


@pytest.mark.parametrize("value", [Odd(), {1, 2}, b"x", {(1, 2): 3}, [Odd()]])
def test_is_json__needs_a_repr(value: Any) -> None:
    assert render.is_json(value) is False


@pytest.mark.parametrize(
    ("value", "text"), [("two\nlines", "two\nlines"), ("", ""), (4, "4"), (None, "null"), (["a"], '["a"]')]
)
def test_as_text__text_as_it_is_and_the_rest_as_json(value: Any, text: str) -> None:
    assert render.as_text(value) == text


def test_error_lines__sentence_and_hint() -> None:
    assert render.error_lines(TasktoolsError("It broke.", hint="fix it")) == ["It broke.", "Hint: fix it"]


def test_error_lines__further_sentences() -> None:
    error = TasktoolsError("It broke.", hint="fix it", more=["That too."])
    assert render.error_lines(error) == ["It broke.", "That too.", "Hint: fix it"]


def test_error_lines__no_empty_hint() -> None:
    assert render.error_lines(TasktoolsError("It broke.")) == ["It broke."]


def test_error_json__is_one_object_on_one_line() -> None:
    text = render.error_json(TasktoolsError('No "x".', hint="fix\nit"), str)
    assert "\n" not in text
    assert parsed(text) == {"error": 'No "x".', "hint": "fix\nit"}


def test_plain_table__columns_are_aligned_and_two_spaces_apart() -> None:
    table = render.plain_table(("NAME", "N"), [("a", "1"), ("longer", "")])
    assert table == "NAME    N\na       1\nlonger"


def test_plain_table__wide_characters_take_two_cells() -> None:
    lines = render.plain_table(("NAME", "N"), [("任務", "1"), ("e\u0301", "2")]).splitlines()
    assert lines == ["NAME  N", "任務  1", "e\u0301     2"]


def test_plain_table__without_rows_its_heads_alone() -> None:
    assert render.plain_table(("NAME", "N"), []) == "NAME  N"


def drawn(columns: tuple[str, ...], rows: list[tuple[str, ...]], width: int) -> list[str]:
    screen = io.StringIO()
    Console(file=screen, width=width, no_color=True).print(render.rich_table(columns, rows))
    return [line.rstrip() for line in screen.getvalue().splitlines()]


def test_rich_table__shows_square_brackets_as_they_are() -> None:
    assert " (x: list[int])   [red]" in drawn(("A", "B"), [("(x: list[int])", "[red]")], 80)


def test_rich_table__folds_a_long_cell_rather_than_cutting_it() -> None:
    rows = drawn(("A", "B"), [("0123456789abcdef", "x")], 14)[3:]
    assert [row.split() for row in rows if row] == [["01234567", "x"], ["89abcdef"]]


ROWS = [("add", "(x: int, y: int = 2)", "celery", "Add."), ("long", "(" + "x" * 100 + ")", "celery", "")]


@pytest.mark.parametrize(
    ("width", "kept"),
    [
        (200, "NAME SIGNATURE QUEUE DOC"),
        (66, "NAME SIGNATURE QUEUE DOC"),
        (65, "NAME SIGNATURE DOC"),
        (20, "NAME SIGNATURE"),
    ],
)
def test_that_fit__columns_go_by_their_worth_and_the_others_are_folded(width: int, kept: str) -> None:
    columns = ("NAME", "SIGNATURE", "QUEUE", "DOC")
    places = render.that_fit(columns, ROWS, width, ("QUEUE", "DOC"))
    assert " ".join(columns[place] for place in places) == kept


def test_that_fit__what_has_room_stays_beside_what_has_none() -> None:
    """A long text made all columns before it in the order go, too."""
    columns, rows = ("NAME", "QUEUE", "DOC", "FULL"), [("add", "celery", "x" * 70, "shop.tasks.add")]
    spare = ("FULL", "QUEUE", "DOC")
    assert render.that_fit(columns, rows, 60, spare) == [0, 1, 3]
    assert render.that_fit(columns, rows, 30, spare) == [0, 1]
    assert render.that_fit(columns, rows, 60, spare, cut="DOC") == [0, 1, 2, 3]
    assert render.that_fit(columns, rows, 39, spare, cut="DOC") == [0, 1, 2]
    assert render.that_fit(columns, rows, 38, spare, cut="DOC") == [0, 2]


@pytest.mark.parametrize("text", ["x" * 70, "任" * 35, "short"])
@pytest.mark.parametrize("width", [39, 60, 100, 120])
def test_shortened__texts_have_the_room_that_others_leave(text: str, width: int) -> None:
    columns, rows = ("NAME", "QUEUE", "DOC"), [("add", "celery", text)]
    kept = render.that_fit(columns, rows, width, ("QUEUE", "DOC"), cut="DOC")
    assert kept == [0, 1, 2]
    (row,) = render.shortened(columns, rows, width, kept, "DOC")
    line = drawn(columns, [tuple(row)], width)[3]
    room = width - len("add ") - len("celery") - 3 * 3
    assert row[2] == text if render.cells(text) <= room else row[2].endswith("…")
    assert render.cells(row[2]) in (room, room - 1, render.cells(text))
    assert line.split() == ["add", "celery", row[2]]
