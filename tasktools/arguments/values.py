"""Values of calls, one call after the other -> arguments that a task takes. Pure.

Does what `binding.bind` does for words, but for values that are already parsed. It is fast for the common case.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

from tasktools.arguments.binding import Bound
from tasktools.arguments.conversion import NotConvertible, convert, give_type
from tasktools.arguments.names import shown
from tasktools.arguments.signatures import ANYTHING, KEYWORD_KINDS, POSITIONAL_KINDS, TaskSignature
from tasktools.arguments.target import Target
from tasktools.exceptions import ArgumentError

#: For each annotation, the types of JSON values that are taken unchanged.
_PLAIN: dict[Any, frozenset[type]] = {
    int: frozenset({int}),
    float: frozenset({int, float}),
    str: frozenset({str}),
    bool: frozenset({bool}),
    list: frozenset({list}),
    dict: frozenset({dict}),
    type(None): frozenset({type(None)}),
    Any: frozenset({int, float, str, bool, list, dict, type(None)}),
    inspect.Parameter.empty: frozenset({int, float, str, bool, list, dict, type(None)}),
}


class Checker:
    """Checks calls of one task against its signature; None takes anything."""

    def __init__(self, signature: TaskSignature | None, task: str, *, reading: int = 0) -> None:
        self.signature = signature or ANYTHING
        self.task = task
        self._target = Target(self.signature, self.signature.readings[reading], task)
        more = reading + 1 < len(self.signature.readings)
        #: Checks calls that do not fit this reading of the signature.
        self._next = Checker(self.signature, task, reading=reading + 1) if more else None
        parameters = self._target.parameters.values()
        self._accepted = [_accepted(each.annotation) for each in self._target.positional]
        #: The names that an argument can have.
        self.names = frozenset(each.name for each in parameters if each.kind in KEYWORD_KINDS)
        #: Whether all values stay types of JSON, so that any serializer like JSON carries them.
        self.is_plain = all(map(_accepted, (each.annotation for each in parameters)))
        self._fewest = sum(1 for each in self._target.positional if each.default is inspect.Parameter.empty)
        #: Whether a call with positional arguments only can be complete.
        self._by_place = self.signature.exact and not any(
            each.kind is inspect.Parameter.KEYWORD_ONLY and each.default is inspect.Parameter.empty
            for each in parameters
        )

    def values(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Bound:
        """Return values of JSON as arguments. A value that does not have its parameter's type is read like a word.

        Raises ArgumentError when the task does not take the call.
        """
        if self._takes(args, kwargs):
            return Bound(tuple(args), {})
        if self.signature is ANYTHING:
            return Bound(args=tuple(args), kwargs=dict(kwargs))
        try:
            typed = [self._typed(value, self._target.at(place)) for place, value in enumerate(args)]
            named = {key: self._typed(value, self._called(key), key) for key, value in kwargs.items()}
            return self._bound(typed, named)
        except ArgumentError:
            if self._next is None:
                raise
        return self._next.values(args, kwargs)

    def cells(self, cells: Mapping[str, str]) -> Bound:
        """Return the cells of a row, keyed by the names of their columns, as arguments. The signature gives them types.

        An empty cell leaves out a parameter that has a default.

        Raises ArgumentError when the task does not take the call.
        """
        given = {key: cell for key, cell in cells.items() if cell or not self._has_default(key)}
        try:
            named = {key: self._read(cell, self._column(key), key) for key, cell in given.items()}
            only = [each.name for each in self._target.positional if each.kind is inspect.Parameter.POSITIONAL_ONLY]
            by_place = [named.pop(name) for name in takewhile(named.__contains__, only)]
            for name in filter(named.__contains__, only):
                self._target.fail(f'"{name}" is given by its place, and a parameter before it is left out.')
            return self._bound(by_place, named)
        except ArgumentError:
            if self._next is None:
                raise
        return self._next.cells(cells)

    def require_keyword(self, key: str) -> None:
        """Raise ArgumentError for a keyword that the task does not take."""
        if key not in self._target.parameters:
            self._target.require_keyword(key)

    def _takes(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
        """Whether all arguments are given by place and have their parameters' types, as in most calls."""
        accepted = self._accepted
        if kwargs or not self._by_place or not self._fewest <= len(args) <= len(accepted):
            return False
        for value, types_ in zip(args, accepted, strict=False):  # noqa: SIM110 - half as fast with all()
            if type(value) not in types_:
                return False
        return True

    def _bound(self, args: Sequence[Any], kwargs: dict[str, Any]) -> Bound:
        self._target.require_call(args, kwargs)
        return Bound(args=tuple(args), kwargs=kwargs)

    def _called(self, key: str) -> inspect.Parameter | None:
        """Return the parameter that a keyword is for."""
        self.require_keyword(key)
        found = self._target.parameters.get(key)
        return found if found is not None and found.kind in KEYWORD_KINDS else self._target.extra

    def _column(self, name: str) -> inspect.Parameter | None:
        """Return the parameter that a column of cells is for: it may be one that is given by its place."""
        found = self._target.parameters.get(name)
        return found if found is not None and found.kind in POSITIONAL_KINDS else self._called(name)

    def _has_default(self, key: str) -> bool:
        found = self.signature.shown.parameters.get(key)
        return found is not None and found.default is not inspect.Parameter.empty

    def _typed(self, value: Any, parameter: inspect.Parameter | None, name: str = "") -> Any:
        if parameter is None:
            return value
        try:
            return give_type(value, parameter.annotation)
        except NotConvertible as error:
            self._refuse(value, error, name or parameter.name)

    def _read(self, cell: str, parameter: inspect.Parameter | None, name: str) -> Any:
        try:
            return convert(cell, inspect.Parameter.empty if parameter is None else parameter.annotation)
        except NotConvertible as error:
            self._refuse(cell, error, name)

    def _refuse(self, value: Any, error: NotConvertible, name: str) -> typing.NoReturn:
        self._target.fail(f'"{shown(str(value))}" is not {error}, which "{name}" of {self.task} takes.')


def _accepted(annotation: Any) -> frozenset[type]:
    """Return the types of JSON values that are accepted without a look at their contents."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        members = [_accepted(each) for each in typing.get_args(annotation)]
        # The first type that can read a value is used: 2 for `Decimal | int` is a Decimal.
        return frozenset().union(*members) if all(members) and float not in typing.get_args(annotation) else frozenset()
    try:
        return _PLAIN.get(annotation, frozenset())
    except TypeError:  # an annotation that cannot be hashed
        return frozenset()
