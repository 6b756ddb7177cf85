"""Whether a path is in the installed packages or in the project."""

from __future__ import annotations

import functools
import os
import site
import sysconfig
from pathlib import Path


def is_installed(path: Path) -> bool:
    """Whether `path` is, or is inside, a folder of installed packages or of the standard library."""
    return _is_inside(str(path)) or _is_inside(os.path.realpath(path))


def _is_inside(path: str) -> bool:
    return os.path.join(path, "").startswith(_places())


@functools.cache
def _places() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    named = [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    found = [Path(each) for each in (*named, *site.getsitepackages(), site.getusersitepackages())]
    return tuple({os.path.join(each, "") for each in (*found, *(each.resolve() for each in found))})
