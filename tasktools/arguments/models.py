"""Models of pydantic, as much as is used of them. pydantic itself is not imported: a project may have none."""

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
