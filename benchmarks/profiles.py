"""What `manage.py enqueue --from` spends its time on, as cProfile sees it: by function, and in groups."""

from __future__ import annotations

import pstats
from collections import Counter
from pathlib import Path

#: Functions that are named one by one.
NAMED = 12

_REST = "rest"

#: What of a path, and which functions there (none: all), belongs to which group; the first that fits counts. A function
#: that is written in C counts to whoever called it.
_GROUPS = (
    ("reading and JSON", "tasktools/management/input_lines.py", ()),
    ("reading and JSON", "tasktools/management/call_reader.py", ("json_lines", "_text", "_parsed")),
    ("reading and JSON", "json/__init__.py", ("loads",)),
    ("reading and JSON", "json/decoder.py", ()),
    ("checking", "tasktools/management/call_reader.py", ()),
    ("checking", "tasktools/arguments/values.py", ()),
    ("checking", "tasktools/arguments/binding.py", ()),
    ("checking", "tasktools/arguments/conversion.py", ()),
    ("checking", "inspect.py", ()),
    ("ids", "tasktools/publishing/message_template.py", ("random_ids", "_uuid")),
    ("ids", "tasktools/publishing/batch.py", ("new_ids",)),
    ("body", "tasktools/publishing/message_template.py", ("encode", "<lambda>")),
    ("body", "json/encoder.py", ()),
    ("body", "kombu/utils/json.py", ()),
    ("body", "base64.py", ()),
    ("message text", "tasktools/publishing/message_template.py", ()),
    ("message text", "celery/utils/saferepr.py", ()),
    ("redis-py: packing and socket", "/redis/", ()),
)

#: File, line, name; the file is "~" for what is written in C.
Function = tuple[str, int, str]


def print_profile(path: Path, calls: int) -> None:
    """Print what cProfile wrote to `path`, of so many calls: the groups, and the functions with the most time of their own."""
    # The types of pstats do not tell of it: {function: (calls, all calls, own time, time, {caller: the same four})}.
    stats = pstats.Stats(str(path)).stats  # type: ignore[attr-defined]
    groups: Counter[str] = Counter()
    for function, (_, _, own, _, callers) in stats.items():
        if function[0] == "~" and callers:
            for caller, (_, _, of_caller, _) in callers.items():
                groups[_group(caller)] += of_caller
        else:
            groups[_group(function)] += own
    total = sum(groups.values())
    print(f"{'':30}{'% of it':>8} {'us a call':>10}")
    for name in sorted(groups, key=lambda name: (name == _REST, -groups[name])):
        print(f"{name:30}{100 * groups[name] / total:8.1f} {1e6 * groups[name] / calls:10.2f}")
    print(f"\n{'own time, s':>11} {'times':>9}  function")
    for function, figures in sorted(stats.items(), key=lambda item: -item[1][2])[:NAMED]:
        print(f"{figures[2]:11.3f} {figures[1]:9}  {_told(function)}")


def _group(function: Function) -> str:
    path, _, name = function
    found = (group for group, part, names in _GROUPS if part in path and (not names or name in names))
    return next(found, _REST)


def _told(function: Function) -> str:
    path, line, name = function
    return name if path == "~" else f"{'/'.join(Path(path).parts[-2:])}:{line} {name}"
