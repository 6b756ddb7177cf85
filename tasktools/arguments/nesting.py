"""How deeply arguments are nested. A worker that reads arguments with too many levels ends with a RecursionError. Pure."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from tasktools.arguments.names import shown
from tasktools.arguments.numbers import finite
from tasktools.exceptions import ArgumentError

#: Most levels of lists and mappings in one argument. About 900 end a worker with a RecursionError each time it starts.
MOST_LEVELS = 100


class TooDeep(ArgumentError):
    """An argument has more than MOST_LEVELS levels."""

    def __init__(self) -> None:
        sentence = f"An argument is nested more than {MOST_LEVELS} levels deep, and no worker could read it."
        super().__init__(sentence, hint="give a flatter value, or pass it as text")


def require_shallow(values: Collection[Any]) -> None:
    """Raise TooDeep when one of these values is nested too deeply. It takes linear time."""
    holders: Collection[Any] = [values]
    for _ in range(MOST_LEVELS + 1):
        # The keys are ids: a list that is held twice counts once, and a list that holds itself does not loop forever.
        holders = {id(item): item for holder in holders for item in _held(holder)}.values()
        if not holders:
            return
    raise TooDeep


#: Reads JSON as Python does, but no number as infinity. Making it each time would take longer than a line of a file.
_DECODER = json.JSONDecoder(parse_float=finite)


def _refuse(constant: str) -> None:
    raise ValueError(constant)


#: The same for a word without a type: NaN is text there.
WORDS = json.JSONDecoder(parse_float=finite, parse_constant=_refuse)


def may_be_deep(text: str) -> bool:
    """Whether the value of this JSON can be nested too deeply: each level needs one bracket."""
    return text.count("[") + text.count("{") > MOST_LEVELS


def loads(text: str, *, decoder: json.JSONDecoder = _DECODER) -> Any:
    """Return the value of JSON, as json.loads does, but refuse what is nested too deeply.

    Raises ValueError, TooLarge for a number, and TooDeep when the value, as an argument, is too deep.
    """
    value = parsed(text, decoder=decoder)
    if may_be_deep(text):
        require_shallow([value])
    return value


def parsed(text: str, *, decoder: json.JSONDecoder = _DECODER) -> Any:
    """Return the value of JSON that holds arguments. The caller must check their depth.

    NaN and Infinity are taken, as Celery takes them, if they are written so.

    Raises ValueError, also for an object that has a key twice, TooLarge for a number that would become infinite, and TooDeep
    when Python itself cannot read it because of its depth.
    """
    try:
        value = decoder.decode(text)
        if "{" in text and _may_repeat(text, value):  # the first test keeps the usual line quick
            json.loads(text, object_pairs_hook=_refuse_twice)
    except RecursionError:
        raise TooDeep from None
    return value


def _may_repeat(text: str, value: Any) -> bool:
    """Whether an object may have a key twice: then there are more colons than keys. Others are looked at closely."""
    if type(value) is dict and _FLAT.issuperset(map(type, value.values())):
        return text.count(":") > len(value)
    return type(value) in (list, dict)


def _refuse_twice(pairs: list[tuple[str, Any]]) -> None:
    keys = [key for key, _ in pairs]
    if len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f'the key "{shown(twice)}" stands twice in one object')


def _held(holder: Any) -> Iterable[Any]:
    """Return the items that are containers themselves."""
    if type(holder) is not list and isinstance(holder, Mapping):
        holder = holder.values()
    if _FLAT.issuperset(map(type, holder)):  # true for most holders: this runs in C
        return ()
    return [item for item in holder if isinstance(item, _HOLDERS)]


_FLAT = frozenset({str, int, float, bool, type(None), bytes})
_HOLDERS = (list, tuple, dict, set, frozenset, Mapping)
