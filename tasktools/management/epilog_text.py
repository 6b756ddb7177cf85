"""The form of what --help ends with, and the words that all commands share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

#: The usual meaning of each exit code; 1 means something else for each command.
MEANINGS: Mapping[int, str] = {
    0: "done",
    1: "",
    2: "what was typed or configured is wrong; nothing was done",
    3: "not finished in time",
    4: "no trace of what was asked for",
    69: "broker, result backend or worker unreachable",
    74: "a file or a stream could not be written",
    75: "another beat is in charge (--no-standby)",
    130: "interrupted: Ctrl+C",
}


def epilog(examples: Sequence[tuple[str, str]], codes: Mapping[int, str], *, other: str = "") -> str:
    """Return examples, each with what it does, and a table of exit codes.

    `codes` maps each code to its meaning, "" for the usual one; `other` is the meaning of all others.
    """
    width = max(len(words) for words, _ in examples)
    shown = [f"  manage.py {words:<{width}}  {text}" for words, text in examples]
    table = [f"  {code:<4} {text or MEANINGS[code]}" for code, text in codes.items()]
    more = [f"  else {other}"] if other else []
    return "\n".join(["examples:", *shown, "", "exit codes:", *table, *more])


UNIMPORTABLE = "the project cannot be imported"
