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

    with pytest.raises(ArgumentError, match='"y" is given by its place'):
        checker(function).cells({"y": "3"})
    assert checker(function).cells({"x": "1", "y": "3"}) == Bound((1, 3), {})


def test_cells__of_such_parameters_beside_any_keywords() -> None:
    def function(x: int, y: int = 2, z: int = 3, /, **options: str) -> None: ...

    assert checker(function).cells({"x": "1", "y": "2", "a": "5"}) == Bound((1, 2), {"a": "5"})
    with pytest.raises(ArgumentError, match='"z" is given by its place'):  # it would be one of options
        checker(function).cells({"x": "1", "z": "5"})


def test_values__a_keyword_that_is_called_as_a_parameter_that_has_only_a_place() -> None:
    """It is one of **options, in Python's calls and in Celery's check, and is typed as these are."""

    def function(x: int, y: int = 2, /, **options: str) -> None: ...

    assert checker(function).values((1,), {"y": "5"}) == Bound((1,), {"y": "5"})
    with pytest.raises(ArgumentError, match="missing a required argument: 'x'"):
        checker(function).values((), {"x": "1", "y": "5"})
