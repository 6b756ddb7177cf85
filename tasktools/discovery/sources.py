"""The Python files of the project: which there are, and what a quick look shows. None is run, and no text of one is kept."""

from __future__ import annotations

import itertools
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from django.apps import apps

from tasktools import conf
from tasktools.arguments.names import shown_path
from tasktools.discovery.import_names import is_own

#: At most so many files are looked at.
MOST_FILES = 2_000
#: At most so many entries of folders are looked at, files of every kind.
MOST_ENTRIES = 50_000

_PASSED_BY = ("migrations", "tests", "node_modules", "example", "examples")
_NO_CODE = re.compile(r"tests?\.py$|test_|conftest\.py$")

_TASK = re.compile(rb"^[ \t]*@[\w.]*task\b", re.MULTILINE)
#: A call that sends a task, up to the end of its line.
_SENDS = re.compile(rb"\.(?:delay|apply_async)\([^\n]*")
#: A statement that sends a task and does nothing else; a lambda that sends one runs later.
_SENDS_ALONE = re.compile(
    rb"^[ \t]+(?![ \t]|[^\n]*\blambda\b)(?:[^\n#]*[:;][ \t]*)?[\w.]+\.(?:delay|apply_async)\(", re.MULTILINE
)
_RESULT = rb"\b(?:delay|apply_async|AsyncResult|GroupResult|ResultSet|group|chord|chain|s|si|signature|subtask)\("
_WAIT = rb"\.(?:get|join|wait)\("
#: A result that is waited for at once: on one line, or after a call of several lines. What may stand between is bounded here
#: and below: each match on a long line would read all of it.
_WAITS_AT_ONCE = re.compile(_RESULT + rb".{0,300}?\)" + _WAIT + rb"|^[ \t]*[\])][()\]]*" + _WAIT, re.MULTILINE)
_AFTER_A_CALL = (b").get(", b").join(", b").wait(", b"].get(", b"].join(", b"].wait(")
_WAITED_FOR = re.compile(rb"\b(\w+)" + _WAIT)
_KEEPS = rb"=[^=\n].{0,300}?" + _RESULT
_KEPT = re.compile(rb"\b(\w+)[ \t]*" + _KEEPS)
#: Whether any name keeps a result. It takes a fraction of the time: few places of a file hold "=", and each holds a name.
_KEEPS_ANY = re.compile(_KEEPS)
_ATOMIC = re.compile(rb"^[ \t]*(?:(?:@|with\b).*|with[ \t]*\([\s\S]{0,1000}?)\batomic\b", re.MULTILINE)
_DISCOVERS = re.compile(rb"^[ \t]*[\w.]+\.autodiscover_tasks\(\s*(?:\)|lambda\b|settings\.)", re.MULTILINE)
_GIVEN = re.compile(rb"task\((?:[^()]|\([^()]*\))*?\bname ?= ?(?:\"([^\"\n]+)\"|'([^'\n]+)')")
_FUNCTION = re.compile(rb"\n(?:async )?def (\w+)")


@dataclass(frozen=True)
class File:
    """A Python file of the project."""

    module: str
    path: Path
    #: Whether its package is an installed app.
    installed: bool


@dataclass(frozen=True)
class Look:
    """What the bytes of a file show. A flag that is not set is certain; one that is set is a reason to parse the file."""

    defines_tasks: bool = False
    sends: bool = False
    #: Whether a statement is the call of a task.
    sends_alone: bool = False
    waits: bool = False
    has_atomic: bool = False
    #: Whether a Celery app imports the tasks.py of all installed apps.
    discovers: bool = False
    #: The names in `@shared_task(name="...")`.
    given: tuple[str, ...] = ()
    #: Whether two functions have one name.
    repeats: bool = False


_looks: dict[Path, tuple[tuple[int, int], Look]] = {}


def look(path: Path) -> Look:
    """Return what the bytes of a file show. It is read again only if it has changed; an unreadable file is empty."""
    try:
        state = os.stat(path)
        stamp = (state.st_mtime_ns, state.st_size)
        kept = _looks.get(path)
        if kept is None or kept[0] != stamp:
            with open(path, "rb") as file:
                kept = _looks[path] = (stamp, _look(file.read()))
    except (OSError, ValueError):
        return Look()
    return kept[1]


def text(path: Path) -> bytes:
    """Return the bytes of a file; b"" if it neither defines nor sends tasks, or cannot be read."""
    seen = look(path)
    try:
        return path.read_bytes() if seen.defines_tasks or seen.sends else b""
    except OSError:
        return b""


def sending_lines(text: bytes) -> list[int]:
    """Return the numbers of the lines whose statement is the call of a task."""
    return [text.count(b"\n", 0, start) + 1 for start in _sending_lines(text)]


def _sending_lines(text: bytes) -> Iterator[int]:
    """Yield where each of these lines starts. Only lines with such a call are matched, each once: most lines have none."""
    for found in _SENDS.finditer(text):
        start = text.rfind(b"\n", 0, found.start()) + 1
        if _SENDS_ALONE.match(text, start):
            yield start


