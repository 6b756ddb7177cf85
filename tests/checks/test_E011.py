from __future__ import annotations

import functools
from datetime import timedelta
from typing import Any

import pytest
from django.core.checks import Error

from tests.checks.conftest import checked


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, "missing a required argument: 'x'"),
        ({"args": [1, 2, 3]}, "too many positional arguments"),
        ({"kwargs": {"x": 1, "z": 2}}, "got an unexpected keyword argument 'z'"),
    ],
)
def test_E011__fires_for_arguments_that_the_task_does_not_take(shop: Any, given: dict[str, Any], reason: str) -> None:
    assert checked(shop, {"task": "shop.reckon", "schedule": timedelta(minutes=1), **given}) == [
        Error(
            f'The beat schedule\'s entry "nightly" cannot run: its arguments do not fit "shop.reckon": {reason}.',
            hint="shop.reckon is called with (x: int, y: int = 2)",
            id="tasktools.E011",
        )
    ]


@pytest.mark.parametrize(
    "given", [{"args": (1,)}, {"args": [1, 2]}, {"kwargs": {"x": 1}}, {"args": [1], "kwargs": None}]
)
def test_E011__is_silent_for_arguments_that_it_takes(shop: Any, given: dict[str, Any]) -> None:
    assert checked(shop, {"task": "shop.reckon", "schedule": timedelta(minutes=1), **given}) == []


def test_E011__is_silent_for_what_celery_accepts_of_a_decorated_task(shop: Any) -> None:
    def injected(function: Any) -> Any:
        @functools.wraps(function)
        def outer(*args: Any, **kwargs: Any) -> Any:
            return function("session", *args, **kwargs)

        return outer

    @shop.task(name="shop.stock", shared=False)
    @injected
    def stock(session: Any, sku: str) -> None: ...

    assert checked(shop, {"task": "shop.stock", "schedule": timedelta(minutes=1), "args": ["A1"]}) == []
