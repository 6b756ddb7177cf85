"""The page of watchtasks --top: figures -> what rich draws. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Any

from tasktools.beat.words import span
from tasktools.events.nodes import Node
from tasktools.events.tally import HISTORY, Row
from tasktools.management.watch_lines import beginning, brief, ending

#: The keys: by what each sorts, its name, and whether the largest comes first.
SORTS: Mapping[str, tuple[str, Callable[[Row], Any], bool]] = {
    "t": ("task", lambda row: row.task, False),
    "r": ("rate", lambda row: (row.rate, row.succeeded + row.failed), True),
    "d": ("done", lambda row: row.succeeded, True),
    "f": ("failed", lambda row: (row.failed, row.retried), True),
    "w": ("waited", lambda row: (row.waited or (-1.0, -1.0))[1], True),
    "x": ("executed", lambda row: (row.ran or (-1.0, -1.0))[1], True),
}

_BARS = "▁▂▃▄▅▆▇█"
_PLAIN_BARS = "_.:-=+*#"

#: What stands beside the key that sorts: whether the largest is at the top.
_ARROWS = {True: "↓", False: "↑"}
_PLAIN_ARROWS = {True: "v", False: "^"}

#: The columns between the name and the chart, each with its width. Where there is no room, retries are shown if there are any.
_NUMBERS = (
    *(("RATE/S", 6), ("DONE", 7), ("FAILED", 6), ("RETRIED", 7)),
    *(("WAITED", 6), ("95%", 5), ("RAN", 5), ("95%", 5)),
)
_SPARE = "RETRIED"

#: The least width of a name, of the chart, and of a terminal that has all columns.
_NAME = 10
_CHART = 11
_WIDE = 100

#: The lines of the table that a low terminal keeps: the titles and two tasks. What stands above it makes room.
_LEAST = 3

#: A terminal of so many lines has more of them for workers and queues.
_TALL = 40


@dataclass(frozen=True, kw_only=True)
class Page:
    """What is drawn."""

    rows: Sequence[Row]
    nodes: Sequence[Node]
    #: None if nobody knows.
    queues: Mapping[str, int] | None
    note: str
    seconds: float
    sort: str
    is_reversed: bool

    def drawn(self, width: int, height: int, encoding: str) -> Any:
        """Return the page for a terminal of this size."""
        from rich.layout import Layout
        from rich.text import Text

        page = Layout()
        parts = []
        for text, style, size in self._head(width, height):
            drawn = Text(text or " ", style=style, no_wrap=size == 1, overflow="ellipsis" if size == 1 else "fold")
            parts.append(Layout(drawn, size=size))
        body = Layout(self._table(width, height, encoding))
        keys = Layout(Text(self._keys(encoding), style="dim", no_wrap=True, overflow="ellipsis"), size=1)
        page.split_column(*parts, body, *[keys] * (height > _LEAST))
        return page

    def _head(self, width: int, height: int) -> list[tuple[str, str, int]]:
        """Return text, style and lines of each part above the table. A low terminal drops some; what has to be known stays."""
        sizes = 2 if height >= _TALL else 1
        most = width if sizes == 1 else 2 * width - 40  # the first line may end before its last column: at a word
        head = [(self._summary(), "bold", 1), (self._workers(most), "", sizes), (self._queues(most), "", sizes)]
        note, room = (self.note, "yellow", 1), max(0, height - _LEAST - 1)
        return [*head, note][:room] if not self.note else [*head[: max(0, room - 1)], note][:room]

    def _room(self, width: int, height: int) -> int:
        """Return how many tasks the table has room for."""
        above = sum(size for _, _, size in self._head(width, height))
        return height - above - (height > _LEAST) - 1

    def _summary(self) -> str:
        rate = sum(row.rate for row in self.rows)
        counts = [("done", "succeeded"), ("failed", "failed"), ("retried", "retried")]
        told = (f"{sum(getattr(row, field) for row in self.rows):,} {word}" for word, field in counts)
        return ", ".join([f"{rate:,.1f} tasks/s", *told, f"in {span(timedelta(seconds=int(self.seconds)))}"])

    def _workers(self, room: int) -> str:
        if not self.nodes:
            return "Workers: none heard"
        return listed(f"Workers ({len(self.nodes)}): ", [_node(node) for node in self.nodes], room)

    def _queues(self, room: int) -> str:
        if self.queues is None:
            return "Queues: unknown"
        longest = sorted(self.queues.items(), key=lambda item: (-item[1], item[0]))
        return listed("Queues: ", [f"{beginning(name, 40)} {length:,}" for name, length in longest], room)

    def _keys(self, encoding: str) -> str:
        arrows = _ARROWS if _can_write("".join(_ARROWS.values()), encoding) else _PLAIN_ARROWS
        arrow = arrows[SORTS[self.sort][2] != self.is_reversed]
        names = (f"{key} {name}{arrow if key == self.sort else ''}" for key, (name, _, _) in SORTS.items())
        return f"sort by: {'  '.join(names)}   q quit"

    def _table(self, width: int, height: int, encoding: str) -> Any:
        """Return the table. `height` is how many lines there are below its heading."""
        from rich.table import Table
        from rich.text import Text

        has_spare = width >= _WIDE or any(row.retried for row in self.rows)
        numbers, name, chart = _columns(
            width, max((len(row.task) for row in self.rows), default=4), has_spare=has_spare
        )
        table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
        table.add_column("TASK", width=name, no_wrap=True)
        for title, size in (_NUMBERS[place] for place in numbers):
            table.add_column(title, width=size, no_wrap=True, justify="right")
        if chart:
            table.add_column("LAST MINUTE", width=chart, no_wrap=True)
        bars = _BARS if _can_write(_BARS, encoding) else _PLAIN_BARS
        room = self._room(width, height)
        shown = len(self.rows) if len(self.rows) <= room else max(0, room - 1)
        for row in self._sorted()[:shown]:
            cells = _cells(row)
            drawn = [Text(sparks(row.history, chart, bars), style="cyan")] if chart else []
            table.add_row(Text(ending(row.task, name)), *(cells[place] for place in numbers), *drawn)
        if shown < len(self.rows):
            table.add_row(Text(f"{len(self.rows) - shown:,} more", style="dim"))
        return table

    def _sorted(self) -> list[Row]:
        _, key, largest_first = SORTS[self.sort]
        by_name = sorted(self.rows, key=lambda row: row.task)
        return sorted(by_name, key=key, reverse=largest_first != self.is_reversed)


def listed(head: str, items: Sequence[str], room: int) -> str:
    """Return as many items as there is room for, and how many more there are."""
    text = head
    for place, item in enumerate(items):
        left = len(items) - place - 1
        longer = f"{text}{', ' if place else ''}{item}"
        if place and len(longer) + len(f", {left:,} more" if left else "") > room:
            return f"{text}, {left + 1:,} more"
        text = longer
    return text


def _node(node: Node) -> str:
    active = "" if node.active is None else f" {node.active} running"
    return f"{beginning(node.name, 40)}{active}{'' if node.sends or not node.silent else ' (no events)'}"


def _columns(width: int, longest: int, *, has_spare: bool) -> tuple[list[int], int, int]:
    """Return which of _NUMBERS a terminal has room for, and the widths of the names and of the chart, 0 if it has none."""
    numbers = [place for place, (title, _) in enumerate(_NUMBERS) if has_spare or title != _SPARE]
    while (left := width - sum(_NUMBERS[place][1] + 1 for place in numbers) - 1) < _NAME and numbers:
        numbers.pop()
    if left - _CHART < max(_NAME, min(longest, 2 * _NAME)):
        return numbers, max(1, min(left, max(_NAME, longest))), 0
    name = max(_NAME, min(left - _CHART, longest))
    return numbers, name, min(HISTORY, left - name)


def _cells(row: Row) -> list[Any]:
    from rich.text import Text

    waited, ran = row.waited or (None, None), row.ran or (None, None)
    return [
        f"{row.rate:,.0f}" if row.rate >= 100 else f"{row.rate:.1f}",
        count(row.succeeded),
        Text(count(row.failed), style="red" if row.failed else ""),
        Text(count(row.retried), style="yellow" if row.retried else ""),
        *map(brief, (*waited, *ran)),
    ]


def count(number: int) -> str:
    """Return a number in seven characters at most."""
    return f"{number:,}" if number < 1_000_000 else f"{number / 1e6:.1f}M"


def sparks(history: Sequence[int], width: int, bars: str) -> str:
    """Return a chart of so many characters: the newest at the right, the highest of its own as the tallest bar."""
    whole = [0] * (HISTORY - len(history)) + list(history)
    edges = [place * HISTORY // width for place in range(width + 1)]
    means = [sum(whole[a:b]) / max(1, b - a) for a, b in pairwise(edges)]
    most = max(means, default=0)
    if not most:
        return " " * width
    return "".join(" " if not mean else bars[min(len(bars) - 1, int(mean / most * len(bars)))] for mean in means)


def _can_write(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
