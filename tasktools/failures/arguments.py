"""The arguments of a failed task, as a person reads them: JSON of a limited length, masked by the project if it wishes.

They are read from the message's body again: a task in a thread may have changed those that it was given.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

from kombu.serialization import loads, prepare_accept_content

from tasktools import terminal
from tasktools.failures.message import Kept
from tasktools.failures.text import clean
from tasktools.render import as_json, repr_of

logger = logging.getLogger("tasktools.failures")

#: What is left of longer arguments, in characters.
LONGEST = 20_000

#: What is in the name of pickle's content type.
_PICKLE = "python-serialize"

#: How long each text and each container may be, and how deep, step by step until all fits.
_STEPS = ((LONGEST, LONGEST, 50), (4_000, 400, 20), (1_000, 100, 10), (200, 30, 6), (60, 10, 4), (20, 3, 3))

#: Writes what JSON has a word for as `as_json` does, and raises an error for the rest.
_PLAIN = json.JSONEncoder(ensure_ascii=False, allow_nan=False)

#: Called with the name of the task, its args and its kwargs; returns those to show, or None.
Hook = Callable[[str, Sequence[Any], Mapping[str, Any]], Any]


@dataclass(frozen=True, kw_only=True)
class Call:
    """What the body of a message says."""

    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    #: The task that a chord runs at its end, if this one is of its header.
    chord: str = ""


def read(message: Kept, accept: Sequence[str] | None) -> Call | None:
    """Return what a body says; None if it cannot be read, or only by a serializer that the app does not accept or by pickle."""
    try:
        types = _types(tuple(accept or ("json",)))
        if message.body is None or message.content_type not in types:
            return None
        body: Any = loads(message.body, message.content_type, message.content_encoding or "utf-8", accept=types)
        if isinstance(body, Mapping) and body.get("task"):  # protocol 1
            args, kwargs, chord = body.get("args") or (), body.get("kwargs") or {}, body.get("chord")
        else:
            args, kwargs, embed = body
            chord = (embed or {}).get("chord")
        return Call(args=list(args), kwargs=dict(kwargs), chord=str(chord["task"]) if chord else "")
    except Exception:  # noqa: BLE001 - a body may hold anything
        return None


@lru_cache
def _types(accept: tuple[str, ...]) -> frozenset[str]:
    return frozenset(each for each in prepare_accept_content(accept) or () if _PICKLE not in each)


def masked(hook: Hook | None, task: str, call: Call) -> tuple[Sequence[Any], Mapping[str, Any]] | None:
    """Return the arguments to show: those that the project's hook returns. None if nothing of them may be kept."""
    if hook is None:
        return call.args, call.kwargs
    try:
        answer = hook(task, call.args, call.kwargs)
        if answer is None:
            return None
        args, kwargs = answer
        return list(args), dict(kwargs)
    except BaseException:  # as SystemExit: it must not end the thread that records
        logger.exception("TASKTOOLS_FAILED_ARGUMENTS has failed for a call of %s: its arguments are not kept.", task)
        return None


def written(args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """Return the arguments as a JSON object of at most LONGEST characters; what JSON has no word for as its repr."""
    if (text := _as_they_are(args, kwargs)) is not None:
        return text
    for step in _STEPS:
        with contextlib.suppress(_TooMuch):
            parts = _Shorter(*step).of({"args": list(args), "kwargs": dict(kwargs)})
            text = clean(as_json(parts))
            if len(text) <= LONGEST:
                return text
    return json.dumps({"args": ["…"], "kwargs": {}}, ensure_ascii=False)


def _as_they_are(args: Sequence[Any], kwargs: Mapping[str, Any]) -> str | None:
    """Return the same in little time for arguments that are plain and short; None for others."""
    try:
        text = _PLAIN.encode({"args": args, "kwargs": kwargs})
    except (TypeError, ValueError, RecursionError):
        return None
    levels = text.count("[") + text.count("{")  # at most: texts may have them too
    if len(text) > LONGEST or levels > _STEPS[0][2]:
        return None
    text = clean(terminal.json(text))  # which writes six characters for one
    return text if len(text) <= LONGEST else None


class _TooMuch(Exception):
    """A value has so many parts that they cannot fit."""


class _Shorter:
    """Shortens what is long in a value, and ends what is deep."""

    def __init__(self, texts: int, items: int, levels: int) -> None:
        self._texts = texts
        self._items = items
        self._levels = levels
        #: Each part takes a character at least.
        self._parts = LONGEST

    def of(self, value: Any, above: int = 0) -> Any:
        """Return the value in a shorter form. Raises _TooMuch."""
        self._parts -= 1
        if self._parts < 0:
            raise _TooMuch
        if isinstance(value, (Mapping, list, tuple)):
            return self._container(value, above + 1) if above < self._levels else "…"
        if isinstance(value, str):
            return value if len(value) <= self._texts else f"{value[: self._texts]}… ({len(value):,} characters)"
        if isinstance(value, (bytes, bytearray)):
            return (
                repr(bytes(value))
                if len(value) <= self._texts
                else f"{bytes(value[: self._texts])!r}… ({len(value):,} bytes)"
            )
        if isinstance(value, int) and value.bit_length() > 4 * self._texts:
            return f"… (a number of {value.bit_length():,} bits)"
        if value is None or isinstance(value, (bool, int, float)):
            return value
        text = repr_of(value)
        return value if len(text) <= self._texts else self.of(text)

    def _container(self, value: Any, above: int) -> Any:
        more = len(value) - self._items
        if isinstance(value, Mapping):
            kept = islice(value.items(), self._items)
            left = {"…": f"{more:,} more"} if more > 0 else {}
            return {self._key(key): self.of(each, above) for key, each in kept} | left
        return [*(self.of(each, above) for each in value[: self._items]), *[f"… {more:,} more"] * (more > 0)]

    def _key(self, key: Any) -> Any:
        return f"{key[: self._texts]}…" if isinstance(key, str) and len(key) > self._texts else key
