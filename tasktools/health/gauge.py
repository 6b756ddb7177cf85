"""A number of a worker or a beat, as /metrics shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Gauge:
    """Numbers of one name: one for each value of the label; without a label, one, whose key is ""."""

    name: str
    text: str
    values: Mapping[str, float]
    label: str = ""
    #: Whether it only grows.
    is_counter: bool = False


def one(name: str, text: str, value: float | None, *, is_counter: bool = False) -> Gauge:
    """Return a number without a label; None is not shown."""
    return Gauge(name, text, {} if value is None else {"": float(value)}, is_counter=is_counter)