def _look(text: bytes) -> Look:
    defines_tasks = b"task" in text and _TASK.search(text) is not None
    sends = _SENDS.search(text) is not None
    discovers = b"autodiscover_tasks(" in text and _DISCOVERS.search(text) is not None
    if not (defines_tasks or sends):
        return Look(discovers=discovers)
    functions = _FUNCTION.findall(b"\n" + text) if defines_tasks else []
    return Look(
        defines_tasks=defines_tasks,
        sends=sends,
        sends_alone=any(True for _ in _sending_lines(text)),
        waits=defines_tasks and _waits(text),
        has_atomic=b"atomic" in text and _ATOMIC.search(text) is not None,
        discovers=discovers,
        given=tuple((one or other).decode(errors="replace") for one, other in _GIVEN.findall(text)),
        repeats=len(functions) > len(set(functions)),
    )


def _waits(text: bytes) -> bool:
    """Whether a file may wait for a result: most tasks that have a `.get(` ask a dictionary."""
    if _KEEPS_ANY.search(text) and not set(_WAITED_FOR.findall(text)).isdisjoint(_KEPT.findall(text)):
        return True
    return any(each in text for each in _AFTER_A_CALL) and _WAITS_AT_ONCE.search(text) is not None


def files() -> Iterator[File]:
    """Yield the files of the project's apps and of the package of the settings, those of tests left out."""
    return itertools.islice(_files(), MOST_FILES)


def shown(path: Path) -> str:
    """Return the path of a file for a message: relative to the working folder if the file is inside it."""
    near = os.path.relpath(path)
    return shown_path(path if near.startswith("..") else near)


def is_of_other_app(path: Path) -> bool:
    """Whether a file belongs to an app that is not installed: an optional one, below an app of the project."""
    installed = {each.path for each in apps.get_app_configs()}
    for folder in path.parents:
        if str(folder) in installed:
            return False
        if (folder / "apps.py").exists() or (folder / "models.py").exists():
            return True
    return False


def is_imported(file: File, imported: dict[str, list[str]]) -> bool:
    """Whether this process has imported a file, under its own name or another; `imported` is what `imported_paths` returns."""
    return file.module in sys.modules or str(file.path) in imported


def namespace(module: Any) -> dict[str, Any]:
    """Return what a module holds, {} if it is no module. None of its code is run: a lazy one stays unloaded."""
    return object.__getattribute__(module, "__dict__") if issubclass(type(module), ModuleType) else {}


def imported_paths() -> dict[str, list[str]]:
    """Return the modules of each file that is imported, by path. Two names of one module count once."""
    modules: dict[int, tuple[str, str]] = {}
    for name, module in list(sys.modules.items()):
        path = namespace(module).get("__file__")
        if isinstance(path, str) and path and name != "__main__":
            modules.setdefault(id(module), (path, name))
    found: dict[str, list[str]] = {}
    for path, name in modules.values():
        found.setdefault(path, []).append(name)
    return found


def _files() -> Iterator[File]:
    installed = {each.name for each in apps.get_app_configs()}
    own = [each for each in apps.get_app_configs() if each.name != "tasktools" and is_own(each)]
    roots = [(each.path, each.name) for each in own]
    package = conf.settings_package()
    roots += [(each, package) for each in getattr(sys.modules.get(package), "__path__", None) or ()]
    left = iter(range(MOST_ENTRIES))
    seen: set[str] = set()
    for root, name in roots:
        for folder, names in _walk(str(root), left):
            parts = [name, *filter(None, folder.removeprefix(str(root)).split(os.sep))]
            for file in sorted(names):
                path = os.path.join(folder, file)
                if file.endswith(".py") and not _NO_CODE.match(file) and path not in seen:
                    seen.add(path)
                    module = parts if file == "__init__.py" else [*parts, file.removesuffix(".py")]
                    yield File(".".join(module), Path(path), ".".join(parts) in installed)


def _walk(root: str, left: Iterator[int]) -> Iterator[tuple[str, list[str]]]:
    """Yield each folder that may hold code, with the names of its files, as long as entries are `left` to look at."""
    of_data = conf.folders_of_data()
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                listed = [(each.name, each.is_dir(), each.is_symlink()) for _, each in zip(left, entries, strict=False)]
        except OSError:
            continue
        names = [name for name, is_folder, _ in listed if not is_folder]
        if "pyvenv.cfg" not in names:
            yield folder, names
            folders = sorted((name for name, is_folder, is_link in listed if is_folder and not is_link), reverse=True)
            inner = [os.path.join(folder, name) for name in folders if _may_hold_code(name)]
            waiting += [each for each in inner if not (of_data and os.path.realpath(each) in of_data)]


def _may_hold_code(folder: str) -> bool:
    return folder.isidentifier() and folder not in _PASSED_BY
