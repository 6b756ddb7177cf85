"""The pages of the site, put together from the files of the repository.

docs/*.md stay as they are read in the repository: links between them are relative there, and are rewritten here. A page that is
new in docs/ appears among the guides by itself.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from docs.site import reference

ROOT = Path(__file__).resolve().parent.parent.parent

#: The sections of the README that make the first page; the others are the tour.
FIRST_PAGE = ("", "Use it in your site", "Run tasks by the clock")

#: The menu. `...` is where a page of docs/ stands that is named nowhere.
MENU: dict[str, Sequence[str]] = {
    "Start": ("tutorial", "tour"),
    "How-to": ("how-to", "adopt", "deploy", "failed-tasks", "pausing", "admin", "django-tasks", "jobs", "..."),
    "Reference": ("commands", "settings", "checks", "brokers", "warnings"),
    "Explanation": ("how-it-works", "comparison", "architecture"),
    "Project": ("changelog", "contributing", "security", "benchmarks"),
}

#: Pages of the repository that are not in docs/.
OUTSIDE = {
    "CHANGELOG.md": "changelog",
    "CONTRIBUTING.md": "contributing",
    "SECURITY.md": "security",
    "benchmarks/README.md": "benchmarks",
}

_FENCE = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"(^ *```.*?^ *```$|`[^`\n]*`)", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_PICTURE = re.compile(r"^( *)<!-- picture: ([a-z-]+) -->$", re.MULTILINE)


class Fault(Exception):
    """Something in the pages is wrong; the message says what and where."""


@dataclass
class Pages:
    """The pages: their texts by name, each with the file that it comes from, and the files that they link to."""

    texts: dict[str, str] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)

    def add(self, name: str, source: str, text: str) -> None:
        self.texts[name], self.sources[name] = text, source

    def write(self, folder: Path) -> None:
        for name, text in self.texts.items():
            path = folder / f"{name}.md"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        for file in self.files:
            path = folder / "files" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / file, path)


def collect(picture: Callable[[str], str]) -> Pages:
    """Return the pages of the site. `picture` returns the Markdown of a picture by its name."""
    pages = Pages()
    first, tour = split_readme((ROOT / "README.md").read_text())
    pages.add("index", "README.md", first)
    pages.add("tour", "README.md", tour)
    for file in sorted((ROOT / "docs").rglob("*.md")):
        source = file.relative_to(ROOT).as_posix()
        pages.add(source.removeprefix("docs/").removesuffix(".md"), source, file.read_text())
    for source, name in OUTSIDE.items():
        pages.add(name, source, (ROOT / source).read_text())
    add_commands(pages)
    pages.texts["settings"] += reference.settings()
    pages.texts["checks"] += reference.checks()
    for name in pages.texts:
        pages.texts[name] = _rewritten(pages, name, picture)
    pages.texts["index"] += "".join(_toctree(caption, names) for caption, names in menu(pages).items())
    commands = [f"commands/{name}" for name in reference.COMMANDS]
    pages.texts["commands"] += _toctree("", commands)
    return pages


def split_readme(text: str) -> tuple[str, str]:
    """Return the first page of the site and the tour: the sections of the README, in its order."""
    sections = sections_of(text)
    missing = [name for name in FIRST_PAGE if name not in sections]
    if missing:
        raise Fault(f'README.md has no section "{missing[0]}", which the first page of the site shows.')
    first = "".join(sections[name] for name in FIRST_PAGE)
    rest = "".join(body for name, body in sections.items() if name not in FIRST_PAGE and name != "More")
    return first, f"# The tour\n\nWhat the README says after the [first page](README.md).\n\n{rest}"


def sections_of(text: str) -> dict[str, str]:
    """Return the sections of a page by their headings of the second level; what stands before the first one is ""."""
    found: dict[str, str] = {"": ""}
    name = ""
    code = [range(*each.span()) for each in _FENCE.finditer(text)]
    place = 0
    for line in text.splitlines(keepends=True):
        if line.startswith("## ") and not any(place in span for span in code):
            name = line[3:].strip()
            found[name] = ""
        found[name] += line
        place += len(line)
    return found


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ +(.+?) *$", _FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def add_commands(pages: Pages) -> None:
    """Give each command its page, and what its parser says at the end of that."""
    for name in reference.COMMANDS:
        page = f"commands/{name}"
        if page not in pages.texts:
            pages.add(page, f"docs/{page}.md", f"# {name}\n\n{reference.summary(name)}\n")
        pages.texts[page] += f"\n{reference.reference(name)}"


def menu(pages: Pages) -> dict[str, list[str]]:
    """Return the menu with every page in it.

    Raises Fault when it names a page that does not exist.
    """
    named = {name for names in MENU.values() for name in names}
    others = sorted(name for name in pages.texts if "/" not in name and name not in named | {"index"})
    missing = sorted(named - {"..."} - set(pages.texts))
    if missing:
        raise Fault(f'The menu names the page "{missing[0]}", and docs/{missing[0]}.md does not exist.')
    return {
        caption: [page for name in names for page in (others if name == "..." else [name])]
        for caption, names in MENU.items()
    }


def _toctree(caption: str, names: Sequence[str]) -> str:
    head = f":caption: {caption}\n" if caption else ""
    return "\n```{toctree}\n:hidden:\n" + head + "\n" + "\n".join(names) + "\n```\n"


def _rewritten(pages: Pages, name: str, picture: Callable[[str], str]) -> str:
    """Return a page with its links leading to pages of the site and files beside it, and with its pictures."""
    parts = _CODE.split(pages.texts[name])
    parts[::2] = [_LINK.sub(lambda found: f"]({_target(pages, name, found[1])})", part) for part in parts[::2]]
    return _PICTURE.sub(lambda found: _indented(picture(found[2]), found[1]), "".join(parts))


def _indented(text: str, by: str) -> str:
    return "\n".join(f"{by}{line}" if line else line for line in text.splitlines())


def _target(pages: Pages, name: str, link: str) -> str:
    """Return a link of a page as it is in the site.

    Raises Fault when it leads to nothing in the repository.
    """
    if "://" in link or link.startswith("mailto:"):
        return link
    path, hash_, anchor = link.partition("#")
    source = pages.sources[name]
    goal = os.path.normpath(os.path.join(os.path.dirname(source), path)) if path else source
    if name == "tour" and path == "README.md" and not anchor:
        return "index.md"
    page = _page(pages, goal, anchor)
    if page is None:
        if not (ROOT / goal).is_file():
            raise Fault(f'{source} links to "{link}", and {goal} does not exist.')
        pages.files.add(goal)
    there = f"{page}.md" if page else f"files/{goal}"
    return (
        "#" + anchor
        if page == name and anchor
        else os.path.relpath(there, os.path.dirname(name) or ".") + hash_ + anchor
    )


def _page(pages: Pages, goal: str, anchor: str) -> str | None:
    """Return the page that shows a file; the README is two of them, and the anchor says which is meant."""
    if goal == "README.md":
        return "tour" if anchor in anchors(split_readme((ROOT / goal).read_text())[1]) else "index"
    return next((name for name, source in pages.sources.items() if source == goal), None)
