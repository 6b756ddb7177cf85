"""A name in another library that the library does not guarantee (tasktools.celery_compat lists them)."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

NAMES: list[Private] = []  # all of them, in the order of this file


@dataclass(frozen=True)
class Private:
    """A name of Celery or kombu. Making one adds it to NAMES."""

    #: `module:Class` or `module` of the owner.
    owner: str
    name: str
    #: What does not work if the name is missing, as the subject of a sentence.
    feature: str
    #: What could replace it.
    instead: str
    #: The parameters that tasktools uses, without self; None if it is not a function.
    takes: tuple[str, ...] | None = None
    #: Whether only objects have it: the code of their class sets it.
    on_objects: bool = False
    #: Whether a supported version may lack it.
    optional: bool = False

    def __post_init__(self) -> None:
        NAMES.append(self)

    def of(self, owner: object) -> Any:
        """Return the attribute of `owner`. Raises AttributeError."""
        return getattr(owner, self.name)

    def get(self, owner: object) -> Any:
        """Return the attribute of `owner`; None if it does not exist."""
        return getattr(owner, self.name, None)

    def exists(self, owner: object) -> bool:
        """Whether `owner` has it."""
        return hasattr(owner, self.name)

    def here(self) -> Any:
        """Return what the installed version has. Raises ImportError and AttributeError."""
        module, _, inner = self.owner.partition(":")
        owner = importlib.import_module(module)
        return getattr(getattr(owner, inner) if inner else owner, self.name)

    def put(self, owner: object, value: object) -> None:
        """Replace the attribute of `owner`."""
        setattr(owner, self.name, value)

    def wrap(self, owner: object, wrapper: Callable[[Callable[..., Any]], Callable[..., object]]) -> None:
        """Replace a method of `owner` with what `wrapper` makes of it. Raises AttributeError."""
        self.put(owner, wrapper(self.of(owner)))
