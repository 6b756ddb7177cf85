"""Words of a command line -> typed values, by the signature of a task. Pure; it never evaluates what was typed.

The annotation of a parameter decides how its word is read; see `convert` for the table. A word `key=value` is a
keyword if the task takes a parameter of that name (or **kwargs). Otherwise the key may be a slip: the word is an ordinary one
only after `--`, or if its parameter is annotated as text and no parameter has a name like the key.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Mapping, Sequence
from shlex import quote
from typing import Any, NamedTuple, NoReturn

from tasktools.arguments import nesting
from tasktools.arguments.conversion import NotConvertible, convert, types_words
from tasktools.arguments.names import close_matches, shown
from tasktools.arguments.signatures import ANYTHING, KEYWORD_KINDS, Reading, TaskSignature
from tasktools.arguments.target import Target, describe
from tasktools.exceptions import ArgumentError


class Bound(NamedTuple):
    """The arguments of one call, as `apply_async` takes them."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def bind(
    signature: TaskSignature | None,
    words: Sequence[str] = (),
    *,
    args_json: str | None = None,
    kwargs_json: str | None = None,
    task: str = "the task",
) -> Bound:
    """Bind the words (and the JSON of --args and --kwargs) to `signature`; None takes anything.

    Raises ArgumentError when a word is not of its parameter's type, when an argument is nested too deeply, or when the task
    does not take the whole call.
    """
    args = _json_of(args_json, list, "--args", "an array, as in '[2, 2]'") if args_json is not None else []
    kwargs = _json_of(kwargs_json, dict, "--kwargs", "an object, as in '{\"x\": 2}'") if kwargs_json is not None else {}
    signature = signature or ANYTHING
    *readings, last = signature.readings
    for reading in readings:
        with contextlib.suppress(ArgumentError):
            return _Binder(signature, reading, task).bind(words, args, kwargs)
    return _Binder(signature, last, task).bind(words, args, kwargs)


class Verbatim(str):
    """A word after `--`."""


class _Binder:
    def __init__(self, signature: TaskSignature, reading: Reading, task: str) -> None:
        self.target = Target(signature, reading, task)
        self.task = task
        self.kwargs: dict[str, Any] = {}

    def bind(self, words: Sequence[str], args_given: Sequence[Any], kwargs_given: Mapping[str, Any]) -> Bound:
        args = list(args_given)
        for key, value in kwargs_given.items():
            self.keyword(key, value)
        for word in words:
            self.word(word, args)
        return self.finish(args)

    def word(self, word: str, args: list[Any]) -> None:
        verbatim, word = isinstance(word, Verbatim), str(word)
        key, equals, value = word.partition("=")
        parameter = self._named(key) if equals else None
        if parameter is not None:
            self.keyword(key, self._typed(value, parameter, key))
            return
        found = self.target.at(len(args))
        if found is None:
            self._refuse_word(word, len(args) + 1)
        if equals and key.isidentifier() and not verbatim:
            self._refuse_slip(word, found)
        args.append(self._typed(word, found, found.name))

    def keyword(self, key: str, value: Any) -> None:
        self.target.require_keyword(key)
        if key in self.kwargs:
            self.target.fail(f'"{shown(key)}" is given twice.')
        self.kwargs[key] = value

    def finish(self, args: list[Any]) -> Bound:
        if self.target.reading.whole:
            for parameter in self.target.positional[: len(args)]:
                if parameter.name in self.kwargs and parameter.kind in KEYWORD_KINDS:
                    sentence = f'"{parameter.name}" is given twice, once by its place and once by its name.'
                    self.target.fail(sentence)
        self.target.require_call(args, self.kwargs, words=True)
        nesting.require_shallow((*args, *self.kwargs.values()))
        return Bound(args=tuple(args), kwargs=self.kwargs)

    def _named(self, key: str) -> inspect.Parameter | None:
        parameter = self.target.parameters.get(key)
        if parameter is not None and parameter.kind in KEYWORD_KINDS:
            return parameter
        return self.target.extra if key.isidentifier() else None

    def _typed(self, word: str, parameter: inspect.Parameter, name: str) -> Any:
        try:
            return convert(word, parameter.annotation)
        except NotConvertible as error:
            self.target.fail(f'"{shown(word)}" is not {error}, which "{name}" of {self.task} takes.')

    def _refuse_slip(self, word: str, parameter: inspect.Parameter) -> None:
        """Raise ArgumentError for `key=value` where key is likely to be a slip for the name of a parameter."""
        key, _, value = word.partition("=")
        if key in self.target.parameters:
            self.target.fail(f'"{key}" of {self.task} is given by its place, without its name.')
        named = [each.name for each in self.target.parameters.values() if each.kind in KEYWORD_KINDS]
        close = close_matches(key, [each for each in named if each not in self.kwargs])
        # No keyword is written so: the end of base64, or a comparison.
        is_text = not value.strip("=") or value.startswith("=") or _is_value(word, parameter.annotation)
        if close or (named and not is_text):
            meant = f"did you mean {close[0]}=...? " if close else ""
            takes = describe(self.target.signature.shown)
            hint = f"{meant}{takes} is what it takes; as text, write it after two dashes: -- {quote(shown(word))}"
            raise ArgumentError(f'"{shown(word)}" names no parameter of {self.task}.', hint=hint)

    def _refuse_word(self, word: str, place: int) -> NoReturn:
        key, equals, _ = word.partition("=")
        if equals and key.isidentifier():
            self.target.fail(f'{self.task} takes no keyword "{shown(key)}".')
        self.target.fail(f'"{shown(word)}" is one word too many: it is number {place}.')


def _is_value(word: str, annotation: object) -> bool:
    """Whether the word is a value of that annotation, which says so."""
    if not types_words(annotation):
        return False
    with contextlib.suppress(NotConvertible, ArgumentError):
        convert(word, annotation)
        return True
    return False


def _json_of(text: str, kind: type, option: str, form: str) -> Any:
    try:
        value = nesting.parsed(text)
    except ValueError as error:
        raise ArgumentError(f"{option} is not JSON: {error}.", hint=f"{option} takes {form}") from None
    if not isinstance(value, kind):
        raise ArgumentError(
            f'{option} is "{shown(text)}", which is not {form.split(",")[0]}.', hint=f"{option} takes {form}"
        )
    return value
