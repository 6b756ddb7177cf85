"""Does what a page of the docs says, step by step: it writes the files and types the commands, and compares what they print.

The page is read as a reader reads it. A block of Python goes into the file that the paragraph above it names: as a whole, at the
end ("to the end of"), or in place of one line ("change the line"). A line of a console block that begins with `$` is run, and the
lines below it are what it prints: first those on stderr, as everywhere in the docs. `...` stands for any lines, or for the rest
of its line. Ids and times differ from run to run: an id of the page stands for the real one from then on.
"""

from __future__ import annotations

import re
import shlex
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.servers import free_port
from tests.support import LIMIT, Site, save

_BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r"`((?:[a-z]+/)+[a-z_]+\.py)`")
_ID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
#: What differs from run to run, and what it becomes for the comparison.
_VARYING = (
    (_ID, "ID"),
    (re.compile(r"\b[0-9a-f]{8}\b"), "ID"),
    (re.compile(r"\d{4}-\d\d-\d\d[ T]"), ""),
    (re.compile(r"\b\d\d:\d\d(:\d\d([.,]\d+)?)?\b"), "TIME"),
    (re.compile(r"\b\d+(\.\d+)? (ms|s)\b"), "DURATION"),
    (re.compile(r"[ \t]+"), " "),
    (re.compile(r"^\d+ (?=TIME)", re.MULTILINE), "COUNT "),
)


@dataclass
class Step:
    """Something that the page has its reader do."""

    kind: str  # write, append, change, run
    what: str  # the path of a file, or a command
    text: str  # what is written, or what the command prints


def steps(page: str) -> Iterator[Step]:
    """Yield the steps of a page, in its order."""
    for block in _BLOCK.finditer(page):
        lines = [line.removeprefix(block[1]) for line in block[3].splitlines()]
        if block[2] == "console":
            yield from _commands(lines)
        elif block[2] == "python":
            paragraph = page[: block.start()].rstrip().rpartition("\n\n")[2]
            file = _FILE.search(paragraph)
            if file:
                mode = "append" if "end of" in paragraph else "change" if "change the line" in paragraph else "write"
                yield Step(mode, file[1], "\n".join(lines) + "\n")


def _commands(lines: list[str]) -> Iterator[Step]:
    command = ""
    printed: list[str] = []
    for line in [*lines, "$ "]:
        if line.startswith("$ "):
            if command:
                yield Step("run", command, "\n".join(printed))
            command, printed = line[2:].partition("  #")[0].strip(), []
        else:
            printed.append(line)


@dataclass
class Walk:
    """A reader who follows a page in an empty folder."""

    site: Site
    ids: dict[str, str] = field(default_factory=dict)

    def follow(self, page: str) -> list[str]:
        """Take all steps of a page, and return the commands among them."""
        taken = list(steps(page))
        for step in taken:
            getattr(self, f"_{step.kind}")(step)
        return [step.what for step in taken if step.kind == "run"]

    def _write(self, step: Step) -> None:
        save(self.site.root / step.what, step.text)

    def _append(self, step: Step) -> None:
        with (self.site.root / step.what).open("a") as file:
            file.write(f"\n{step.text}")

    def _change(self, step: Step) -> None:
        file = self.site.root / step.what
        start = step.text.partition("=")[0]
        changed, count = re.subn(rf"^{re.escape(start)}=.*\n", step.text, file.read_text(), flags=re.MULTILINE)
        assert count == 1, f"{step.what} has no line that begins with {start!r}"
        save(file, changed)

    def _run(self, step: Step) -> None:
        words = shlex.split(_ID.sub(lambda found: self.ids.get(found[0], found[0]), step.what))
        if words[0] in {"pip", "."} or words[:3] == ["python", "-m", "venv"]:
            return  # test_wheel.py installs
        if words[0] == "django-admin":
            words[:1] = ["python", "-m", "django"]
        words[0] = sys.executable
        if words[2] == "rundev":
            self.site.start(*words, str(free_port())).wait_for_output("ready")
            return
        # What is shown may take a moment to be so: the reader has not typed it at once either.
        deadline = time.monotonic() + (LIMIT if words[2].startswith("show") else 0)
        printed = self._printed(words)
        while not matches(step.text, printed):
            difference = f"$ {step.what}\n--- the page:\n{step.text}\n--- printed:\n{printed}"
            assert time.monotonic() < deadline, difference
            printed = self._printed(words)
        self.ids |= dict(zip(_ID.findall(step.text), _ID.findall(printed), strict=False))

    def _printed(self, words: list[str]) -> str:
        done = self.site.run(*words)
        return done.stderr + done.stdout


def matches(expected: str, printed: str) -> bool:
    lines = [f"{re.escape(line)}\n".replace(r"\.\.\.", ".*") for line in _steady(expected).splitlines()]
    pattern = "".join(r"(?:.*\n)*?" if line == ".*\n" else line for line in lines)
    return re.fullmatch(pattern, _steady(printed)) is not None


def _steady(text: str) -> str:
    for pattern, name in _VARYING:
        text = pattern.sub(name, text)
    return "".join(f"{line.strip()}\n" for line in text.strip().splitlines())
