"""The part of pydantic's models that tasktools uses. It does not import pydantic: a project may not have it."""

from __future__ import annotations

from typing import Protocol, TypeGuard


class Model(Protocol):
    """A class of models (pydantic.BaseModel)."""

    __name__: str

    def model_validate_json(self, text: str, /) -> Model: ...

    def model_dump(self, *, mode: str, by_alias: bool) -> object: ...


def is_model(annotation: object) -> TypeGuard[Model]:
    """Whether an annotation is such a class."""
    return isinstance(annotation, type) and hasattr(annotation, "model_validate_json")
