"""One word -> one value of a type. Pure.

The table (a union takes the first of its types that can read the word; text comes last):

    str                     the word as it is: 007 stays "007"
    int, float, Decimal     as Python reads them
    bool                    true false yes no on off 1 0
    UUID, date, time        as written by str() and isoformat()
    datetime                ISO 8601
    timedelta               90, 90s, 5m, 1h30m, 2d
    Enum                    the name or the value of a member
    Literal                 one of its values
    list, tuple, set, dict  JSON, its items converted too where the annotation gives their type
    X | None                null is None
    a pydantic model        a JSON object that the model accepts, sent as the model's JSON form
    anything else, or none  JSON if it parses, else text
"""

from __future__ import annotations

import collections.abc
import contextlib
import enum
import json
import math
import types
import typing
import uuid
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation

from django.utils.dateparse import parse_datetime

from tasktools.arguments import nesting
from tasktools.arguments.durations import parse_duration
from tasktools.arguments.models import Model, faults, is_model, require_no_secret
from tasktools.arguments.numbers import TooLarge
from tasktools.exceptions import ArgumentError

_BOOLEANS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_SEQUENCES = (list, tuple, set, frozenset, collections.abc.Sequence, collections.abc.Iterable)
_MAPPINGS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)


class NotConvertible(ValueError):
    """The word is not of the type; the message is the type with its article: `an integer`."""


def convert(word: str, annotation: object) -> object:
    """Return `word` as a value of `annotation`, by the table at the top.

    Raises NotConvertible, whose text names the type, and TooDeep.
    """
    annotation = _bare(annotation)
    if isinstance(annotation, type) and annotation in _SCALARS:
        name, read = _SCALARS[annotation]
        return _read(word, read, name)
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        return _union(word, typing.get_args(annotation))
    if origin is typing.Literal:
        return _one_of(word, {str(value): value for value in typing.get_args(annotation)})
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return _enum(word, annotation)
    if is_model(annotation):
        return _model(word, annotation)
    if (origin or annotation) in (*_SEQUENCES, *_MAPPINGS):
        return give_type(_read(word, nesting.loads, "JSON"), annotation)
    return _json_or_text(word)


def types_words(annotation: object) -> bool:
    """Whether the annotation decides how a word is read, and not the look of the word."""
    annotation = _bare(annotation)
    kind = typing.get_origin(annotation) or annotation
    if kind in (typing.Union, types.UnionType):
        return all(map(types_words, typing.get_args(annotation)))
    return _is_scalar(annotation) or is_model(annotation) or kind in (*_SEQUENCES, *_MAPPINGS)


def give_type(value: object, annotation: object) -> object:
    """Give the parsed JSON `value` the type `annotation`: text in it is read like a word.

    Raises NotConvertible, whose text names the type.
    """
    annotation = _bare(annotation)
    kind = typing.get_origin(annotation) or annotation
    if kind in _SEQUENCES:
        return _items(value, kind, typing.get_args(annotation))
    if kind in _MAPPINGS:
        return _entries(value, typing.get_args(annotation))
    if is_model(annotation):
        return _model(json.dumps(value), annotation)
    if kind in (typing.Union, types.UnionType):
        return _member(value, typing.get_args(annotation))
    if not _is_scalar(annotation):
        return value
    return value if _fits(value, annotation) else convert(_word_for(value), annotation)


def _member(value: object, members: tuple[object, ...]) -> object:
    """Return a parsed value as the first of the types that it has or can be read as."""
    if value is None and type(None) in members:
        return None
    return _first_of([each for each in members if each is not type(None)], lambda member: give_type(value, member))


def _is_scalar(annotation: object) -> bool:
    scalar = isinstance(annotation, type) and (annotation in _SCALARS or issubclass(annotation, enum.Enum))
    return scalar or typing.get_origin(annotation) is typing.Literal


def _items(value: object, kind: type, of: tuple[object, ...]) -> list[object]:
    if not isinstance(value, list):
        raise NotConvertible("a JSON array")
    if kind is tuple and of and of[-1] is not Ellipsis:
        if len(of) != len(value):
            raise NotConvertible(f"a JSON array of {len(of)}")
        return [give_type(item, each) for item, each in zip(value, of, strict=True)]
    return [give_type(item, of[0]) for item in value] if of else value


