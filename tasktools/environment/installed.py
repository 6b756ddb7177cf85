"""Whether a path lies among the installed packages, or in the project."""

from __future__ import annotations

import functools
import site
import sysconfig
from pathlib import Path


def is_installed(path: Path) -> bool:
    """Whether `path` is, or lies in, a folder into which packages are installed, or that of the standard library."""
    return any(each.is_relative_to(place) for each in (path, path.resolve()) for place in _places())


@functools.cache
def _places() -> tuple[Path, ...]:
    paths = sysconfig.get_paths()
    named = [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    found = [Path(each) for each in (*named, *site.getsitepackages(), site.getusersitepackages())]
    return tuple({*found, *(each.resolve() for each in found)})
