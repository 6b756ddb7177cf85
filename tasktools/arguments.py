"""Words of a command line -> typed values, by the signature of a task. Pure; nothing typed is ever evaluated.

Each word is read by the annotation of the parameter it binds to; see `convert` for the table. A word `key=value` is a
keyword if the task takes a parameter of that name (or **kwargs), else it is an ordinary word.
"""

from __future__ import annotations

import inspect
import json
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

from tasktools import nesting
from tasktools.conversion import NotConvertible, convert
from tasktools.exceptions import ArgumentError
from tasktools.naming import shown

_KEYWORD_KINDS = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_POSITIONAL_KINDS = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Bound(NamedTuple):
    """The arguments of one call, as `apply_async` takes them."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """Return the signature of `function` with its annotations resolved one by one.

    An annotation that cannot be resolved (a name imported under TYPE_CHECKING only) counts as none.
    """
    signature = inspect.signature(function)
    names = getattr(inspect.unwrap(function), "__globals__", {})
    return signature.replace(
        parameters=[p.replace(annotation=_resolved(p.annotation, names)) for p in signature.parameters.values()]
    )


def bind(
    signature: inspect.Signature | None,
    words: Sequence[str] = (),
    *,
    args_json: str | None = None,
    kwargs_json: str | None = None,
    task: str = "the task",
) -> Bound:
    """Bind the words (and the JSON of --args and --kwargs) to `signature`; None takes anything.

    Raises ArgumentError when a word is not of its parameter's type, an argument is nested too deeply, or the whole is not a
    call that the task takes.
    """
    binder = _Binder(signature or _ANY, task)
    args = _json_of(args_json, list, "--args", "an array, as in '[2, 2]'") if args_json is not None else []
    for key, value in (
        _json_of(kwargs_json, dict, "--kwargs", "an object, as in '{\"x\": 2}'") if kwargs_json is not None else {}
    ).items():
        binder.keyword(key, value)
    for word in words:
        binder.word(word, args)
    return binder.finish(args)


def describe(signature: inspect.Signature) -> str:
    """Return the signature as one reads it: `(x: int, y: int = 2)`."""
    return str(inspect.Signature([_readable(each) for each in signature.parameters.values()]))


class _Plain:
    """An annotation that shows as its text, without quotes."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


class _Binder:
    def __init__(self, signature: inspect.Signature, task: str) -> None:
        self.parameters = signature.parameters
        self.signature = signature
        self.task = task
        self.kwargs: dict[str, Any] = {}
        kinds = {p.kind: p for p in self.parameters.values()}
        self.rest = kinds.get(inspect.Parameter.VAR_POSITIONAL)
        self.extra = kinds.get(inspect.Parameter.VAR_KEYWORD)
        self.positional = [p for p in self.parameters.values() if p.kind in _POSITIONAL_KINDS]

    def word(self, word: str, args: list[Any]) -> None:
        key, equals, value = word.partition("=")
        parameter = self._named(key) if equals else None
        if parameter is not None:
            self.keyword(key, self._typed(value, parameter, key))
            return
        target = self.positional[len(args)] if len(args) < len(self.positional) else self.rest
        if target is None:
            self._refuse_word(word, len(args) + 1)
        args.append(self._typed(word, target, target.name))

    def keyword(self, key: str, value: Any) -> None:
        if self._named(key) is None:
            self._fail(f'{self.task} takes no keyword "{shown(key)}".')
        if key in self.kwargs:
            self._fail(f'"{shown(key)}" is given twice.')
        self.kwargs[key] = value

    def finish(self, args: list[Any]) -> Bound:
        for parameter in self.positional[: len(args)]:
            if parameter.name in self.kwargs and parameter.kind in _KEYWORD_KINDS:
                self._fail(f'"{parameter.name}" is given twice, once by its place and once by its name.')
        try:
            self.signature.bind(*args, **self.kwargs)
        except TypeError as error:
            self._fail(f"{self.task}: {error}.")
        nesting.require_shallow((*args, *self.kwargs.values()))
        return Bound(args=tuple(args), kwargs=self.kwargs)

    def _named(self, key: str) -> inspect.Parameter | None:
        parameter = self.parameters.get(key)
        if parameter is not None and parameter.kind in _KEYWORD_KINDS:
            return parameter
        return self.extra if key.isidentifier() else None

    def _typed(self, word: str, parameter: inspect.Parameter, name: str) -> Any:
        try:
            return convert(word, parameter.annotation)
        except NotConvertible as error:
            self._fail(f'"{shown(word)}" is not {error}, which "{name}" of {self.task} takes.')

    def _refuse_word(self, word: str, place: int) -> NoReturn:
        key, equals, _ = word.partition("=")
        if equals and key.isidentifier():
            self._fail(f'{self.task} takes no keyword "{shown(key)}".')
        self._fail(f'"{shown(word)}" is one word too many: it is number {place}.')

    def _fail(self, sentence: str) -> NoReturn:
        raise ArgumentError(sentence, hint=f"{self.task} is called with {describe(self.signature)}")


_ANY = inspect.Signature(
    [
        inspect.Parameter("args", inspect.Parameter.VAR_POSITIONAL),
        inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD),
    ]
)


def _json_of(text: str, kind: type, option: str, form: str) -> Any:
    try:
        value = json.loads(text)
    except RecursionError:
        raise nesting.TooDeep from None
    except ValueError as error:
        raise ArgumentError(f"{option} is not JSON: {error}.", hint=f"{option} takes {form}") from None
    if not isinstance(value, kind):
        raise ArgumentError(
            f'{option} is "{shown(text)}", which is not {form.split(",")[0]}.', hint=f"{option} takes {form}"
        )
    return value


def _resolved(annotation: Any, names: Mapping[str, Any]) -> Any:
    if annotation is inspect.Parameter.empty:
        return annotation
    holder = types.SimpleNamespace(__annotations__={"it": annotation})
    try:
        return typing.get_type_hints(holder, dict(names), {})["it"]
    except Exception:  # noqa: BLE001 - whatever a project's annotation raises, it then types nothing
        return inspect.Parameter.empty


def _readable(parameter: inspect.Parameter) -> inspect.Parameter:
    annotation = parameter.annotation
    if isinstance(annotation, type) and typing.get_origin(annotation) is None:
        return parameter  # inspect.Parameter.empty as well
    return parameter.replace(annotation=_Plain(str(annotation).replace("typing.", "")))
