"""One reading of a task's signature: its parameters by place and name, and whether a call is complete. Pure."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Sequence
from typing import Any, NoReturn

from tasktools.arguments.fitting import fit
from tasktools.arguments.names import shown
from tasktools.arguments.signatures import POSITIONAL_KINDS, Reading, TaskSignature
from tasktools.exceptions import ArgumentError


class Target:
    """What arguments bind to."""

    def __init__(self, signature: TaskSignature, reading: Reading, task: str) -> None:
        self.signature = signature
        self.reading = reading
        self.task = task
        self.parameters = reading.signature.parameters
        kinds = {each.kind: each for each in self.parameters.values()}
        #: *args and **kwargs.
        self.rest = kinds.get(inspect.Parameter.VAR_POSITIONAL)
        self.extra = kinds.get(inspect.Parameter.VAR_KEYWORD)
        self.positional = [each for each in self.parameters.values() if each.kind in POSITIONAL_KINDS]

    def at(self, place: int) -> inspect.Parameter | None:
        """Return the parameter for the argument at a place, counted from 0; None if the task takes no more."""
        return self.reading.at(place, self.positional) or self.rest

    def require_keyword(self, key: str) -> None:
        """Raise ArgumentError for a keyword that the task does not take."""
        if not self.signature.takes_keyword(key):
            self.fail(f'{self.task} takes no keyword "{shown(key)}".')

    def require_call(self, args: Sequence[Any], kwargs: dict[str, Any], *, words: bool = False) -> None:
        """Raise ArgumentError when the task does not take the whole call.

        With `words`, the arguments are words, and none of them names a positional-only parameter.
        """
        try:
            if self.reading.whole and not (words and self.signature.exact):  # if exact, the next check is the same
                fit(self.reading.signature, args, kwargs)
            self.signature.check(args, kwargs)
        except TypeError as error:
            self.fail(f"{self.task}: {error}.")

    def fail(self, sentence: str) -> NoReturn:
        raise ArgumentError(sentence, hint=f"{self.task} is called with {describe(self.signature.shown)}")


def describe(signature: inspect.Signature) -> str:
    """Return the signature as text for a person: `(x: int, y: int = 2)`."""
    return str(inspect.Signature([_readable(each) for each in signature.parameters.values()]))


class _Plain:
    """An annotation that shows as its text, without quotes."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def _readable(parameter: inspect.Parameter) -> inspect.Parameter:
    annotation = parameter.annotation
    if isinstance(annotation, type) and typing.get_origin(annotation) is None:
        return parameter  # inspect.Parameter.empty as well
    return parameter.replace(annotation=_Plain(str(annotation).replace("typing.", "")))
