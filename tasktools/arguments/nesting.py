"""How deeply arguments are nested. A worker cannot read what it takes too many levels of recursion to read, and ends. Pure."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from tasktools.exceptions import ArgumentError

#: Most levels of lists and mappings in one argument; some 900 end a worker with a RecursionError, at each of its starts.
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
        # By their ids: what holds the same list twice holds it once here, and what holds itself has an end.
        holders = {id(item): item for holder in holders for item in _held(holder)}.values()
        if not holders:
            return
    raise TooDeep


def may_be_deep(text: str) -> bool:
    """Whether the value of this JSON can be nested too deeply: it takes a bracket a level."""
    return text.count("[") + text.count("{") > MOST_LEVELS


def loads(text: str, **options: Any) -> Any:
    """Return the value of JSON; as json.loads, but for what is too deep.

    Raises ValueError, and TooDeep when it is an argument which is too deep.
    """
    value = parsed(text, **options)
    if may_be_deep(text):
        require_shallow([value])
    return value


def parsed(text: str, **options: Any) -> Any:
    """Return the value of JSON which holds arguments, whose depth is still to be checked.

    Raises ValueError, and TooDeep for what Python itself cannot read.
    """
    try:
        return json.loads(text, **options)
    except RecursionError:
        raise TooDeep from None


def _held(holder: Any) -> Iterable[Any]:
    """Return the items that hold others themselves."""
    if type(holder) is not list and isinstance(holder, Mapping):
        holder = holder.values()
    if _FLAT.issuperset(map(type, holder)):  # as most are: it runs in C
        return ()
    return [item for item in holder if isinstance(item, _HOLDERS)]


_FLAT = frozenset({str, int, float, bool, type(None), bytes})
_HOLDERS = (list, tuple, dict, set, frozenset, Mapping)
