from __future__ import annotations

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from tasktools.arguments.durations import parse_duration, parse_time
from tasktools.exceptions import ArgumentError

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("word", "seconds"),
    [
        ("90", 90),
        ("0", 0),
        ("1.5", 1.5),
        ("90s", 90),
        ("5m", 300),
        ("1h30m", 5400),
        ("1h30m15s", 5415),
        ("2d", 172_800),
        ("1w", 604_800),
        ("500ms", 0.5),
        ("1s500ms", 1.5),
        ("1.5h", 5400),
    ],
)
def test_parse_duration__reads(word: str, seconds: float) -> None:
    assert parse_duration(word) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "word",
    ["", " ", "abc", "5x", "5 m", " 5m", "5m ", "m", "1h30", "5M", "1e3", "nan", "inf", "+5", "½", "٣", "1,5h", "5m\n"],
)
def test_parse_duration__anything_else_is_none(word: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        parse_duration(word)
    assert caught.value.sentence == f'"{word}" is no duration.'.replace("\n", "\\n")
    assert caught.value.hint == "write seconds, or 90s, 5m, 1h30m, 2d"


@pytest.mark.parametrize("word", ["-5", "-5m", "-1h30m"])
def test_parse_duration__negative(word: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        parse_duration(word)
    assert caught.value.sentence == f'"{word}" is negative.'


def test_parse_duration__a_timedelta() -> None:
    assert parse_duration(timedelta(minutes=2)) == timedelta(minutes=2)
    with pytest.raises(ArgumentError) as caught:
        parse_duration(timedelta(minutes=-2))
    assert caught.value.sentence == '"-0:02:00" is negative.'


@pytest.mark.parametrize("word", ["1000000000d", "9" * 60, "9" * 60 + "w"])
def test_parse_duration__too_long_for_a_timedelta(word: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        parse_duration(word)
    assert caught.value.sentence == f'"{word}" is no duration.'


def test_parse_time__without_offset_is_read_in_the_zone() -> None:
    found = parse_time("2030-01-31T18:00", BERLIN)
    assert found == datetime(2030, 1, 31, 17, 0, tzinfo=timezone.utc)
    assert found.isoformat() == "2030-01-31T18:00:00+01:00"


def test_parse_time__the_zone_s_summer_time_holds() -> None:
    assert parse_time("2030-07-31 18:00:30", BERLIN).isoformat() == "2030-07-31T18:00:30+02:00"


@pytest.mark.parametrize("word", ["2030-01-31T18:00+05:00", "2030-01-31T13:00Z", "2030-01-31 13:00:00+00:00"])
def test_parse_time__an_offset_is_kept(word: str) -> None:
    assert parse_time(word, BERLIN) == datetime(2030, 1, 31, 13, 0, tzinfo=timezone.utc)


@pytest.mark.parametrize("word", ["0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59"])
def test_parse_time__at_the_ends_of_the_calendar(word: str) -> None:
    assert parse_time(word, timezone.utc) == datetime.fromisoformat(word).replace(tzinfo=timezone.utc)


@pytest.mark.parametrize(
    "word",
    [
        "0001-01-01T00:00",
        "9999-12-31T23:59:59-14:00",
        "",
        "soon",
        "18:00",
        "2030-13-01T00:00",
        "2030-02-30T00:00",
        "31.01.2030 18:00",
    ],
)
def test_parse_time__anything_else_is_none(word: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        parse_time(word, BERLIN)
    assert caught.value.sentence == f'"{word}" is no time.'
    assert caught.value.hint == "write ISO 8601, as in 2030-01-31T18:00 or 2030-01-31T18:00+02:00"
