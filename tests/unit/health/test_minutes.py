"""What became of tasks, minute by minute."""

from __future__ import annotations

import math
from collections import Counter, defaultdict

import pytest

from tasktools.health.minutes import KEPT, Minute, Minutes, keys_of, minutes_of, writes

HASHES = "tasktools:hour:shop:celery:"

#: 20:30:10 on some day.
NOW = 1_700_000_000.0 - 1_700_000_000 % 86_400 + 20 * 3600 + 30 * 60 + 10


def kept(*made: Minutes) -> dict[str, dict[bytes, bytes]]:
    """Return the hashes of a broker to which these were written."""
    hashes: dict[str, Counter[str]] = defaultdict(Counter)
    for each in made:
        for key, name, count in writes(each.take(), HASHES):
            hashes[key][name] += count
    return {
        key: {name.encode(): str(count).encode() for name, count in fields.items()} for key, fields in hashes.items()
    }


def read(hashes: dict[str, dict[bytes, bytes]], now: float = NOW) -> list[Minute]:
    return minutes_of([hashes.get(key, {}) for key in keys_of(now, HASHES)], now)


def counted(at: float, *ends: tuple[str, object]) -> Minutes:
    made = Minutes(now=lambda: at)
    for state, seconds in ends:
        made.ended(state, seconds)
    return made


def test_hour__has_what_all_workers_have_counted() -> None:
    found = read(kept(counted(NOW, ("succeeded", 0.02), ("failed", 2.0)), counted(NOW, ("succeeded", 0.04))))
    assert len(found) == 60
    assert found[-1].counts == {"succeeded": 2, "failed": 1}
    assert found[-1].at == NOW - 10
    assert found[-1].seconds == pytest.approx(2.06)
    assert found[-1].mean == pytest.approx(2.06 / 3)
    assert all(not each.ended for each in found[:-1])


@pytest.mark.parametrize(("ago", "place"), [(0, 59), (59, 58), (10, 59), (11, 58), (31 * 60, 28), (59 * 60 + 10, 0)])
def test_hour__goes_back_over_the_full_hour(ago: int, place: int) -> None:
    found = read(kept(counted(NOW - ago, ("succeeded", 1.0))))
    assert [number for number, each in enumerate(found) if each.counts] == [place]


@pytest.mark.parametrize("ago", [60 * 60, 2 * 3600, 24 * 3600])
def test_hour__does_not_have_what_is_older(ago: int) -> None:
    assert not any(each.counts for each in read(kept(counted(NOW - ago, ("succeeded", 1.0)))))


def test_hash__is_kept_until_its_last_minute_is_not_shown() -> None:
    assert KEPT > 2 * 3600


def test_other_ends__are_not_counted() -> None:
    assert kept(counted(NOW, ("ignored", 1.0), ("rejected", 1.0))) == {}


def test_running_time__may_be_unknown() -> None:
    (minute,) = [each for each in read(kept(counted(NOW, ("failed", None), ("failed", "")))) if each.counts]
    assert (minute.counts["failed"], minute.ended, minute.mean, minute.most()) == (2, 0, None, None)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ([0.005] * 100, 0.01),
        ([0.005] * 95 + [2.0] * 5, 0.01),
        ([0.005] * 94 + [2.0] * 6, 2.08),  # 6 share what the total leaves
        ([0.005] * 94 + [2.999] * 6, 3.0),
        ([0.0001] * 3, 0.01),  # their total is 0 ms
        # No task runs for longer than all of them.
        ([601.0], 601.0),
        ([1.0, 601.0], 601.7),  # the other one ran for 0.3 s at least
        ([9_999.0], 9_999.0),
        # The last range has no bound: two tasks share what is left of the total, 20 times 300 s.
        ([3_900.0] * 20, 3_600 + 3_000),
        ([2_400.0] * 10, 3_600.0),
        ([2_400.0] * 19 + [7_200.0], 3_600.0),
        ([3_900.0] * 10 + [2.0] * 10, 3_600 + 1_510),
    ],
)
def test_most__is_the_bound_within_which_95_of_100_end(seconds: list[float], expected: float) -> None:
    found = read(kept(counted(NOW, *(("succeeded", each) for each in seconds))))
    most = found[-1].most()
    assert most == pytest.approx(expected, rel=0.01)
    assert most is not None
    assert most >= sorted(seconds)[math.ceil(len(seconds) * 0.95) - 1]


def test_most__without_the_total_is_the_bound() -> None:
    """A broker that is full may have refused one of the numbers."""
    (minute,) = [each for each in minutes_of([{}, {b"30:r5": b"3"}], NOW) if each.ended]
    assert minute.most() == 3.0


def test_numbers__that_could_not_be_written_are_counted_again_while_they_are_shown() -> None:
    clock = [NOW]
    made = Minutes(now=lambda: clock[0])
    made.ended("succeeded", 1.0)
    taken = made.take()
    made.ended("succeeded", 1.0)
    made.put_back(taken)
    assert read(kept(made))[-1].counts["succeeded"] == 2
    clock[0] += 3_600
    made.put_back(taken)
    assert not made.take()


@pytest.mark.parametrize(
    "fields",
    [
        {b"30:succeeded": b"many"},
        {b"99:succeeded": b"1"},
        {b"x": b"1"},
        {b"30:r99": b"1"},
        {b"30:rx": b"1"},
        {b"3\xff:succeeded": b"1"},
        {"\u0663\u0660:succeeded".encode(): b"1"},
        {b"30:succeeded": b"9" * 5000},
        {b"30:__class__": b"1"},
    ],
)
def test_hour__of_what_somebody_else_has_written(fields: dict[bytes, bytes]) -> None:
    found = minutes_of([{}, fields], NOW)
    assert not any(each.counts or each.ended for each in found)
