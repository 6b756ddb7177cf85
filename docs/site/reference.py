"""What a command's parser says, as a part of its page: made each time the site is built, so that it cannot go stale."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

from django.core.management import BaseCommand, load_command_class

import tasktools.management.commands
from tasktools import conf
from tasktools.checks.run import IDS
from tasktools.management.epilogs import EPILOGS

COMMANDS = sorted(
    file.stem
    for folder in tasktools.management.commands.__path__
    for file in Path(folder).glob("*.py")
    if not file.stem.startswith("_")
)

_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|$~])")
_EXAMPLE = re.compile(r"^  manage\.py (.+?) {2,}(.*)$")
_SETTING = re.compile(r"^    (TASKTOOLS_\w+) +(.+)$", re.MULTILINE)
_CODE = re.compile(r"^  (\d+|else) +(.*)$")


def parser_of(name: str) -> argparse.ArgumentParser:
    return load_command_class("tasktools", name).create_parser("manage.py", name)


def summary(name: str) -> str:
    """Return what the command does, in the words of its --help."""
    return _text(parser_of(name).description or "")


def reference(name: str) -> str:
    """Return the section of a command: its usage, options, examples and exit codes."""
    parser = parser_of(name)
    parts = [
        "## Reference",
        f"This is what `manage.py {name} --help` prints; it is taken from the command when the site is built.",
        f"```text\n{parser.format_usage().strip()}\n```",
        *_groups(parser),
        *_epilog(EPILOGS[name]),
    ]
    return "\n\n".join(parts) + "\n"


def settings() -> str:
    """Return the section of all settings: what each is for and its default, in the words of `conf`."""
    said = {each[1]: " ".join(each[2].split()) for each in _SETTING.finditer(conf.__doc__ or "")}
    rows = []
    for name in conf.NAMES:
        what, _, default = said[name].partition("default ")
        rows.append(f"| [`{name}`](#{name.lower()}) | {_text(what.rstrip(' ;'))} | {_text(default) or 'not set'} |")
    return _table("All settings of tasktools", "| Setting | What it says | Default |\n|---|---|---|", rows)


def checks() -> str:
    """Return the section of all checks: the ids that they can give, and the level of each."""
    levels = {"E": "error", "W": "warning"}
    rows = [f"| [`{each}`](#{each.replace('.', '').lower()}) | {levels[each.partition('.')[2][0]]} |" for each in IDS]
    return _table("All ids", "| Id | Level |\n|---|---|", rows)


def _table(heading: str, head: str, rows: list[str]) -> str:
    return (
        f"\n## {heading}\n\nThis table is taken from the code when the site is built.\n\n{head}\n"
        + "\n".join(rows)
        + "\n"
    )


def _groups(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield each group of options that has any of the command's own: a heading and a list of definitions."""
    shared = set(BaseCommand().create_parser("manage.py", "any")._option_string_actions)
    for group in parser._action_groups:
        own = [each for each in group._group_actions if each.help != argparse.SUPPRESS]
        own = [each for each in own if not shared & set(each.option_strings)]
        if own:
            yield f"### {str(group.title).capitalize() if str(group.title).islower() else group.title}"
            if group.description:
                yield _text(group.description)
            yield "\n\n".join(_definition(parser, each) for each in own)
    yield "Django's own options, such as `--settings`, `-v` and `--traceback`, work too."


def _definition(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    formatter = parser._get_formatter()
    words = formatter._format_args(action, formatter._get_default_metavar_for_optional(action))
    if action.option_strings:
        names = ", ".join(f"`{name} {words}`" if words else f"`{name}`" for name in action.option_strings)
    else:
        names = f"`{formatter._format_args(action, action.dest)}`"
    return f"{names}\n: {_text(formatter._expand_help(action)) or '(no text)'}"


def _epilog(text: str) -> Iterator[str]:
    examples, _, codes = text.partition("\n\n")
    lines = [_EXAMPLE.match(line) for line in examples.splitlines()[1:]]
    yield "### Examples"
    yield "\n\n".join(f"`manage.py {each[1]}`\n: {_text(each[2])}" for each in lines if each)
    yield "### Exit codes"
    yield "| Code | Meaning |\n|---|---|\n" + "\n".join(f"| {code} | {_text(said)} |" for code, said in _codes(codes))


def _codes(text: str) -> list[tuple[str, str]]:
    """Return the exit codes and what they mean; a line without a code continues the one before it."""
    found: list[tuple[str, str]] = []
    for line in text.splitlines()[1:]:
        code = _CODE.match(line)
        if code:
            found.append((code[1], code[2]))
        elif line.startswith("       ") and found:
            found[-1] = (found[-1][0], f"{found[-1][1]} {line.strip()}")
    return found


def _text(text: str) -> str:
    """Return words as Markdown that shows them as they are, in one line."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))
