"""How much memory processes have."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path


def resident(processes: Iterable[int]) -> int | None:
    """Return the resident memory of these processes in bytes, with what they share for each; None if the system does not say."""
    sizes = []
    for process in processes:
        with contextlib.suppress(OSError, ValueError, IndexError):
            pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
            sizes.append(pages * os.sysconf("SC_PAGE_SIZE"))
    return sum(sizes) if sizes else None
