from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from tasktools.exceptions import ArgumentError
from tasktools.registry.serialization import (
    arguments_through,
    how_to_read,
    require_read,
    result_through,
    same,
    why_unread,
    write_arguments,
)


def test_write__by_the_task_s_own_serializer(shop: Any) -> None:
    content_type, _, _ = write_arguments(shop, shop.tasks["shop.pickled"], "shop.pickled", (object(),), {})
    assert content_type == "application/x-python-serialize"
    with pytest.raises(ArgumentError, match='"json"'):
        write_arguments(shop, None, "shop.other", (object(),), {})


def test_write__by_the_app_s_serializer(shop: Any) -> None:
    shop.conf.task_serializer = "pickle"
    assert write_arguments(shop, None, "shop.other", (object(),), {})[0] == "application/x-python-serialize"
    shop.conf.task_serializer = "yaml-of-old"
    with pytest.raises(ArgumentError) as caught:
        write_arguments(shop, None, "shop.other", (1,), {})
    assert caught.value.sentence == (
        'The arguments of shop.other cannot be sent by the serializer "yaml-of-old": No encoder installed for yaml-of-old.'
    )


def test_write__keywords_too(shop: Any) -> None:
    with pytest.raises(ArgumentError, match="cannot be sent"):
        write_arguments(shop, None, "shop.other", (), {"x": object()})


def test_arguments__come_through_as_json_makes_them(shop: Any) -> None:
    args, kwargs = arguments_through(shop, None, "shop.other", ((1, 2), UUID(int=1)), {"x": {1: "a"}})
    assert (args, kwargs) == ([[1, 2], UUID(int=1)], {"x": {"1": "a"}})


def test_arguments__that_a_worker_refuses_to_read(shop: Any) -> None:
    with pytest.raises(ArgumentError) as caught:
        arguments_through(shop, shop.tasks["shop.pickled"], "shop.pickled", (1,), {})
    assert caught.value.sentence.startswith(
        "A worker would not read the arguments of shop.pickled (application/x-python-serialize): "
    )
    assert caught.value.hint == "name the serializer in CELERY_ACCEPT_CONTENT"


def test_arguments__of_a_serializer_that_is_accepted(shop: Any) -> None:
    shop.conf.accept_content = ["pickle"]
    assert arguments_through(shop, shop.tasks["shop.pickled"], "shop.pickled", ((1,),), {}) == ([(1,)], {})


def test_result__by_the_result_serializer(shop: Any) -> None:
    assert result_through(shop, {1: (2, 3)}) == {"1": [2, 3]}
    shop.conf.result_serializer, shop.conf.result_accept_content = "pickle", ["pickle"]
    assert result_through(shop, {1: (2, 3)}) == {1: (2, 3)}


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [(1, 1, True), (1, 1.0, False), ([(1,)], [[1]], False), ({1: 2}, {"1": 2}, False), ("a", "a", True)],
)
def test_same__looks_inside(one: Any, other: Any, expected: bool) -> None:
    assert same(one, other) is expected


@pytest.mark.parametrize(
    ("serializer", "accept", "why"),
    [
        ("json", ["json"], ""),
        ("json", {"application/json"}, ""),
        ("json", "json", ""),
        ("json", None, ""),
        ("raw", ["json"], ""),
        ("pickle", ["json"], 'the serializer is "pickle", and json is accepted'),
        ("pickle", ["json", "application/x-python-serialize"], ""),
        ("json", [], 'the serializer is "json", and nothing is accepted'),
        ("pickel", ["json"], 'the serializer "pickel" is not installed'),
        ("json", [5], "of what is accepted, argument of type 'int' is not iterable"),
        ("pickle", "json", 'the serializer is "pickle", and json is accepted'),
        ("json", ["jsn"], "of what is accepted, No encoder/decoder installed for jsn"),
    ],
)
def test_why_unread__names_what_does_not_fit(serializer: str, accept: Any, why: str) -> None:
    assert why_unread(serializer, accept) == why


@pytest.mark.parametrize(
    ("serializer", "hint"),
    [
        ("pickle", 'X = ["json", "pickle"], or choose a serializer that is accepted'),
        ("nosuch", "register it with kombu.serialization, or choose json"),
    ],
)
def test_how_to_read__by_the_setting(serializer: str, hint: str) -> None:
    assert how_to_read(serializer, "X") == hint


def test_require_read__by_the_task_s_own_serializer(shop: Any) -> None:
    with pytest.raises(ArgumentError) as caught:
        require_read(shop, shop.tasks["shop.pickled"], "shop.pickled")
    assert caught.value.sentence == (
        'No worker of this project reads shop.pickled: the serializer is "pickle", and json is accepted.'
    )
    assert caught.value.hint == 'CELERY_ACCEPT_CONTENT = ["json", "pickle"], or choose a serializer that is accepted'
    require_read(shop, None, "shop.other")
    shop.conf.task_always_eager = True
    require_read(shop, shop.tasks["shop.pickled"], "shop.pickled")
