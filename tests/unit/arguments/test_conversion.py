from __future__ import annotations

import enum
import math
import typing
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any, Literal, NewType, Optional, Union
from uuid import UUID

import pytest
from pydantic import BaseModel, Field, SecretStr

from tasktools.arguments.conversion import NotConvertible, convert
from tasktools.arguments.numbers import TooLarge
from tasktools.exceptions import ArgumentError


class Colour(enum.Enum):
    RED = "r"
    BLUE = 2
    GREEN = "RED"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Point(BaseModel):
    x: int
    at: date | None = None


class Named(BaseModel):
    first: str = Field(alias="firstName")


UserId = NewType("UserId", int)


@pytest.mark.parametrize(
    ("word", "kind", "value"),
    [
        ("007", str, "007"),
        ("", str, ""),
        ("null", str, "null"),
        ("7", int, 7),
        ("-7", int, -7),
        ("007", int, 7),
        ("7", float, 7.0),
        ("1e3", float, 1000.0),
        ("1.10", Decimal, Decimal("1.10")),
        ("b", bytes, b"b"),
        ("00000000-0000-0000-0000-000000000001", UUID, UUID(int=1)),
        ("2030-01-31", date, date(2030, 1, 31)),
        ("18:00", time, time(18)),
        ("2030-01-31T18:00", datetime, datetime(2030, 1, 31, 18)),  # noqa: DTZ001 - what was typed has no offset
        ("2030-01-31T18:00+02:00", datetime, datetime(2030, 1, 31, 16, tzinfo=timezone.utc)),
        ("1h30m", timedelta, timedelta(minutes=90)),
        ("null", type(None), None),
    ],
)
def test_convert__scalars(word: str, kind: Any, value: Any) -> None:
    found = convert(word, kind)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("word", ["true", "True", "TRUE", "yes", "on", "1"])
def test_convert__bool_true(word: str) -> None:
    assert convert(word, bool) is True


@pytest.mark.parametrize("word", ["false", "False", "no", "off", "0"])
def test_convert__bool_false(word: str) -> None:
    assert convert(word, bool) is False


@pytest.mark.parametrize(
    ("word", "kind", "name"),
    [
        ("7.0", int, "an integer"),
        ("", int, "an integer"),
        pytest.param("9" * 5000, int, "an integer", id="long"),
        ("fast", float, "a number"),
        ("2", bool, "true or false"),
        ("", bool, "true or false"),
        ("ten", Decimal, "a decimal number"),
        ("1", UUID, "a UUID"),
        ("31.01.2030", date, "a date like 2030-01-31"),
        ("2030-02-30", date, "a date like 2030-01-31"),
        ("25:00", time, "a time of day like 18:00"),
        ("soon", datetime, "a time like 2030-01-31T18:00"),
        ("2030-02-30T00:00", datetime, "a time like 2030-01-31T18:00"),
        ("soon", timedelta, "a duration like 90s, 5m or 1h30m"),
        ("-5m", timedelta, "a duration like 90s, 5m or 1h30m"),
        ("x", type(None), "null"),
    ],
)
def test_convert__what_is_not_of_the_type_is_told_by_the_type_s_name(word: str, kind: Any, name: str) -> None:
    with pytest.raises(NotConvertible) as caught:
        convert(word, kind)
    assert str(caught.value) == name


@pytest.mark.parametrize(
    ("word", "kind", "member"),
    [
        ("RED", Colour, Colour.RED),
        ("r", Colour, Colour.RED),
        ("2", Colour, Colour.BLUE),
        ("HIGH", Level, Level.HIGH),
        ("1", Level, Level.LOW),
    ],
)
def test_convert__enum_by_name_and_by_value(word: str, kind: Any, member: enum.Enum) -> None:
    assert convert(word, kind) is member


def test_convert__enum_of_another_word_lists_the_values() -> None:
    with pytest.raises(NotConvertible, match=r"^one of r, 2, RED, BLUE, GREEN$"):
        convert("purple", Colour)


@pytest.mark.parametrize(("word", "value"), [("S", "S"), ("3", 3)])
def test_convert__literal(word: str, value: Any) -> None:
    assert convert(word, Literal["S", "L", 3]) == value


def test_convert__literal_of_another_word_lists_the_values() -> None:
    with pytest.raises(NotConvertible, match=r"^one of S, L, 3$"):
        convert("M", Literal["S", "L", 3])


