"""A file or folder of the project that hides a library: Python finds a `celery.py` next to manage.py before Celery itself."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from importlib.machinery import PathFinder
from pathlib import Path

from tasktools.environment.installed import is_installed
from tasktools.exceptions import ProjectError

#: The top-level modules that tasktools needs, and the modules that they import.
LIBRARIES = (
    *("celery", "kombu", "amqp", "billiard", "vine", "click", "click_didyoumean", "click_plugins", "click_repl"),
    *("redis", "dateutil", "tzlocal", "tzdata", "rich", "django_extensions"),
)


def explained(error: BaseException) -> ProjectError | None:
    """Return the error that names the file which hides a library; None if no library is hidden.

    `error` comes from the import of a library, or of a name in it. The library that it names is checked first.
    """
    named = str(getattr(error, "name", None) or "").partition(".")[0]
    for name in dict.fromkeys([named, *LIBRARIES]):
        hiding = _hiding(name) if name else None
        if hiding:
            return ProjectError(
                f'"{hiding}" hides the library {name}: Python imports it in its place.', hint=_hint(name)
            )
    return None


def _hint(name: str) -> str:
    move = "give it another name, or move it into a package of the project"
    return f"{move} (proj/celery.py)" if name == "celery" else move


def _hiding(name: str) -> Path | None:
    """Return the path of the first of several modules of that name; None if the first is a library itself.

    A library may be on the path twice: by a link, or because it is installed both for the user (or here) and in the system.
    """
    places = list(_places(name, sys.path))
    differ = len({place.resolve() for place in places}) > 1
    return places[0] if differ and not _is_library(places[0]) else None


def _is_library(place: Path) -> bool:
    """Whether pip has installed it there, including `pip install --target`, which leaves a *.dist-info folder next to it."""
    return is_installed(place) or any(place.parent.glob("*.dist-info"))


def _places(name: str, path: Iterable[str]) -> Iterator[Path]:
    """Yield the files and packages that Python could import as `name`. A folder without __init__.py does not hide anything."""
    for entry in dict.fromkeys(path):
        spec = PathFinder.find_spec(name, [entry or "."])
        if spec is not None and spec.origin is not None:
            file = Path(spec.origin).absolute()
            yield file.parent if file.name == "__init__.py" else file
