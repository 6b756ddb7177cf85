from __future__ import annotations

import ast
import json
import logging
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import pytest
from kombu.serialization import dumps, register, unregister

from tasktools.failures import arguments
from tasktools.failures.arguments import LONGEST, Call
from tasktools.failures.message import Kept


def message(value: Any, serializer: str = "json", **values: Any) -> Kept:
    content_type, encoding, data = dumps(value, serializer=serializer)
    given = {
        "headers": {},
        "properties": {},
        "delivery_info": {},
        "content_type": content_type,
        "content_encoding": encoding,
        "body": data if isinstance(data, bytes) else data.encode(),
    }
    return Kept(**{**given, **values})


def test_read__both_protocols() -> None:
    assert arguments.read(message([[1], {"x": 2}, {"chord": None}]), ["json"]) == Call(args=[1], kwargs={"x": 2})
    first = {"task": "shop.add", "args": [1], "kwargs": {"x": 2}, "chord": {"task": "shop.sum"}}
    assert arguments.read(message(first), ["json"]) == Call(args=[1], kwargs={"x": 2}, chord="shop.sum")


def test_read__the_body_of_a_chord() -> None:
    found = arguments.read(message([[], {}, {"chord": {"task": "shop.sum", "args": []}}]), ["json"])
    assert found is not None
    assert found.chord == "shop.sum"


@pytest.mark.parametrize("accept", [["json", "pickle"], ["application/x-python-serialize"], ["pickle"]])
def test_read__never_by_pickle(accept: list[str]) -> None:
    assert arguments.read(message([[1], {}, {}], "pickle"), accept) is None


@pytest.mark.parametrize(
    ("kept", "accept"),
    [
        (message([[1], {}, {}], content_type="application/x-of-this-test"), ["json"]),
        (message([[1], {}, {}]), ["nosuch"]),
        (message([[1], {}, {}], body=b"\xff{"), ["json"]),
        (message([[1], {}, {}], body=None), ["json"]),
        (message([[1], {}, {}], content_type=None), ["json"]),
        (message({"hello": 1}), ["json"]),
        (message(5), ["json"]),
        (message([1, 2, 3]), ["json"]),
    ],
)
def test_read__what_cannot_be_read_is_none(kept: Kept, accept: list[str]) -> None:
    assert arguments.read(kept, accept) is None


def test_read__another_serializer_that_the_app_accepts() -> None:
    register("of this test", repr, lambda data: ast.literal_eval(data.decode()), "application/x-of-this-test", "utf-8")
    try:
        found = arguments.read(message(([1], {}, {}), "of this test"), ["of this test"])
        assert found == Call(args=[1], kwargs={})
        assert arguments.read(message(([1], {}, {}), "of this test"), ["json"]) is None
    finally:
        unregister("of this test")


class Odd:
    def __repr__(self) -> str:
        return "<odd>"


class Mute:
    def __repr__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (Decimal("1.50"), "1.50"),
        (datetime(2030, 1, 2, tzinfo=timezone.utc), "2030-01-02T00:00:00Z"),
        (b"\xff", "b'\\xff'"),
        (Odd(), "<odd>"),
        (Mute(), "<Mute>"),
        ("nul\0 and \ud800", "nul\0 and \ud800"),
        ({1: [2]}, {"1": [2]}),
        (None, None),
        (True, True),
    ],
)
def test_written__is_json_for_anything(value: Any, expected: Any) -> None:
    text = arguments.written([value], {"key": value})
    assert "\0" not in text
    text.encode()
    assert json.loads(text) in (
        {"args": [expected], "kwargs": {"key": expected}},
        {"args": [str(expected).replace("\ud800", "?")], "kwargs": {"key": str(expected).replace("\ud800", "?")}},
    )


@pytest.mark.parametrize(
    "value",
    [
        "x" * 1_000_000,
        list(range(100_000)),
        {f"key {number}": "y" * 100 for number in range(10_000)},
        [["deep" * 100] * 100] * 100,
        b"z" * 1_000_000,
        {"k" * 100_000: 1},
        [{"a" * 50: {"b" * 50: list("c" * 30_000)}} for _ in range(300)],
        10**13_000,
        "\x9b" * 19_000,
    ],
    ids=["text", "list", "dict", "nested", "bytes", "key", "mixed", "number", "escapes"],
)
def test_written__is_cut_and_stays_json(value: Any) -> None:
    text = arguments.written([1, value], {"more": value})
    assert len(text) <= LONGEST
    found = json.loads(text)
    assert found["args"][0] == 1
    assert "…" in text


def test_written__what_is_deep_has_an_end() -> None:
    deep: list[Any] = []
    for _ in range(5_000):
        deep = [deep]
    assert '"…"' in arguments.written([deep], {})


def test_written__short_values_stay_whole() -> None:
    text = "x" * 15_000
    assert json.loads(arguments.written([text], {})) == {"args": [text], "kwargs": {}}


def test_masked__the_hook_decides() -> None:
    call = Call(args=[1], kwargs={"card": "4711"})
    assert arguments.masked(None, "pay", call) == ([1], {"card": "4711"})
    assert arguments.masked(lambda task, args, kwargs: (args, {**kwargs, "card": task}), "pay", call) == (
        [1],
        {"card": "pay"},
    )
    assert arguments.masked(lambda task, args, kwargs: None, "pay", call) is None


def _end(*_: object) -> None:
    raise SystemExit(3)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("hook", [lambda *_: 1 / 0, lambda *_: 5, lambda *_: (1, 2), _end, _interrupt])
def test_masked__a_hook_that_fails_hides_all(hook: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        assert arguments.masked(hook, "pay", Call(args=["secret"], kwargs={})) is None
    assert "TASKTOOLS_FAILED_ARGUMENTS has failed for a call of pay" in caplog.text


PLAIN: list[Any] = [
    [1, 2.5, True, None, "für \x9b\u2028\ud800"],
    [{"deep": [{"er": [[]]}], "1": {}}],
    ["[" * 60],  # more levels than are left, it seems
    [10**4_400],  # Python refuses to write it
    [float("nan")],
    ["\x9b" * 5_000],  # too long when each is an escape of six characters
]


@pytest.mark.parametrize("args", PLAIN)
def test_written__in_little_time_is_the_same(args: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    quick = arguments.written(args, {"x": args})
    assert len(quick) <= LONGEST
    monkeypatch.setattr(arguments, "_as_they_are", lambda *_: None)
    assert arguments.written(args, {"x": args}) == quick


def test_written__plain_arguments_are_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arguments, "_STEPS", ((0, 0, 50),))
    assert arguments.written([1, "text"], {"x": [2]}) == '{"args": [1, "text"], "kwargs": {"x": [2]}}'
