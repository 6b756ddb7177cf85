from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from tasktools.arguments.fitting import fit


def first(a: Any, b: Any = "x", /, **options: Any) -> Any:
    return {"a": a, "b": b, "options": options}


def second(a: Any = 1, /, b: Any = 2, *rest: Any, c: Any = 3) -> Any:
    return {"a": a, "b": b, "rest": rest, "c": c}


@pytest.mark.parametrize("function", [first, second])
@pytest.mark.parametrize("args", [(), (1,), (1, 2), (1, 2, 3)])
@pytest.mark.parametrize("kwargs", [{}, {"a": 5}, {"b": 5}, {"a": 5, "b": 6}, {"c": 7}, {"b": 5, "c": 7}])
def test_fit__takes_what_a_call_takes(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    try:
        called = function(*args, **kwargs)
    except TypeError:
        with pytest.raises(TypeError):
            fit(inspect.signature(function), args, kwargs)
        return
    bound = fit(inspect.signature(function), args, kwargs)
    bound.apply_defaults()
    assert bound.arguments == called
