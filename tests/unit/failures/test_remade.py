"""The message of a retry is the first one but for what has to differ."""

from __future__ import annotations

import zlib
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from tasktools.failures.message import Kept
from tasktools.failures.remade import Unsendable, remade

NOW = datetime(2030, 1, 2, 3, tzinfo=timezone.utc)
BODY = b'[[2, 2], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]'
HEADERS = {"task": "shop.tasks.add", "id": "old", "root_id": "old", "parent_id": None, "retries": 0, "eta": None}


def first(body: bytes | None = BODY, **headers: Any) -> Kept:
    return Kept(
        headers={**HEADERS, "expires": None, **headers},
        properties={"correlation_id": "old", "reply_to": "r", "priority": 3, "body_encoding": "base64"},
        delivery_info={"exchange": "", "routing_key": "celery"},
        content_type="application/json",
        content_encoding="utf-8",
        body=body,
    )


def again(before: Kept) -> Any:
    return remade(before, old_id="old", new_id="new", failures=1, now=NOW)


def test_remade__is_the_first_but_for_its_ids() -> None:
    made = again(first())
    assert made.body == BODY
    assert made.headers == {
        **first().headers,
        "id": "new",
        "root_id": "new",
        "tasktools_retry_of": "old",
        "tasktools_failures": 1,
    }
    assert made.properties == {"correlation_id": "new", "reply_to": "r", "priority": 3}
    assert (made.exchange, made.routing_key, made.notes) == ("", "celery", ())


def test_remade__keeps_the_root_of_another_task() -> None:
    assert again(first(root_id="root")).headers["root_id"] == "root"


def test_remade__undoes_what_celerys_retry_has_changed() -> None:
    made = again(first(retries=3, eta="2029-01-01T00:00:00+00:00"))
    assert (made.headers["retries"], made.headers["eta"]) == (0, None)


def test_remade__keeps_an_eta_that_no_retry_has_set() -> None:
    assert again(first(eta="2031-01-01T00:00:00+00:00")).headers["eta"] == "2031-01-01T00:00:00+00:00"


@pytest.mark.parametrize(
    ("expires", "stays"),
    [
        ((NOW - timedelta(seconds=1)).isoformat(), False),
        (NOW - timedelta(days=1), False),
        ("2030-01-02T03:00:00", False),
        ((NOW + timedelta(seconds=1)).isoformat(), True),
        ("nonsense", True),
    ],
)
def test_remade__drops_an_expiry_that_has_passed(expires: Any, stays: bool) -> None:
    made = again(first(expires=expires))
    assert made.headers["expires"] == (expires if stays else None)
    assert bool(made.notes) is not stays


def test_remade__without_a_body() -> None:
    with pytest.raises(Unsendable, match="its body was not kept"):
        again(first(None))


def test_remade__is_compressed_again() -> None:
    assert again(first(compression="application/x-gzip")).body == zlib.compress(BODY)


def test_remade__a_body_that_nobody_could_decompress_goes_as_it_came() -> None:
    assert again(first(zlib.compress(BODY), compression="application/x-gzip")).body == zlib.compress(BODY)
    assert again(first(b"?", compression="application/x-nonsense")).body == b"?"


def test_remade__of_the_first_protocol() -> None:
    """Its ids are in the body."""
    body = b'{"task": "add", "id": "old", "args": [2, 2], "kwargs": {}, "retries": 2, "eta": null}'
    made = again(replace(first(body), headers={}))
    assert made.body == b'{"task": "add", "id": "new", "args": [2, 2], "kwargs": {}, "retries": 0, "eta": null}'
    assert made.headers == {"tasktools_retry_of": "old", "tasktools_failures": 1}


def test_remade__of_a_foreign_message() -> None:
    made = again(replace(first(b"\xff\x00"), headers={"mine": 1}, properties={}, content_type=None))
    assert made.body == b"\xff\x00"
    assert made.headers == {"mine": 1, "tasktools_retry_of": "old", "tasktools_failures": 1}
    assert made.properties == {}
