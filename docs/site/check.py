"""A check of the built site: each link inside it leads to a file and a place there, and no page needs another host."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

#: What a browser loads by itself; a link that a reader follows may lead elsewhere.
_LOADED = {
    "img": "src",
    "script": "src",
    "link": "href",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "image": "href",
}
_IN_CSS = re.compile(r"""(?:url\(\s*["']?|@import\s+["'])((?:https?:)?//[^"')\s]+)""")


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if values.get(name)}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag in _LOADED and values.get(_LOADED[tag]):
            self.loaded.append(values[_LOADED[tag]])


def faults(site: Path) -> list[str]:
    """Return what is wrong with the links of a site, a sentence each."""
    site = site.resolve()
    pages = {path: _read(path) for path in sorted(site.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        name = path.relative_to(site)
        found += [f'{name} loads "{each}" from another host.' for each in page.loaded if _is_elsewhere(each)]
        inside = [each for each in page.links + page.loaded if not _is_elsewhere(each)]
        found += [
            f'{name} links to "{each}", which leads nowhere.' for each in inside if not _leads(site, path, each, pages)
        ]
    for path in (*site.rglob("*.css"), *site.rglob("*.svg")):
        hosts = _IN_CSS.findall(path.read_text(errors="replace"))
        found += [f'{path.relative_to(site)} loads "{each}" from another host.' for each in hosts]
    return found


def _read(path: Path) -> _Page:
    page = _Page()
    page.feed(path.read_text())
    return page


def _is_elsewhere(link: str) -> bool:
    parts = urlsplit(link)
    return bool(parts.netloc) or parts.scheme in {"http", "https", "mailto"}


def _leads(site: Path, path: Path, link: str, pages: dict[Path, _Page]) -> bool:
    parts = urlsplit(link)
    if parts.scheme == "data":
        return True
    goal = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if goal.is_dir():
        goal /= "index.html"
    if not goal.is_file() or not goal.is_relative_to(site):
        return False
    return not parts.fragment or goal not in pages or unquote(parts.fragment) in pages[goal].anchors
