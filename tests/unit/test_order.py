"""The order of the tests for several processes."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.order import dealt


@dataclass(frozen=True)
class Item:
    nodeid: str


SHORT = [Item(f"tests/unit/test_{name}.py::test_{n}") for name in "ab" for n in range(50)]
LONG = [
    Item(f"tests/e2e/test_{name}.py::test_{n}")
    for name, count in {"c": 9, "d": 7, "e": 5, "f": 3}.items()
    for n in range(count)
]
SLOW = [Item(f"tests/e2e/test_{name}.py::test_rabbitmq__{n}") for name in "cd" for n in range(2)]
TESTS = SHORT[:50] + LONG[:9] + SLOW[:2] + LONG[9:] + SLOW[2:] + SHORT[50:]


def parts(tests: list[Item], processes: int) -> list[list[Item]]:
    """Return what each process gets at first, as worksteal of pytest-xdist shares a list out."""
    shared = []
    for number in range(processes):
        count = len(tests) // (processes - number)
        shared.append(tests[:count])
        tests = tests[count:]
    return shared


@pytest.mark.parametrize("processes", [2, 3, 4, 7])
def test_dealt__all_are_there_once(processes: int) -> None:
    assert sorted(dealt(TESTS, processes), key=lambda each: each.nodeid) == sorted(TESTS, key=lambda each: each.nodeid)
    assert sorted(dealt(LONG, processes), key=lambda each: each.nodeid) == sorted(LONG, key=lambda each: each.nodeid)


def test_dealt__each_part_begins_with_long_tests_and_ends_with_short_ones() -> None:
    for part in parts(dealt(TESTS, 4), 4):
        kinds = [each.nodeid.startswith("tests/e2e") for each in part]
        assert kinds == sorted(kinds, reverse=True)
        assert 5 <= sum(kinds) <= 9


def test_dealt__a_module_stays_in_one_part() -> None:
    shared = parts(dealt(TESTS, 4), 4)
    for name in "cdef":
        holders = [
            part for part in shared if any(f"_{name}.py::test_" in each.nodeid and each in LONG for each in part)
        ]
        assert len(holders) == 1, name


def test_dealt__half_of_the_processes_have_rabbitmq() -> None:
    shared = parts(dealt(TESTS, 4), 4)
    assert [sum(each in SLOW for each in part) for part in shared] == [2, 2, 0, 0]
    assert all(part[0] in SLOW for part in shared[:2])
