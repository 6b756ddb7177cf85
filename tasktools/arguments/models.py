"""Models as annotations: the part of pydantic's that tasktools uses, and those of Django. It imports neither library."""

from __future__ import annotations

import typing
from typing import Protocol, TypeGuard


class Model(Protocol):
    """A class of models (pydantic.BaseModel)."""

    __name__: str

    def model_validate_json(self, text: str, /) -> Model: ...

    def model_dump(self, *, mode: str, by_alias: bool) -> object: ...


def is_model(annotation: object) -> TypeGuard[Model]:
    """Whether an annotation is such a class."""
    return isinstance(annotation, type) and hasattr(annotation, "model_validate_json")


def models_in(annotation: object) -> list[str]:
    """Return the names of the Django models in an annotation: a message carries none of their objects."""
    if isinstance(annotation, type) and typing.get_origin(annotation) is None:
        return [annotation.__name__] if hasattr(getattr(annotation, "_meta", None), "app_label") else []
    return [name for each in typing.get_args(annotation) for name in models_in(each)]
