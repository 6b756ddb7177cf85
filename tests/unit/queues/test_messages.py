from __future__ import annotations

import base64
import json
from datetime import datetime, timezone
from typing import Any

import pytest

from tasktools.queues.messages import Message, name_of, read, task_of


def message(body: Any = None, properties: Any = None, **headers: Any) -> bytes:
    """Return a message as kombu writes it to Redis."""
    encoded = base64.b64encode(json.dumps(body or [[], {}, {}]).encode()).decode()
    content = {
        "body": encoded,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": headers,
        "properties": {"body_encoding": "base64", "priority": 3, **(properties or {})},
    }
    return json.dumps(content).encode()


def task(name: Any = "shop.tasks.add", **more: Any) -> bytes:
    return message(**{"lang": "py", "task": name, **more})


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (task(), "shop.tasks.add"),
        (task("schön"), "schön"),
        (task('a"b\\c'), 'a"b\\c'),
        (task(argsrepr='"headers": {"lang": "py", "task": "forged"'), "shop.tasks.add"),
        (message(id="1", task="other.order"), "other.order"),
        (message({"task": "protocol.one", "args": []}), "protocol.one"),
        (message(lang="js"), None),
        (b'{"job": 1}', None),
        (b"\xff\x00", None),
        (b"[1, 2]", None),
        (b"[" * 100_000, None),
    ],
)
def test_name__of_any_message(raw: bytes, name: str | None) -> None:
    assert name_of(raw) == task_of(raw) == name
    assert read(raw).task == name


def test_task__of_a_long_message_of_protocol_1() -> None:
    assert task_of(message({"task": "protocol.one", "args": ["x" * 200_000]})) == "protocol.one"


def test_task__is_not_that_of_headers_inside_the_headers() -> None:
    inner = {"lang": "py", "task": "forged"}
    assert task_of(message(id="1", headers=inner, task="shop.tasks.add")) == "shop.tasks.add"


def test_name__is_cut_out_without_reading_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasktools.queues.messages.read", lambda raw: pytest.fail("parsed"))
    assert name_of(task()) == "shop.tasks.add"


def test_read__all_that_a_message_says() -> None:
    headers = {
        "id": "an-id",
        "argsrepr": "(1, 2)",
        "kwargsrepr": "{'x': 5}",
        "retries": 2,
        "eta": "2030-01-01T00:00:00",
    }
    raw = task(**headers, expires="2031-01-01T00:00:00", properties={"timestamp": 1_700_000_000})
    assert read(raw) == Message(
        task="shop.tasks.add",
        id="an-id",
        args="(1, 2)",
        kwargs="{'x': 5}",
        retries=2,
        eta="2030-01-01T00:00:00",
        expires="2031-01-01T00:00:00",
        priority=3,
        sent=datetime.fromtimestamp(1_700_000_000, timezone.utc),
    )


def test_read__arguments_from_the_body_where_the_headers_have_none() -> None:
    found = read(task(body=[[1, "two"], {"x": 5}, {}]))
    assert (found.args, found.kwargs) == ("(1, 'two')", "{'x': 5}")


@pytest.mark.parametrize("shown", ["args", "kwargs"])
def test_read__the_headers_show_only_one_of_them(shown: str) -> None:
    found = read(task(body=[[1], {"x": 5}, {}], **{f"{shown}repr": "as it is shown"}))
    expected = {"args": None, "kwargs": None, shown: "as it is shown"}
    assert {"args": found.args, "kwargs": found.kwargs} == expected


@pytest.mark.parametrize(
    ("body", "args"), [([[1]], None), ([[1], {}], "(1,)"), ({"0": 1, "1": 2}, None), ([["x" * 74_986], {}, {}], "('xx")]
)
def test_read__arguments_of_a_body_of_any_form(body: Any, args: str | None) -> None:
    """The last one is just short enough."""
    found = read(task(body=body))
    assert found.args == args or (args and found.args and found.args.startswith(args) and len(found.args) > 100)


def test_read__a_body_that_is_no_text_or_compressed() -> None:
    content = json.loads(task())
    assert read(json.dumps({**content, "body": None}).encode()).args is None
    assert read(task(compression="application/x-gzip", body=[[1], {}, {}])).args is None


def test_read__a_message_of_protocol_1() -> None:
    times = {"eta": "2030-01-01T00:00:00", "expires": "2031-01-01T00:00:00"}
    body = {"task": "old.add", "id": "an-id", "args": [1], "kwargs": {}, "retries": 1, **times}
    found = read(message(body))
    assert (found.task, found.id, found.args, found.kwargs, found.retries) == ("old.add", "an-id", "(1,)", "{}", 1)
    assert (found.eta, found.expires, found.priority) == (times["eta"], times["expires"], 3)


def test_read__a_pickle_is_left_alone() -> None:
    raw = task().replace(b"application/json", b"application/x-python-serialize")
    assert (read(raw).task, read(raw).args) == ("shop.tasks.add", None)


@pytest.mark.parametrize("stamp", [None, True, "now", 1e300, [1]])
def test_read__a_time_of_sending_that_is_none(stamp: Any) -> None:
    assert read(task(properties={"timestamp": stamp})).sent is None


def test_name__with_bytes_that_are_no_utf_8() -> None:
    assert name_of(task("a-b").replace(b"a-b", b"a\xffb")) == "a\ufffdb"


def test_read__values_of_other_kinds() -> None:
    assert read(task(retries=True)).retries is None
    found = read(task(["a"], id=5, retries="many", eta=7))
    assert (found.task, found.id, found.retries, found.eta) == ("['a']", "5", None, "7")


@pytest.mark.parametrize("raw", [task(["a" * 5_000], id="b" * 5_000), task(body=[["x" * 5_000], {}, {}])])
def test_read__long_texts_are_cut(raw: bytes) -> None:
    found = read(raw)
    texts = (found.task, found.id, found.args, found.kwargs)
    assert max(len(each or "") for each in texts) == 1_001
    assert any((each or "").endswith("…") for each in texts)


def test_read__a_text_that_is_just_short_enough() -> None:
    assert read(task(id="b" * 1_000)).id == "b" * 1_000
