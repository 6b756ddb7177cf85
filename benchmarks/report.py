"""Samples of two sides, taken in turn, and the plain-text table that says whether a target was met."""

from __future__ import annotations

import argparse
import os
import platform
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import celery
import django

#: Pairs a benchmark takes unless --pairs says otherwise.
PAIRS = 15


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two things that are compared."""

    name: str
    #: Takes one sample: seconds, or tasks a second.
    sample: Callable[[], float]
    samples: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.samples)


@dataclass(frozen=True, kw_only=True)
class Target:
    """What a figure must be."""

    limit: float
    #: Whether the figure must reach the limit; else it must not exceed it.
    at_least: bool = False
    #: "" for a ratio.
    unit: str = ""

    def met_by(self, figure: float) -> bool:
        return figure >= self.limit if self.at_least else figure <= self.limit

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.limit:g}{self.unit and ' '}{self.unit}"


@dataclass(frozen=True, kw_only=True)
class Against:
    """One of several that a side is compared with."""

    side: Side
    #: None for one that is shown and not judged.
    target: Target | None = None


def parser(description: str | None, counted: str = "pairs", number: int = PAIRS) -> argparse.ArgumentParser:
    """Return a parser with --pairs, or what else is counted, and the module's docstring as its help."""
    made = bare_parser(description)
    told = f"{counted} to measure ({number})"
    made.add_argument(f"--{counted}", type=positive, default=number, metavar="N", help=told)
    return made


def bare_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser without options, the module's docstring as its help."""
    return argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)


def interleave(sides: Sequence[Side], rounds: int) -> None:
    """Take `rounds` samples of each side in turn, after one of each that is thrown away.

    In turn, so that whatever else the machine does falls on both. The first of each compiles modules and fills caches.
    """
    for side in sides:
        side.sample()
    for _ in range(rounds):
        for side in sides:
            side.samples.append(side.sample())


def report_ratio(
    title: str, ours: Side, other: Side, target: Target, unit: str, *, beside: Sequence[Side] = ()
) -> bool:
    """Print the table of ours / other, judge the median of the pairwise ratios, and return whether it met `target`.

    The sides `beside` stand in the table and are not judged.
    """
    ratios = [a / b for a, b in zip(ours.samples, other.samples, strict=True)]
    figure = statistics.median(ratios)
    _print_table(title, (ours, *beside, other), unit)
    print(f"ratio of medians     {ours.median / other.median:.3f}")
    print(f"pairwise ratios      median {figure:.3f}, {_spread(ratios)}")
    return verdict(figure, target)


def report_ratios(title: str, ours: Side, others: Sequence[Against], unit: str, *, beside: Sequence[Side] = ()) -> bool:
    """Print the table, and ours / other for each of the others; return whether all targets were met.

    Judged is the median of the pairwise ratios. The sides `beside` stand in the table alone.
    """
    _print_table(title, (ours, *beside, *(other.side for other in others)), unit)
    met = True
    for other in others:
        ratios = [a / b for a, b in zip(ours.samples, other.side.samples, strict=True)]
        figure = statistics.median(ratios)
        print(f"ratio to {other.side.name}: median {figure:.3f}, {_spread(ratios)}")
        if other.target and not verdict(figure, other.target):
            met = False
    return met


def report_difference(title: str, ours: Side, other: Side, target: Target, unit: str) -> bool:
    """Print the table of ours - other, judge the difference of the medians, and return whether it met `target`."""
    differences = [a - b for a, b in zip(ours.samples, other.samples, strict=True)]
    figure = ours.median - other.median
    _print_table(title, (ours, other), unit)
    print(f"difference of medians {figure:.3f} {unit}")
    print(f"pairwise differences  median {statistics.median(differences):.3f}, {_spread(differences)} {unit}")
    return verdict(figure, target)


def print_conditions(title: str, counted: str = "") -> None:
    """Print what was measured and with what."""
    load = ", ".join(f"{each:.2f}" for each in os.getloadavg())
    print(f"\n{title}")
    print(
        f"{counted}Python {platform.python_version()}, Django {django.__version__}, Celery {celery.__version__}, "
        f"{os.cpu_count()} cores, load average now {load}\n"
    )


def positive(text: str) -> int:
    """Read the number of an option."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _print_table(title: str, sides: Sequence[Side], unit: str) -> None:
    width = max(len(side.name) for side in sides)
    print_conditions(title, f"{len(sides[0].samples)} in turn; ")
    print(f"{'':{width}}  {'min':>9} {'median':>9} {'max':>9}")
    for side in sides:
        figures = min(side.samples), side.median, max(side.samples)
        print(f"{side.name:{width}}  {' '.join(f'{figure:9.{_places(unit)}f}' for figure in figures)}  {unit}")
    print()


def _places(unit: str) -> int:
    return 3 if unit == "s" else 0


def _spread(values: Sequence[float]) -> str:
    """Return the middle half and the range: how noisy the run was."""
    if len(values) < 2:
        return "one pair"
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"middle half {low:.3f} to {high:.3f}, all {min(values):.3f} to {max(values):.3f}"


def verdict(figure: float, target: Target) -> bool:
    """Print whether `figure` met `target`, and return it."""
    met = target.met_by(figure)
    print(f"target {target}: {'met' if met else 'MISSED'}", flush=True)
    return met