def _entries(value: object, of: tuple[object, ...]) -> dict[str, object]:
    if not isinstance(value, dict):
        raise NotConvertible("a JSON object")
    return {key: give_type(item, of[1]) for key, item in value.items()} if of else value


def _word_for(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _fits(value: object, annotation: object) -> bool:
    """Whether a value parsed from JSON already has the type `annotation`: true is not an integer, 2 is a float."""
    if annotation is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if annotation is str:
        if not isinstance(value, str):
            raise NotConvertible("text")
        return True
    return type(value) is annotation


def _read(word: str, read: Callable[[str], object], name: str) -> object:
    try:
        return read(word)
    except (NotConvertible, nesting.TooDeep, TooLarge):
        raise
    except (ValueError, InvalidOperation, ArgumentError, RecursionError):
        raise NotConvertible(name) from None


def _union(word: str, members: tuple[object, ...]) -> object:
    if type(None) in members and word == "null":
        return None
    return _first_of([each for each in members if each is not type(None)], lambda member: convert(word, member))


def _first_of(members: list[object], read: Callable[[object], object]) -> object:
    names = []
    for member in sorted(members, key=lambda each: each is str):
        try:
            return read(member)
        except NotConvertible as error:
            names.append(str(error))
    raise NotConvertible(" or ".join(names))


def _one_of(word: str, values: Mapping[str, object]) -> object:
    try:
        return values[word]
    except KeyError:
        raise NotConvertible(f"one of {', '.join(values)}") from None


def _enum(word: str, kind: type[enum.Enum]) -> enum.Enum:
    values = {str(member.value): member for member in kind}
    return typing.cast("enum.Enum", _one_of(word, {**values, **kind.__members__}))


def _model(word: str, model: Model) -> object:
    with contextlib.suppress(ValueError):  # a model would take 1e999 as infinity
        nesting.parsed(word)
    try:
        value = model.model_validate_json(word).model_dump(mode="json", by_alias=True)
    except ValueError as error:
        raise NotConvertible(f"JSON for {model.__name__} ({faults(error)})") from None
    require_no_secret(model, word, value)
    return value


def _json_or_text(word: str) -> object:
    try:
        return nesting.loads(word, decoder=nesting.WORDS)
    except (ValueError, TooLarge):
        return word


def _bare(annotation: object) -> object:
    """Strip what does not change how a word is read: Annotated[X, ...] and NewType."""
    if typing.get_origin(annotation) is typing.Annotated:
        return _bare(typing.get_args(annotation)[0])
    return _bare(annotation.__supertype__) if hasattr(annotation, "__supertype__") else annotation


def _boolean(word: str) -> bool:
    try:
        return _BOOLEANS[word.lower()]
    except KeyError:
        raise ValueError(word) from None


def _float(word: str) -> float:
    """Return a number, or one of Python's own words for infinity; 1e999 is none."""
    number = float(word)
    if math.isinf(number) and any(map(str.isdigit, word)):
        raise NotConvertible("a number that a float can hold")
    return number


def _datetime(word: str) -> datetime:
    found = parse_datetime(word)
    if found is None:
        raise ValueError(word)
    return found


def _none(word: str) -> None:
    if word != "null":
        raise ValueError(word)


_SCALARS: dict[object, tuple[str, Callable[[str], object]]] = {
    str: ("text", str),
    int: ("an integer", int),
    float: ("a number", _float),
    bool: ("true or false", _boolean),
    bytes: ("text", str.encode),
    Decimal: ("a decimal number", Decimal),
    uuid.UUID: ("a UUID", uuid.UUID),
    date: ("a date like 2030-01-31", date.fromisoformat),
    time: ("a time of day like 18:00", time.fromisoformat),
    datetime: ("a time like 2030-01-31T18:00", _datetime),
    timedelta: ("a duration like 90s, 5m or 1h30m", parse_duration),
    type(None): ("null", _none),
}
