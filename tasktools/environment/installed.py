"""Whether a path is in the installed packages or in the project."""

from __future__ import annotations

import functools
import site
import sysconfig
from pathlib import Path


def is_installed(path: Path) -> bool:
    """Whether `path` is, or is inside, a folder of installed packages or of the standard library."""
    return any(each.is_relative_to(place) for each in (path, path.resolve()) for place in _places())


@functools.cache
def _places() -> tuple[Path, ...]:
    paths = sysconfig.get_paths()
    named = [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    found = [Path(each) for each in (*named, *site.getsitepackages(), site.getusersitepackages())]
    return tuple({*found, *(each.resolve() for each in found)})
