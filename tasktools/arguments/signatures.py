"""What a task takes, according to Celery's own check and to the function that was written. Pure.

Celery checks a call against the function that it was given. A decorator around the task's function may hide the signature
(`*args, **kwargs`) or change it (it puts a session in front), so the inner function is used only for types and for display.
tasktools never refuses what Celery accepts.
"""

from __future__ import annotations

import inspect
import os
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, NamedTuple

from tasktools.arguments.conversion import types_words
from tasktools.arguments.fitting import fit

#: Parameters that can be given by name, and by place.
KEYWORD_KINDS = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
POSITIONAL_KINDS = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_REST, _EXTRA = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD

#: Takes any call.
_ANY = inspect.Signature([inspect.Parameter("args", _REST), inspect.Parameter("kwargs", _EXTRA)])


class Reading(NamedTuple):
    """One way in which a call may be meant: which parameter each word is for."""

    signature: inspect.Signature
    #: Whether the whole call must fit it. If not, it only gives types.
    whole: bool = True
    #: How many of the parameters give their type to arguments that are given by place.
    places: int = sys.maxsize

    def at(self, place: int, parameters: Sequence[inspect.Parameter]) -> inspect.Parameter | None:
        """Return the parameter at a place of `parameters`, without its type if the place does not show the type."""
        if place >= len(parameters):
            return None
        return parameters[place] if place < self.places else _untyped(parameters[place])


