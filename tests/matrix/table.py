"""The result of `make brokers` -> the tables of docs/brokers.md.

    python -m tests.matrix.table build/brokers.xml docs/brokers.md

The result is pytest's JUnit XML: each test has the properties `cell` (file|story|broker|pool) and, where it is so, `limit`.
Ends with 1 when a cell failed or was skipped; the page is written all the same and says so.
"""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import NamedTuple

from tests.matrix.brokers import KINDS

#: The rows: what stands in the first column for each story.
ROWS = {
    "wait": "`enqueue --wait`",
    "queue": "`enqueue --queue`",
    "priority": "`enqueue --priority`",
    "countdown": "`enqueue --countdown`",
    "expires": "`enqueue --expires`",
    "from": "`enqueue --from`",
    "resume": "`--from --resume`, killed and resumed",
    "taskresult": "`taskresult`",
    "together": "tasks at the same time",
    "drain": "`runworker --drain`",
    "max_tasks": "`runworker --max-tasks`",
    "reload_under_load": "reload under load",
    "warm_stop": "warm stop",
    "grace": "`runworker --grace`",
    "server_killed": "server killed and started again",
    "server_down": "server down at `enqueue`",
}

#: The marks of the notes under a table.
NUMBERS = "¹²³⁴⁵⁶⁷⁸⁹"


class Cell(NamedTuple):
    """One test of the matrix."""

    file: str
    story: str
    broker: str
    pool: str
    #: "works", "failed", "skipped", or the limit; one that begins with "not possible: " is none that works.
    text: str


def read(file: Path) -> list[Cell]:
    """Return the cells of a result."""
    cells = []
    for case in ElementTree.parse(file).iter("testcase"):
        properties = {each.get("name"): each.get("value") or "" for each in case.iter("property")}
        if "cell" in properties:
            cells.append(Cell(*properties["cell"].split("|"), text=_text(case, properties)))
    return cells


def _text(case: ElementTree.Element, properties: dict[str | None, str]) -> str:
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    if case.find("skipped") is not None:
        return "skipped"
    return properties.get("limit", "works")


def table(cells: list[Cell], columns: dict[str, str], column_of: str) -> str:
    """Return one table in Markdown. Limits are numbered, and stand under it."""
    found = {(cell.story, getattr(cell, column_of)): cell.text for cell in cells}
    stories = [story for story in ROWS if any(story == cell.story for cell in cells)]
    notes: list[str] = []

    def shown(text: str) -> str:
        if text in ("works", "failed", "skipped", "not run"):
            return text
        word, _, note = text.partition(": ") if text.startswith("not possible: ") else ("works", "", text)
        if note not in notes:
            notes.append(note)
        return word + NUMBERS[notes.index(note)]

    rows = [[ROWS[story], *(shown(found.get((story, key), "not run")) for key in columns)] for story in stories]
    lines = [["", *columns.values()], ["---"] * (len(columns) + 1), *rows]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return text + "".join(f"\n\n{NUMBERS[number]} {note}" for number, note in enumerate(notes))


def page(cells: list[Cell]) -> dict[str, str]:
    """Return the tables by the name of their place in the page."""
    from tests.matrix.test_pools import POOLS

    brokers = [cell for cell in cells if cell.file == "test_brokers"]
    pools = [cell for cell in cells if cell.file == "test_pools"]
    of = {name: [cell for cell in pools if cell.broker == name] for name in ("redis", "rabbitmq")}
    return {
        "brokers": table(brokers, {name: kind.title for name, kind in KINDS.items()}, "broker"),
        "pools on Redis": table(of["redis"], {name: name for name in POOLS}, "pool"),
        "pools on RabbitMQ": table(of["rabbitmq"], {name: name for name in POOLS}, "pool"),
    }


def written(text: str, tables: dict[str, str]) -> str:
    """Return the page `text` with its tables replaced."""
    for name, made in tables.items():
        begin, end = f"<!-- table: {name} -->", f"<!-- end: {name} -->"
        pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
        text, count = pattern.subn(lambda _: f"{begin}\n\n{made}\n\n{end}", text)  # noqa: B023 - called at once
        assert count == 1, f"the page has no place for the table {name}"
    return text


def main(result: str, target: str) -> int:
    cells = read(Path(result))
    path = Path(target)
    path.write_text(written(path.read_text(), page(cells)))
    bad = [cell for cell in cells if cell.text in ("failed", "skipped")]
    print(f"{len(cells)} cells, {len(bad)} failed or skipped; {target} is written")
    return 1 if bad or not cells else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
