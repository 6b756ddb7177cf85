"""A command line up to the cursor -> the words that may come there, according to the parser of the command."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.apps import apps
from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand

from tasktools.registry import candidates
from tasktools.registry.registry import finalize


@dataclass(kw_only=True)
class Line:
    """What was typed before the word to complete."""

    #: The word to complete, as far as it was typed.
    prefix: str
    #: The words that belong to no option.
    words: list[str] = field(default_factory=list)
    #: What was given to the options, by their dest.
    options: dict[str, str] = field(default_factory=dict)
    #: Returns the Celery app that -A names, or the project's (None), its tasks imported.
    find_app: Callable[[str | None], Any]
    #: Imports what a worker imports in addition to the task modules.
    load_rest: Callable[[], None] = lambda: None

    @property
    def app(self) -> Any:
        return self.find_app(self.options.get("app"))


Completer = Callable[[Line], Iterable[str]]


def completed_by(action: argparse.Action, completer: Completer) -> argparse.Action:
    """Make `completer` complete the argument: `completed_by(parser.add_argument("name"), task_names)`."""
    action.completer = completer  # type: ignore[attr-defined]  # argcomplete reads an attribute of the same name
    return action


def task_names(line: Line) -> Iterable[str]:
    """Return all names if nothing was typed yet. Otherwise, return those of the task modules, or all if none of them fits."""
    app = line.app
    names = candidates.task_names(app)
    if line.prefix and any(name.startswith(line.prefix) for name in names):
        return names
    line.load_rest()
    return candidates.task_names(app)


def queue_names(line: Line) -> Iterable[str]:
    return candidates.queue_names(line.app)


def entry_names(line: Line) -> Iterable[str]:
    """Return the names of the entries of the schedule that the settings and the code have."""
    from tasktools.beat.records import titles

    app = line.app
    finalize(app)  # which makes entries of jobs
    return titles(app.conf.beat_schedule or ()).values()


def keywords(line: Line) -> Iterable[str]:
    """Return the keywords of the task that the first word names."""
    if not line.words:
        return ()
    app = line.app
    if not candidates.is_task(app, line.words[0]):
        line.load_rest()
    return candidates.keywords(app, line.words[0], line.words[1:], line.prefix)


def one_of(words: Collection[Any]) -> Completer:
    """Complete these words, in lower case if lower case was typed."""
    return lambda line: [str(word).lower() if line.prefix.islower() else str(word) for word in words]


def listed(completer: Completer) -> Completer:
    """Complete the last item of a comma-separated list."""

    def complete(line: Line) -> Iterable[str]:
        head, comma, last = line.prefix.rpartition(",")
        found = completer(replace(line, prefix=last))
        return [head + comma + word for word in found if word not in head.split(",")]

    return complete


def answer(
    words: Sequence[str], find_app: Callable[[str | None], Any], load_rest: Callable[[], None] = lambda: None
) -> list[str]:
    """Return the possible completions of the last of `words`; the words begin after `manage.py`.

    A word that must be quoted in a shell is left out: the answer goes on the command line unchanged.
    """
    *before, prefix = words or [""]
    found = _candidates(before, Line(prefix=prefix, find_app=find_app, load_rest=load_rest))
    return sorted({word for word in found if word.startswith(prefix) and _PLAIN.fullmatch(word)})


#: Characters with no special meaning in any shell (those of shlex.quote), and letters outside ASCII. zsh replaces =ls by the
#: path of ls: at the start of a word, and with its option magic_equal_subst after another =.
_PLAIN = re.compile(r"(?!=|.*==)[\w@%+=:,./-]+")


def _candidates(before: Sequence[str], line: Line) -> Iterable[str]:
    names = get_commands()
    if not before or before == ["help"]:
        return [*names, "help", "--help", "--version"]
    if before[0] not in names:
        return ()
    found = names[before[0]]
    command = found if isinstance(found, BaseCommand) else load_command_class(found, before[0])
    own: Callable[..., Iterable[str]] | None = getattr(command, "candidates", None)
    if own is not None:
        return own(list(before[1:]), line.prefix)
    return _Walk(command.create_parser("manage.py", before[0]), line).run(before[1:])


class _Walk:
    """Follow the words as parse_intermixed_args does: options may stand anywhere."""

    def __init__(self, parser: argparse.ArgumentParser, line: Line) -> None:
        self.parser = parser
        self.line = line
        self.waiting: argparse.Action | None = None  # the option whose value comes next
        self.only_words = False  # after --

    def run(self, before: Iterable[str]) -> Iterable[str]:
        for word in before:
            self._take(word)
        prefix = self.line.prefix
        name, equals, value = prefix.partition("=")
        if self.waiting:
            return self._values(self.waiting)
        if self.only_words or not prefix.startswith("-"):
            return self._values(self._positional())
        if not equals:
            return [name for name, action in self._options().items() if action.help != argparse.SUPPRESS]
        self.line.prefix = value
        return [f"{name}={each}" for each in self._values(self._options().get(name))]

    def _options(self) -> dict[str, argparse.Action]:
        return self.parser._option_string_actions

    def _take(self, word: str) -> None:
        name, equals, value = word.partition("=")
        if self.waiting:
            self.line.options[self.waiting.dest] = word
            self.waiting = None
        elif word == "--" and not self.only_words:
            self.only_words = True
        elif not self.only_words and name in self._options():
            action = self._options()[name]
            if equals:
                self.line.options[action.dest] = value
            elif action.nargs != 0:
                self.waiting = action
        elif self.only_words or not word.startswith("-") or self.parser._negative_number_matcher.match(word):
            self.line.words.append(word)

    def _positional(self) -> argparse.Action | None:
        """Return the argument that the next word belongs to: each takes one word; one with * or + takes the rest."""
        actions = self.parser._get_positional_actions()
        for place, action in enumerate(actions):
            if action.nargs in ("*", "+", argparse.REMAINDER) or place == len(self.line.words):
                return action
        return None

    def _values(self, action: argparse.Action | None) -> Iterable[str]:
        if action is None:
            return ()
        completer: Completer | None = getattr(action, "completer", None)
        if completer is not None:
            return completer(self.line)
        if action.choices is not None:
            return [str(choice) for choice in action.choices]
        if str(action.metavar or action.dest).startswith("app_label"):
            return [config.label for config in apps.get_app_configs()]
        return ()
