"""A digest by which two processes of one project are told apart: of the code that each has loaded."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Iterable
from pathlib import Path


def code_digest(root: Path) -> str:
    """Return a digest of the modules below `root` that this process has loaded, those of installed packages excepted."""
    inside = f"{root.resolve()}{os.sep}"
    files = {os.path.realpath(file) for each in list(sys.modules.values()) if (file := getattr(each, "__file__", None))}
    own = sorted(file for file in files if file.startswith(inside) and f"{os.sep}site-packages{os.sep}" not in file)
    parts = []
    for file in own:
        with contextlib.suppress(OSError):
            parts.append(os.fsencode(file[len(inside) :]) + Path(file).read_bytes())
    return digest(parts)


def digest(parts: Iterable[bytes]) -> str:
    """Return a short digest of several parts."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(hashlib.sha256(part).digest())
    return whole.hexdigest()[:12]
