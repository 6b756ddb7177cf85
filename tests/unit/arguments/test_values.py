from __future__ import annotations

import pytest
from celery import Celery

from tasktools.arguments.binding import Bound
from tasktools.arguments.values import Checker
from tasktools.exceptions import ArgumentError
from tasktools.registry.registry import signature_of


def checker(function: object) -> Checker:
    with Celery("shop", set_as_current=False) as app:
        task = app.task(name="shop.it", shared=False)(function)
        return Checker(signature_of(task), task.name)


def test_values__a_parameter_that_has_only_a_place_cannot_be_named() -> None:
    """Celery's own check lets it pass, and the worker fails."""

    def function(x: int, /) -> None: ...

    with pytest.raises(ArgumentError, match="positional only"):
        checker(function).values((), {"x": 1})
    assert checker(function).values((1,), {}) == Bound((1,), {})


def test_cells__of_parameters_that_have_only_a_place_none_is_left_out() -> None:
    def function(x: int = 1, y: int = 2, /) -> None: ...

    with pytest.raises(ArgumentError, match="positional only"):
        checker(function).cells({"y": "3"})
    assert checker(function).cells({"x": "1", "y": "3"}) == Bound((1, 3), {})
