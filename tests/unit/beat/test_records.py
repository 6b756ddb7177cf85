from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from celery import Celery

from tasktools.beat.records import CHARGE, Beat, LastRun, field_of, key_of, lease_of, titles

AT = datetime(2026, 3, 2, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=-3)))


def test_last_run__is_read_as_it_was_written() -> None:
    run = LastRun(at=AT, count=3, task_id="x")
    assert LastRun.of(run.text()) == run
    assert json.loads(run.text()) == {"at": "2026-03-02T12:00:00.123456-03:00", "count": 3, "id": "x"}


def test_beat__is_read_as_it_was_written() -> None:
    beat = Beat(host="h", pid=7, since=AT, code="c", schedule="s", scheduler="x:Y")
    assert Beat.of(beat.text()) == beat
    unknown = Beat(host="", pid=7, since=None)
    assert Beat.of(unknown.text()) == unknown
    assert (str(beat), str(unknown)) == ("h (pid 7)", "an unnamed host (pid 7)")


RUN: dict[str, Any] = {"at": AT.isoformat(), "count": 3, "id": "x"}
ODD = ["", "null", "3", '"text"', "[]", "{}", "{", "[" * 100_000, "\x00", "\udcff"]


@pytest.mark.parametrize("text", ODD, ids=range(len(ODD)))
def test_something_else__is_no_record(text: str) -> None:
    assert LastRun.of(text) is None
    assert Beat.of(text) is None


@pytest.mark.parametrize(
    "change",
    [
        {"at": 5},
        {"at": "2026-03-02"},
        {"at": "2026-03-02T12:00:00"},
        {"at": "0001-01-01T00:00:00+00:00"},
        {"at": "9999-12-31T23:59:59-12:00"},
        {"count": -1},
        {"count": None},
        {"count": "many"},
        {"count": float("inf")},
        {"count": float("nan")},
    ],
    ids=repr,
)
def test_last_run__with_an_odd_value_is_none(change: dict[str, Any]) -> None:
    assert LastRun.of(json.dumps(RUN)) is not None
    assert LastRun.of(json.dumps({**RUN, **change})) is None


@pytest.mark.parametrize("change", [{"pid": float("inf")}, {"pid": "x"}, {"since": 5}, {"since": "soon"}], ids=repr)
def test_beat__with_an_odd_value_is_none(change: dict[str, Any]) -> None:
    text = Beat(host="h", pid=7, since=AT).text()
    assert Beat.of(json.dumps({**json.loads(text), **change})) is None
    assert Beat.of(json.dumps({key: value for key, value in json.loads(text).items() if key not in change})) is None


def test_names__are_those_of_the_app_and_its_queue(shop: Celery) -> None:
    assert key_of(shop) == "tasktools:beat:shop:celery"
    assert lease_of(shop) == "tasktools:beat:shop:celery:lease"
    shop.main, shop.conf.task_default_queue = None, "other"  # type: ignore[assignment]
    assert key_of(shop) == "tasktools:beat:celery:other"


def test_field__differs_for_each_name() -> None:
    names: list[Any] = [
        "a",
        "5",
        5,
        "(5)",
        "repr:5",
        "-repr:5",
        ("a", 1),
        None,
        "None",
        "charge",
        "",
        "\ud800",
        r"\ud800",
    ]
    names += [repr(each) for each in names]
    names = list(dict.fromkeys(names))
    assert field_of("größer (5)") == "entry:größer (5)"
    assert len({field_of(name) for name in names}) == len(names)
    assert all(field_of(name) != CHARGE for name in names)


def test_field__of_a_name_that_prints_half_a_pair() -> None:
    class Odd:
        def __repr__(self) -> str:
            return "\ud800"

    assert field_of(Odd()) == r"entry-repr:\ud800"


def test_titles__are_all_different() -> None:
    assert titles([5, "5", "a", ("x",), "(6)", 6, "6"]) == {
        5: "(5)",
        "5": "5",
        "a": "a",
        ("x",): "('x',)",
        "(6)": "(6)",
        6: "((6))",
        "6": "6",
    }
    assert list(titles([5, "a"])) == [5, "a"]
    assert titles([5]) == {5: "5"}