@pytest.mark.parametrize("kind", [int | None, Optional[int], Union[None, int]])  # noqa: UP007, UP045 - both spellings occur
def test_convert__optional(kind: Any) -> None:
    assert convert("null", kind) is None
    assert convert("7", kind) == 7
    with pytest.raises(NotConvertible, match=r"^an integer$"):
        convert("x", kind)


def test_convert__optional_text_knows_null_alone() -> None:
    assert convert("null", str | None) is None
    assert convert("None", str | None) == "None"
    assert convert("", str | None) == ""


@pytest.mark.parametrize(
    ("word", "kind", "value"),
    [
        ("7", str | int, 7),
        ("seven", str | int, "seven"),
        ("2030-01-31", int | date, date(2030, 1, 31)),
        ("[1]", list[int] | str, [1]),
    ],
)
def test_convert__union_takes_the_first_that_reads_it_and_text_last(word: str, kind: Any, value: Any) -> None:
    assert convert(word, kind) == value


def test_convert__union_that_no_member_reads_names_them_all() -> None:
    with pytest.raises(NotConvertible, match=r"^an integer or a date like 2030-01-31$"):
        convert("x", int | date)


@pytest.mark.parametrize(
    ("word", "kind", "value"),
    [
        ("[1, 2]", list, [1, 2]),
        ("[1, 2]", list[int], [1, 2]),
        ('["1", "2"]', list[int], [1, 2]),
        ('["00000000-0000-0000-0000-000000000001"]', list[UUID], [UUID(int=1)]),
        ("[[1], []]", list[list[int]], [[1], []]),
        ("[1, null]", list[int | None], [1, None]),
        ('["S", 3]', list[Literal["S", 3]], ["S", 3]),
        ("[2]", Sequence[float], [2.0]),
        ("[2]", Iterable[int], [2]),
        ("[1, 2]", set[int], [1, 2]),
        ('[1, "a"]', tuple[int, str], [1, "a"]),
        ("[1, 2, 3]", tuple[int, ...], [1, 2, 3]),
        ('{"a": 1}', dict, {"a": 1}),
        ('{"a": "1"}', dict[str, int], {"a": 1}),
        ('{"a": [1]}', Mapping[str, list[int]], {"a": [1]}),
        ("[1]", list[Any], [1]),
        ("[1]", typing.List[int], [1]),  # noqa: UP006 - tasks are written so too
    ],
)
def test_convert__json_with_typed_items(word: str, kind: Any, value: Any) -> None:
    assert convert(word, kind) == value


@pytest.mark.parametrize(
    ("word", "kind", "name"),
    [
        ("1,2", list[int], "JSON"),
        ("", dict, "JSON"),
        ("{}", list[int], "a JSON array"),
        ("5", list, "a JSON array"),
        ("[]", dict[str, int], "a JSON object"),
        ('[1, "x"]', list[int], "an integer"),
        ("[true]", list[int], "an integer"),
        ("[1]", list[str], "text"),
        ('{"a": "x"}', dict[str, int], "an integer"),
        ("[1]", tuple[int, int], "a JSON array of 2"),
    ],
)
def test_convert__json_that_does_not_fit(word: str, kind: Any, name: str) -> None:
    with pytest.raises(NotConvertible) as caught:
        convert(word, kind)
    assert str(caught.value) == name


def test_convert__json_text_in_a_list_of_optional_text_stays_text() -> None:
    assert convert('["null", null]', list[str | None]) == ["null", None]


def test_convert__members_of_an_enum_in_a_list_are_typed() -> None:
    assert convert('["RED", "r"]', list[Colour]) == [Colour.RED, Colour.RED]


def test_convert__no_member_of_an_enum_in_a_list() -> None:
    with pytest.raises(NotConvertible, match=r"^one of r, 2, RED, BLUE, GREEN$"):
        convert('["purple"]', list[Colour])


