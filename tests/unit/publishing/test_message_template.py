from __future__ import annotations

import itertools
import json
import pickle
import re
import uuid
import zlib
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from celery.utils.saferepr import saferepr

from tasktools.publishing import message_template
from tasktools.publishing.message_template import Represent, body_encoder, new_tags, random_ids


@pytest.fixture
def represent() -> Iterator[Represent]:
    with Celery("shop", set_as_current=False) as app:
        yield Represent(app)


@pytest.mark.parametrize(
    "value",
    [
        (),
        {},
        (1, 2.5, True, None),
        ("plain", "a" * 99),
        ("a" * 100,),
        ("a" * 101,),
        ("quote'", 'two"', "back\\slash"),
        ("ü", "\n", "\x1b"),
        {"key": "value", "n": 1},
        ([1, 2], {"deep": [1]}),
        tuple(range(400)),
        ("x" * 99,) * 9,
        ("x" * 99,) * 12,
        {1: "a"},
    ],
    ids=lambda value: repr(value)[:30],
)
def test_represent__is_celery_s_text_as_json(represent: Represent, value: Any) -> None:
    expected = saferepr(value, represent._limit, **represent._options)
    text, quoted = represent(value)
    assert (text, json.loads(f'"{quoted}"')) == (expected, expected)


def test_represent__plain_values_take_the_short_way(represent: Represent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message_template, "saferepr", lambda *_, **__: pytest.fail("Celery's own"))
    assert represent((1, "a")) == ("(1, 'a')",) * 2
    assert represent({}) == ("{}",) * 2
    assert represent({"x": 1}) == ("{'x': 1}",) * 2


@pytest.mark.parametrize("value", [("a" * 100,), ("é",), ("'",), ([1],), [1]])
def test_represent__others_take_celery_s(represent: Represent, monkeypatch: pytest.MonkeyPatch, value: Any) -> None:
    monkeypatch.setattr(message_template, "saferepr", lambda *_, **__: "celery's own")
    assert represent(value) == ("celery's own",) * 2


@pytest.mark.parametrize("levels", [None, 2])
def test_represent__as_the_app_limits_it(levels: int | None) -> None:
    with Celery("shop", set_as_current=False) as app:
        app.amqp.argsrepr_maxsize = 50
        if levels is not None:
            app.conf.task_repr_maxlevels = levels
        represent = Represent(app)
        deep = [[[[["x" * 30]]], ["y" * 30]]]
        expected = saferepr(deep, 50, **({} if levels is None else {"maxlevels": levels}))
        assert represent(deep)[0] == expected


def test_represent__the_longest_that_takes_the_short_way(represent: Represent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message_template, "_LONGEST_REPR", len(repr((1, 2))))
    monkeypatch.setattr(message_template, "saferepr", lambda *_, **__: "celery's own")
    assert represent((1, 2)) == ("celery's own",) * 2
    assert represent((1,)) == ("(1,)",) * 2


BODY = ((1, "ü"), {"k": None}, {"chain": None})


def test_body__in_base64() -> None:
    text = body_encoder("json", None, "base64")(BODY)
    assert json.loads(b64decode(text)) == [[1, "ü"], {"k": None}, {"chain": None}]


def test_body__compressed() -> None:
    text = body_encoder("json", "zlib", "base64")(BODY)
    assert json.loads(zlib.decompress(b64decode(text)))[0] == [1, "ü"]


def test_body__as_it_is() -> None:
    text = body_encoder("json", None, None)(BODY)
    assert json.loads(json.loads(f'"{text}"'))[0] == [1, "ü"]


def test_body__of_another_serializer() -> None:
    text = body_encoder("pickle", None, "base64")(BODY)
    assert pickle.loads(b64decode(text)) == BODY


def test_body__of_an_encoding_that_is_not_known() -> None:
    with pytest.raises(KeyError):
        body_encoder("json", None, "base32")


def test_ids__are_random_uuids_of_version_4() -> None:
    ids = random_ids(200)
    assert len(set(ids)) == 200
    for each in ids:
        assert (uuid.UUID(each).version, uuid.UUID(each).variant, str(uuid.UUID(each))) == (4, uuid.RFC_4122, each)


def test_tags__count() -> None:
    tags = list(itertools.islice(new_tags(), 20))
    assert len({tag[:24] for tag in tags}) == 1
    assert [int(tag[24:], 16) for tag in tags] == list(range(20))
    assert all(
        re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", tag) for tag in tags
    )
    assert next(new_tags())[:24] != tags[0][:24]
