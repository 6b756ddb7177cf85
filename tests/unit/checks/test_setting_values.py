from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tasktools.checks.setting_values import kind_of, text_of


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("task_time_limit", 30, "30"),
        ("task_time_limit", None, "None"),
        ("task_time_limit", timedelta(seconds=5), "datetime.timedelta(seconds=5)"),
        ("worker_pool", "me:secret@solo", "'me:secret@solo'"),  # no URL stands here
        ("broker_url", "redis://:secret@redis/0", "'redis://:**@redis/0'"),
        ("broker_url", "me:secret@redis", "'me:**@redis'"),
        ("broker_url", ["redis://:secret@redis/0", 5], "['redis://:**@redis/0', 5]"),
        ("broker_url", ("redis://:secret@redis/0", None), "('redis://:**@redis/0', None)"),
        ("task_routes", [{"a": "b"}], ""),
        ("task_routes", {"a"}, ""),
        ("broker_password", "secret", ""),
        ("broker_transport_options", "secret", ""),
    ],
)
def test_text_of__shows_no_password(name: str, value: Any, expected: str) -> None:
    assert text_of(name, value, str) == expected


def test_text_of__hides_before_it_cuts() -> None:
    asked: list[str] = []
    text_of("worker_pool", "x" * 500, lambda text: asked.append(text) or text)  # type: ignore[func-returns-value]
    assert asked == [repr("x" * 500)]


class Xylophone: ...


@pytest.mark.parametrize(("value", "kind"), [((), "a tuple"), (5, "an int"), (Xylophone(), "a Xylophone")])
def test_kind_of__has_its_article(value: Any, kind: str) -> None:
    assert kind_of(value) == kind