@dataclass(frozen=True, kw_only=True)
class TaskSignature:
    """What a task takes."""

    #: The signature to show to a person, with the types.
    shown: inspect.Signature
    #: They are tried one after the other; the first that a call fits is used.
    readings: tuple[Reading, ...]
    #: What `apply_async` checks a call against; None if it checks nothing.
    checked: inspect.Signature | None
    #: Whether no decorator and no class is between the caller and the function, so that each place means one parameter.
    certain: bool = True
    #: Whether `shown` and `checked` are the same, except for positional-only parameters.
    exact: bool = True

    def check(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Raise TypeError for a call that `apply_async` refuses."""
        if self.checked is not None:
            fit(self.checked, args, kwargs)

    def takes_keyword(self, key: str) -> bool:
        """Whether `apply_async` takes a keyword of that name."""
        if self.checked is None or _find(self.checked, _EXTRA):
            return True
        return key in self.checked.parameters and self.checked.parameters[key].kind in KEYWORD_KINDS

    def misfit(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
        """Return why the function does not take a call that `apply_async` accepts; "" if it takes it or nobody can know."""
        if not self.certain:
            return ""
        try:
            fit(self.shown, args, kwargs)
        except TypeError as error:
            return str(error)
        return ""


def plain(signature: inspect.Signature) -> TaskSignature:
    """Return the signature of what is called as it is."""
    return TaskSignature(shown=signature, readings=(Reading(signature),), checked=signature)


#: The signature of a task that only its workers know.
ANYTHING = TaskSignature(shown=_ANY, readings=(Reading(_ANY, whole=False),), checked=None)


def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """Return the signature of `function` with its annotations resolved one by one; decorators are unwrapped first.

    An annotation that cannot be resolved (a name imported only under TYPE_CHECKING) is ignored. A function without a
    signature, such as some functions in C, takes anything.
    """
    return _signature(function, follow_wrapped=True)


def task_signature(
    run: Callable[..., Any], header: Callable[..., Any] | None, *, sends: bool = False, calls: bool = False
) -> TaskSignature:
    """Return what a task takes.

    `header` is Celery's function for checking a call, None if it checks nothing. `sends` and `calls` say that the class
    of the task has its own `apply_async` or `__call__`, which may add arguments.
    """
    written = signature_of(run)
    own = _signature(_past_celery(run), follow_wrapped=False) if hasattr(run, "__wrapped__") else written
    checked = None if header is None or sends else _signature(header, follow_wrapped=False)
    exact = checked is not None and _alike(checked, written)
    if exact or (_alike(own, written) and not sends and not (calls and checked is None)):
        reading = Reading(written) if exact else Reading(_with_rest(written), whole=False)
        return TaskSignature(shown=written, readings=(reading,), checked=checked, exact=exact)
    outer = _ANY if checked is None else _annotated(checked, own)
    loose = Reading(_loose(outer, written), whole=False)
    hidden = _hides(outer, written)
    return TaskSignature(
        shown=written if hidden else outer,
        readings=(_trusted(written), loose) if hidden else (loose,),
        checked=checked,
        certain=False,
        exact=False,
    )


def _signature(function: Callable[..., Any], *, follow_wrapped: bool) -> inspect.Signature:
    try:
        signature = inspect.signature(function, follow_wrapped=follow_wrapped)
    except (TypeError, ValueError):
        return _ANY
    names = getattr(inspect.unwrap(function), "__globals__", {})
    return signature.replace(
        parameters=[p.replace(annotation=_resolved(p.annotation, names)) for p in signature.parameters.values()]
    )


def why_idle(run: Callable[..., Any]) -> str:
    """Return what a task's function is if a call alone does not run its body, and Celery only calls it; "" if it does."""
    function = _past_celery(run)
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        return "an async function, which Celery does not await"
    if inspect.isgeneratorfunction(function):
        return "a generator, which Celery does not iterate over"
    return ""


def _past_celery(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function inside Celery's own wrappers (autoretry, pydantic), which pass their arguments on unchanged."""
    while hasattr(function, "__wrapped__") and _is_celerys(function):
        inner: Callable[..., Any] = function.__wrapped__
        bound_to = getattr(function, "__self__", None)
        function = inner if bound_to is None else types.MethodType(inner, bound_to)
    return function


def _is_celerys(function: Callable[..., Any]) -> bool:
    import celery

    file = getattr(getattr(function, "__code__", None), "co_filename", "")
    return file.startswith(os.path.join(os.path.dirname(celery.__file__), ""))


def _alike(one: inspect.Signature, other: inspect.Signature) -> bool:
    """Whether both take the same calls; Celery's check does not know positional-only parameters."""

    def forms(signature: inspect.Signature) -> tuple[list[Any], set[Any]]:
        every = [
            (each.kind in POSITIONAL_KINDS or each.kind, each.name, each.default is each.empty)
            for each in _all(signature)
        ]
        by_name = {form for form in every if form[0] is inspect.Parameter.KEYWORD_ONLY}  # their order does not matter
        return [form for form in every if form not in by_name], by_name

    return forms(one) == forms(other)


def _hides(outer: inspect.Signature, written: inspect.Signature) -> bool:
    """Whether a decorator has `*args`, and its own parameters are the first parameters of the function."""
    own, inner = _by_place(outer), _by_place(written)
    return bool(_find(outer, _REST)) and [each.name for each in own] == [each.name for each in inner[: len(own)]]


def _trusted(written: inspect.Signature) -> Reading:
    """Return the reading with types by place up to the first parameter without a type: a decorator may inject that one."""
    return Reading(written, places=sum(1 for _ in takewhile(lambda p: types_words(p.annotation), _by_place(written))))


def _with_rest(written: inspect.Signature) -> inspect.Signature:
    """Return the signature with `*args` for any number of words."""
    if _find(written, _REST):
        return written
    return _of([*_all(written), inspect.Parameter(_free("args", written), _REST)])


def _loose(outer: inspect.Signature, written: inspect.Signature) -> inspect.Signature:
    """Return the signature of a decorator, with the names of the inner function. The decorator types arguments given by place."""
    own = [
        inspect.Parameter(_free(each.name, written), each.kind) if each.kind in (_REST, _EXTRA) else each
        for each in _all(outer)
    ]
    if _find(outer, _EXTRA):
        names = {each.name for each in own}
        named = (each for each in _all(written) if each.kind in KEYWORD_KINDS and each.name not in names)
        own += [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in named]
    return _of(own)


def _annotated(checked: inspect.Signature, own: inspect.Signature) -> inspect.Signature:
    """Return the signature that Celery checks, with the annotations and defaults of the function that it was made from."""
    return _of(own.parameters.get(each.name, each).replace(kind=each.kind) for each in _all(checked))


def _all(signature: inspect.Signature) -> list[inspect.Parameter]:
    return list(signature.parameters.values())


def _by_place(signature: inspect.Signature) -> list[inspect.Parameter]:
    return [each for each in _all(signature) if each.kind in POSITIONAL_KINDS]


def _find(signature: inspect.Signature, kind: Any) -> list[inspect.Parameter]:
    return [each for each in _all(signature) if each.kind is kind]


def _of(parameters: Iterable[inspect.Parameter]) -> inspect.Signature:
    return inspect.Signature(sorted(parameters, key=lambda each: each.kind))


def _untyped(parameter: inspect.Parameter) -> inspect.Parameter:
    return parameter.replace(annotation=inspect.Parameter.empty)


def _free(name: str, signature: inspect.Signature) -> str:
    while name in signature.parameters:
        name += "_"
    return name


def _resolved(annotation: Any, names: Mapping[str, Any]) -> Any:
    if annotation is inspect.Parameter.empty:
        return annotation
    holder = types.SimpleNamespace(__annotations__={"it": annotation})
    try:
        return typing.get_type_hints(holder, dict(names), {})["it"]
    except Exception:  # noqa: BLE001 - an annotation that raises an error is ignored
        return inspect.Parameter.empty