def test_convert__models_in_a_list_are_typed() -> None:
    assert convert('[{"x": "1"}]', list[Point]) == [{"x": 1, "at": None}]


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("7", 7),
        ("true", True),
        ("null", None),
        ('"7"', "7"),
        ('{"a": [1]}', {"a": [1]}),
        ("007", "007"),
        ("True", "True"),
        ("NaN", "NaN"),
        ("-Infinity", "-Infinity"),
        ("[NaN]", "[NaN]"),
        # Nothing that is typed becomes infinity unseen: it may be a hash.
        ("1e999", "1e999"),
        ("-1e999", "-1e999"),
        ("[1e999]", "[1e999]"),
        ("1e-999", 0.0),
        ("", ""),
        ("grün", "grün"),
        ("{broken", "{broken"),
        pytest.param("9" * 5000, "9" * 5000, id="long"),
    ],
)
def test_convert__without_a_type_json_if_it_parses_else_text(word: str, value: Any) -> None:
    for kind in (Any, type("Unknown", (), {})):
        found = convert(word, kind)
        assert found == value
        assert type(found) is type(value)


def test_convert__an_annotation_that_is_no_type_types_nothing() -> None:
    assert convert("5", {"unit": "m"}) == 5
    assert convert("5", "a note") == 5


@pytest.mark.parametrize(
    ("word", "kind", "value"),
    [
        ("007", Annotated[str, "a note"], "007"),
        ("7", UserId, 7),
        ("7", Annotated[UserId, "a note"], 7),
        ("null", Annotated[int, "a note"] | None, None),
        ("[7]", list[UserId], [7]),
    ],
)
def test_convert__looks_through_what_does_not_change_the_type(word: str, kind: Any, value: Any) -> None:
    assert convert(word, kind) == value


def test_convert__a_model_as_its_json_form() -> None:
    assert convert('{"x": "1", "at": "2030-01-31"}', Point) == {"x": 1, "at": "2030-01-31"}


def test_convert__a_model_as_the_model_takes_it_again() -> None:
    assert Named.model_validate(convert('{"firstName": "Ada"}', Named)) == Named(firstName="Ada")


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("{}", "x: Field required"),
        ("x", "Invalid JSON: expected value at line 1 column 1"),
        ('{"x": "redis://me:verysecretpassword@host.example.org:6379/0"}', "x: Input should be a valid integer, .*"),
        ('{"x": "a", "at": "b"}', "x: Input .*; at: Input .*"),
    ],
)
def test_convert__what_the_model_does_not_accept(word: str, why: str) -> None:
    with pytest.raises(NotConvertible, match=rf"^JSON for Point \({why}\)$") as caught:
        convert(word, Point)
    assert "redis" not in str(caught.value)


def test_convert__what_another_kind_of_model_does_not_accept() -> None:
    class Own:
        @classmethod
        def model_validate_json(cls, text: str) -> Any:
            raise ValueError("not\ntoday")

    with pytest.raises(NotConvertible, match=r"^JSON for Own \(not today\)$"):
        convert("{}", Own)


def test_convert__a_model_that_accepts_nothing_names_three_faults() -> None:
    class Many(BaseModel):
        a: int
        b: int
        c: int
        d: int

    with pytest.raises(NotConvertible) as caught:
        convert("{}", Many)
    assert str(caught.value) == "JSON for Many (a: Field required; b: Field required; c: Field required)"


@pytest.mark.parametrize("word", ["1e999", "-1e999", "9" * 400])
def test_convert__a_number_that_a_float_cannot_hold(word: str) -> None:
    with pytest.raises(NotConvertible, match=r"^a number that a float can hold$"):
        convert(word, float)
    assert convert(word, float | str) == word


@pytest.mark.parametrize(("word", "value"), [("inf", math.inf), ("-Infinity", -math.inf)])
def test_convert__infinity_that_is_meant(word: str, value: float) -> None:
    assert convert(word, float) == value


@pytest.mark.parametrize(
    ("word", "kind"), [("[1e999]", list[float]), ('{"x": 1, "f": 1e999}', Point), ("[1e999]", list)]
)
def test_convert__a_number_in_json_that_a_float_cannot_hold(word: str, kind: Any) -> None:
    with pytest.raises(TooLarge) as caught:
        convert(word, kind)
    assert caught.value.sentence == 'The number "1e999" is too large for a float.'
    assert convert("[Infinity]", list[float]) == [math.inf]


def test_convert__a_secret_is_not_sent_as_asterisks() -> None:
    class Login(BaseModel):
        password: SecretStr

    with pytest.raises(ArgumentError, match="A secret of Login cannot be sent"):
        convert('{"password": "s3cret"}', Login)
