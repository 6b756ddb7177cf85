from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import pytest
from kombu.message import Message

from tasktools.failures.message import Kept, kept

HEADERS = {"id": "1", "price": Decimal("1.50"), "raw": b"\xff\x00", "eta": datetime(2030, 1, 2, tzinfo=timezone.utc)}


def message(**values: Any) -> Message:
    given = {
        "body": b"[[2, 2], {}, {}]",
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "headers": HEADERS,
        "properties": {"correlation_id": "1", "delivery_tag": "t", "delivery_info": {}},
        "delivery_info": {"exchange": "", "routing_key": "celery", "consumer_tag": "c"},
    }
    return Message(**{**given, **values})


def test_kept__comes_back_as_it_was() -> None:
    before = kept(message())
    after = Kept.read(before.text(), before.body)
    assert after == before
    assert after.headers == HEADERS
    assert after.body == b"[[2, 2], {}, {}]"
    assert after.properties == {"correlation_id": "1"}
    assert after.delivery_info == {"exchange": "", "routing_key": "celery"}


@pytest.mark.parametrize("body", [b"\xff\0", None])
def test_kept__remembers_the_message_in_whose_place_it_is(body: bytes | None) -> None:
    original = replace(kept(message()), body=body)
    edited = replace(original, body=b"[[3], {}, {}]", original=original)
    assert Kept.read(edited.text(), edited.body) == edited
    assert kept(message()).original is None


@pytest.mark.parametrize(("body", "expected"), [("é", "é".encode()), (memoryview(b"x"), b"x"), (None, None)])
def test_kept__body_of_any_type(body: Any, expected: bytes | None) -> None:
    assert kept(message(body=body)).body == expected


def test_kept__a_header_without_a_json_form_is_text() -> None:
    odd = {1, 2}
    assert Kept.read(kept(message(headers={"odd": odd, "deep": {"odd": [odd]}})).text(), b"").headers == {
        "odd": str(odd),
        "deep": {"odd": [str(odd)]},
    }


def test_read__other_text_is_refused() -> None:
    with pytest.raises(ValueError, match="Expecting value"):
        Kept.read("nothing", b"")
