"""Models as annotations: the part of pydantic's that tasktools uses, and those of Django. It imports neither library."""

from __future__ import annotations

import json
import typing
from collections.abc import Iterable
from typing import Protocol, TypeGuard

from tasktools.arguments.names import shown
from tasktools.exceptions import ArgumentError

#: How many faults of a value are named, and how long one may be, in characters.
MOST = 3
LONGEST = 200


class Model(Protocol):
    """A class of models (pydantic.BaseModel)."""

    __name__: str

    def model_validate_json(self, text: str, /) -> Model: ...

    def model_dump(self, *, mode: str, by_alias: bool) -> object: ...


def is_model(annotation: object) -> TypeGuard[Model]:
    """Whether an annotation is such a class."""
    return isinstance(annotation, type) and hasattr(annotation, "model_validate_json")


def faults(error: ValueError) -> str:
    """Return in one line what a model does not accept.

    The values are left out: pydantic cuts them in the middle, and half a password cannot be recognized as one.
    """
    errors = getattr(error, "errors", None)
    if errors is None:
        return _one_line(str(error))
    return "; ".join(_one_line(": ".join(filter(None, (_place(each["loc"]), each["msg"])))) for each in errors()[:MOST])


#: What pydantic writes in place of a SecretStr.
_HIDDEN = "**********"


def require_no_secret(model: Model, word: str, value: object) -> None:
    """Raise ArgumentError if `value`, the JSON of the model that `word` was read as, lacks a secret."""
    if _HIDDEN in json.dumps(value, default=str) and _HIDDEN not in word:
        hint = "declare it as str: a message has no secrets"
        raise ArgumentError(f"A secret of {model.__name__} cannot be sent: its JSON holds asterisks.", hint=hint)


def _place(keys: Iterable[object]) -> str:
    return ".".join(map(str, keys))


def _one_line(text: str) -> str:
    return shown(" ".join(text.split()), LONGEST)


def models_in(annotation: object) -> list[str]:
    """Return the names of the Django models in an annotation: a message carries none of their objects."""
    if isinstance(annotation, type) and typing.get_origin(annotation) is None:
        return [annotation.__name__] if hasattr(getattr(annotation, "_meta", None), "app_label") else []
    return [name for each in typing.get_args(annotation) for name in models_in(each)]
