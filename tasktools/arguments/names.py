"""What a person typed -> the one registered name of a task, or an id. Pure: names in, names out."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Sequence
from fnmatch import fnmatchcase

from tasktools.exceptions import TaskNameError, UsageError

#: How many names an error lists at most.
MOST_LISTED = 10

#: How similar two last parts must be to count as a typing error; 1 means equal (difflib's ratio).
LIKE = 0.7

_MANY = {"task": "tasks", "entry": "entries"}

#: The hint if there is nothing that a name could stand for.
_NONE = {
    "task": "this project registers no task; write one with @shared_task in the tasks.py of an installed app",
    "entry": "this schedule has no entries; write one into CELERY_BEAT_SCHEDULE",
}

#: Longest id that a task can have; Celery's own have 36 characters.
LONGEST_ID = 255


def resolve(typed: str, names: Collection[str], noun: str = "task") -> str:
    """Return the registered name that `typed` stands for. `noun` says in an error what has the names: "task" or "entry".

    A full name stands for itself. Otherwise the dotted parts of `typed` must occur in a name in this order, and the last
    parts must be the same: `add`, `tasks.add` and `demo.add` all stand for `project.demo.tasks.add`. If several names match,
    those that end with exactly `typed` take precedence.

    Raises TaskNameError when no name or more than one matches; its hint lists the candidates.
    """
    if typed in names:
        return typed
    matches = sorted(name for name in names if _stands_for(typed.split("."), name.split(".")))
    endings = [name for name in matches if name.endswith("." + typed)]
    matches = endings or matches
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise TaskNameError(
            f'"{shown(typed)}" can mean {len(matches)} {_MANY[noun]}.', hint=f"type one of: {_listed(matches, noun)}"
        )
    raise unknown(typed, names, "is called", noun)


def unknown(typed: str, names: Collection[str], verb: str, noun: str = "task") -> TaskNameError:
    """Return the error for a name, or for a pattern (`verb` is "matches"), that stands for none of `names`."""
    error = TaskNameError(f'No {noun} {verb} "{shown(typed)}".', hint=_suggestion(typed, names, noun))
    error.typed = typed
    return error


def matches(name: str, pattern: str) -> bool:
    """Whether `pattern` is a part of the name; if it holds * or ?, it is a shell pattern for the whole name."""
    return fnmatchcase(name, pattern) if set(pattern) & set("*?") else pattern in name


def is_known(typed: str, names: Collection[str]) -> bool:
    """Whether `typed` stands for a name, or for several."""
    return typed in names or any(_stands_for(typed.split("."), name.split(".")) for name in names)


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Map each registered name to the shortest ending that stands for it alone."""
    names = set(names)
    by_last: dict[str, list[str]] = {}
    for name in names:
        by_last.setdefault(name.rpartition(".")[2], []).append(name)
    return {name: _short_name(name, by_last[name.rpartition(".")[2]]) for name in names}


def shown(typed: str, most: int = 80) -> str:
    """Return `typed` in a form for one line of a message: unprintable characters are escaped, and long text is cut."""
    text = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in typed[: most + 1])
    return text if len(typed) <= most else f"{text[:most]}…"


def listed(names: Sequence[str], most: int = 5, *, longest: int = 80) -> str:
    """Return names for one line of a message, the first ones if there are many: `a, b and 3 more`."""
    more = len(names) - most
    return ", ".join(shown(each, longest) for each in names[:most]) + (f" and {more:,} more" if more > 0 else "")


def shown_path(path: object) -> str:
    """Return a path in a form for one line of a message. A path that is cut is useless, so it may be longer than other words."""
    return shown(str(path), 300)


def close_matches(typed: str, names: Collection[str]) -> list[str]:
    """Return up to three names that `typed` may be a typing error for, the closest first. Only the last parts are compared."""
    last = typed[:200].rpartition(".")[2].lower()
    scores = {name: _likeness(last, name.rpartition(".")[2].lower()) for name in names}
    return sorted((name for name in names if scores[name] >= LIKE), key=lambda name: (-scores[name], name))[:3]


def _likeness(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other).ratio()


def _stands_for(typed: list[str], name: list[str]) -> bool:
    if typed[-1] != name[-1]:
        return False
    rest = iter(name[:-1])
    return all(part in rest for part in typed[:-1])


def _short_name(name: str, rivals: Collection[str]) -> str:
    """Return the shortest ending of `name` that resolves to it among the names with the same last part."""
    parts = name.split(".")
    endings = (".".join(parts[start:]) for start in range(len(parts) - 1, 0, -1))
    return next((end for end in endings if _leads_to(end, name, rivals)), name)


def _leads_to(end: str, name: str, rivals: Collection[str]) -> bool:
    if len(rivals) == 1:
        return True
    if end in rivals:
        return end == name
    return [rival for rival in rivals if rival.endswith("." + end)] == [name]


def _suggestion(typed: str, names: Collection[str], noun: str) -> str:
    names = [name for name in names if not name.startswith("celery.")]
    close = close_matches(typed, names)
    if close:
        return f"did you mean {' or '.join(close)}?"
    if not names:
        return _NONE[noun]
    return f"these {'are registered' if noun == 'task' else 'are there'}: {_listed(sorted(names), noun)}"


def _listed(names: list[str], noun: str) -> str:
    more = len(names) - MOST_LISTED
    listing = "manage.py showtasks" if noun == "task" else "manage.py showschedule"
    return ", ".join(map(shown, names[:MOST_LISTED])) + (f" and {more} more ({listing})" if more > 0 else "")


def check_id(task_id: str) -> str:
    """Return the id. Raises UsageError if no task can have it."""
    if not task_id or len(task_id) > LONGEST_ID or not task_id.isprintable():
        raise UsageError(f'"{shown(task_id)}" is no task id.', hint="give the id that enqueue printed")
    return task_id
