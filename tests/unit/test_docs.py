"""The README and docs/ name everything that there is to name, and nothing that is not there."""

from __future__ import annotations

import os
import re
import shlex
import textwrap
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import BaseCommand, CommandError, load_command_class

from tasktools import conf, exceptions, probe
from tasktools.checks.run import IDS
from tasktools.management.epilogs import MEANINGS
from tests.support import REPOSITORY

README = REPOSITORY / "README.md"
DOCS = REPOSITORY / "docs"
PAGES = [README, *sorted(DOCS.rglob("*.md"))]
COMMANDS = sorted(
    path.stem for path in (REPOSITORY / "tasktools/management/commands").glob("*.py") if path.stem != "__init__"
)

_CODE_BLOCK = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)
_INLINE_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)
#: `tasktools` alone on the package index is another project; only the editable `.` or django-tasktools may be installed.
_WRONG_INSTALL = re.compile(r"\bpip\d? +install +(?:-\S+ +)*['\"]?tasktools(?![\w.-])")
#: With what a page begins what a command prints that refuses its words.
REFUSED = ("Unrecognized arguments:",)
_BUILT = {"build", "dist", "node_modules", "__pycache__"}


@pytest.mark.parametrize("name", conf.NAMES)
def test_setting__has_its_heading(name: str) -> None:
    assert f"`{name}`" in headings(DOCS / "settings.md")


def test_variable__has_its_heading() -> None:
    assert f"`{probe.VARIABLE}`" in headings(DOCS / "settings.md")


@pytest.mark.parametrize(
    ("name", "default"), [("TASKTOOLS_BEAT_LEASE", conf.beat_lease), ("TASKTOOLS_LINGER", conf.linger)]
)
def test_setting__its_default_is_that_of_the_code(name: str, default: Callable[[], float], settings: Any) -> None:
    if hasattr(settings, name):
        delattr(settings, name)
    text = (DOCS / "settings.md").read_text().partition(f"### `{name}`")[2]
    assert text.strip().startswith(f"Default: `{default():g}`.")


def test_setting__none_is_documented_that_does_not_exist() -> None:
    named = {name for page in PAGES for name in re.findall(r"TASKTOOLS_[A-Z_]*[A-Z]", page.read_text())}
    assert named == {*conf.NAMES, probe.VARIABLE}


@pytest.mark.parametrize("name", COMMANDS)
def test_command__has_its_page_and_its_line_in_the_readme(name: str) -> None:
    assert headings(page_of(name))[0] == name
    assert f"commands/{name}.md" in links(DOCS / "commands.md")
    assert re.search(rf"^\| `{name}\b", README.read_text(), re.MULTILINE)


@pytest.mark.parametrize("name", COMMANDS)
def test_command__every_own_option_is_in_its_table(name: str) -> None:
    assert own_options(parser_of(name)) <= documented_options(name)


@pytest.mark.parametrize("name", COMMANDS)
def test_command__no_option_is_documented_that_does_not_exist(name: str) -> None:
    assert documented_options(name) <= set(parser_of(name)._option_string_actions)


@pytest.mark.parametrize("check_id", IDS)
def test_check__has_its_heading(check_id: str) -> None:
    assert f"`{check_id}`" in headings(DOCS / "checks.md")


@pytest.mark.parametrize("check_id", IDS)
def test_check__the_table_has_its_level(check_id: str) -> None:
    row = re.search(rf"^\| \[`{check_id}`\][^|]*\| (\w+)", (DOCS / "checks.md").read_text(), re.MULTILINE)
    assert row is not None
    assert row[1] == ("error" if ".E" in check_id else "warning")


def test_check__none_is_documented_that_does_not_exist() -> None:
    named = {name for page in PAGES for name in re.findall(r"\btasktools\.[EW]\d{3}\b", page.read_text())}
    assert named == set(IDS)


