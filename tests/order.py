"""The order of the tests when several test processes share them (pytest-xdist, --dist worksteal).

At first, each process gets the next part of the list; then one without work takes from the end of the longest rest. So each
part begins with its share of the long tests and ends with short ones, which are what is left when the suite is almost done.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Protocol, TypeVar

LONG = "tests/e2e/"

#: A test on RabbitMQ takes as long as so many others.
RABBITMQ_WEIGHT = 3


class Test(Protocol):
    @property
    def nodeid(self) -> str: ...


T = TypeVar("T", bound=Test)


def dealt(tests: Sequence[T], processes: int) -> list[T]:
    """Return the tests in an order whose equal parts, one a process, take about the same time.

    The tests of a module stay together, for the fixtures that they share. Half of the processes get those on RabbitMQ:
    each process starts a server of its own.
    """
    short = [each for each in tests if not each.nodeid.startswith(LONG)]
    long = [each for each in tests if each.nodeid.startswith(LONG)]
    slow = [each for each in long if _on_rabbitmq(each)]
    parts: list[list[T]] = [[] for _ in range(processes)]
    weights = [0] * processes
    _deal(_modules(slow), parts, weights, range(max(1, processes // 2)), RABBITMQ_WEIGHT)
    _deal(_modules([each for each in long if not _on_rabbitmq(each)]), parts, weights, range(processes), 1)
    left, rest = len(tests), short
    for number, part in enumerate(parts):
        room = max(0, left // (processes - number) - len(part))
        left -= len(part) + len(rest[:room])
        part += rest[:room]
        rest = rest[room:]
    return [each for part in parts for each in part] + rest


def _deal(modules: list[list[T]], parts: list[list[T]], weights: list[int], among: range, weight: int) -> None:
    """Give each module, the largest first, to the part that has least."""
    for module in sorted(modules, key=len, reverse=True):
        lightest = min(among, key=lambda number: weights[number])
        parts[lightest] += module
        weights[lightest] += weight * len(module)


def _modules(tests: list[T]) -> list[list[T]]:
    return [list(each) for _, each in groupby(tests, key=lambda test: test.nodeid.partition("::")[0])]


def _on_rabbitmq(test: Test) -> bool:
    return "rabbitmq" in test.nodeid.lower() or "rabbitmq" in getattr(test, "fixturenames", ())