@pytest.mark.parametrize("page", [README, DOCS / "commands.md"], ids=lambda page: page.name)
def test_exit_code__the_table_has_each_and_no_other(page: Path) -> None:
    table = page.read_text().split("| Code | Meaning |", 1)[1].split("\n\n", 1)[0]
    assert set(map(int, re.findall(r"^\| (\d+) \|", table, re.MULTILINE))) == exit_codes()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_link__leads_to_a_file_and_a_heading(page: Path) -> None:
    assert [link for link in links(page) if not exists(page, link)] == []


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_link__the_readme_leads_to_every_page(page: Path) -> None:
    assert f"docs/{page.name}" in {link.partition("#")[0] for link in links(README)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_command_line__is_one_that_the_command_takes(page: Path) -> None:
    refused = [f"{line}: {reason}" for line, reason in map(judged, command_lines(page.read_text())) if reason]
    assert refused == []


def test_install__nobody_is_told_to_install_another_project() -> None:
    told = [path.relative_to(REPOSITORY) for path, text in texts() if _WRONG_INSTALL.search(text)]
    assert told == []


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (["tasktools"], True),
        (["-U", "tasktools"], True),
        (["'tasktools[dev]'"], True),
        (["django-tasktools"], False),
        (["'django-tasktools[dev]'"], False),
        (["--editable", "."], False),
    ],
)
def test_install__the_wrong_name_is_recognised(words: list[str], wrong: bool) -> None:
    assert bool(_WRONG_INSTALL.search(" ".join(["pip", "install", *words]))) is wrong


def headings(page: Path) -> list[str]:
    return _HEADING.findall(_CODE_BLOCK.sub("", page.read_text()))


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings(page)}


def links(page: Path) -> list[str]:
    prose = _INLINE_CODE.sub("`", _CODE_BLOCK.sub("", page.read_text()))
    return [link for link in _LINK.findall(prose) if "://" not in link]


def exists(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    return target.is_file() and (not anchor or anchor in anchors(target))


def page_of(name: str) -> Path:
    return DOCS / "commands" / f"{name}.md"


def documented_options(name: str) -> set[str]:
    """Return the long options in the first column of the tables in a command's section."""
    cells = re.findall(r"^\| ([^|]*)", page_of(name).read_text(), re.MULTILINE)
    return {option for cell in cells for option in re.findall(r"`(--[a-z-]+)", cell)}


def parser_of(name: str) -> ArgumentParser:
    return load_command_class("tasktools", name).create_parser("manage.py", name)


def own_options(parser: ArgumentParser) -> set[str]:
    """Return the long options that are neither Django's nor Celery's."""
    django = BaseCommand().create_parser("manage.py", "any")._option_string_actions
    groups = [group for group in parser._action_groups if not str(group.title).startswith("Celery:")]
    options = {option for group in groups for action in group._group_actions for option in action.option_strings}
    return {option for option in options if option.startswith("--")} - set(django)


def command_lines(page: str) -> list[str]:
    """Return what is typed for manage.py in the console blocks of a page, without what the page itself shows as refused."""
    found = []
    for block in re.findall(r"```console\n(.*?)```", page, re.DOTALL):
        lines = re.sub(r"\\\n *", "", textwrap.dedent(block)).splitlines()
        for line, printed in zip(lines, [*lines[1:], ""], strict=True):
            if line.startswith("$ ") and "manage.py " in line and not printed.startswith(REFUSED):
                found.append(line.partition("manage.py ")[2])
    return found


def judged(line: str) -> tuple[str, str]:
    """Return a line, and why its command does not take its words; "" if it does, or is no command of tasktools."""
    words = shlex.split(re.split(r" (?:\d?>|\||&|<)|\)\"", line)[0], comments=True)
    if words[0] not in COMMANDS or words[0] == "celery":  # Celery reads those itself
        return line, ""
    try:
        parser_of(words[0]).parse_args(words[1:])
    except (CommandError, exceptions.TasktoolsError) as error:
        return line, str(error)
    return line, ""


def exit_codes() -> set[int]:
    """Return the codes of the error classes and of the table that every --help ends with."""
    classes = [kind for kind in vars(exceptions).values() if isinstance(kind, type)]
    codes = {kind.exit_code for kind in classes if issubclass(kind, exceptions.TasktoolsError)}
    return codes | set(MEANINGS)


def texts() -> Iterator[tuple[Path, str]]:
    """Yield every text file of the repository, generated and hidden folders left out."""
    for folder, folders, files in os.walk(REPOSITORY):
        folders[:] = [
            name
            for name in folders
            if name == ".ci" or not (name.startswith(".") or name in _BUILT or "egg-info" in name)
        ]
        for path in (Path(folder, name) for name in files if not name.startswith(".")):
            try:
                yield path, path.read_text()
            except (OSError, ValueError):
                continue  # no text, or gone meanwhile
