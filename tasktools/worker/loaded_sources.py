"""The project's own modules that a process has loaded, and whether their files have changed since."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tasktools.supervisor.watcher import stamp_of

#: The time stamp and size of a file that does not exist.
_GONE = (0, 0)


class Sources:
    """The project's own modules that this process has loaded, and the time stamps and sizes that their files had."""

    def __init__(self, roots: Sequence[Path], ignored: Sequence[Path] = (), *, since: float) -> None:
        """If a file was written after `since`, as time.time(), it is not known which content was loaded."""
        self.roots = tuple(f"{root.resolve()}{os.sep}" for root in roots)
        self.ignored = tuple(f"{path.resolve()}{os.sep}" for path in ignored)
        self._stamps: dict[str, tuple[int, int] | None] = {}
        self._modules = 0
        self._since = since
        self._add_new()

    def changed(self) -> list[str]:
        """Return the files that have changed, or may have changed, since they were loaded."""
        if len(sys.modules) != self._modules:
            self._add_new()
        return [path for path, stamp in self._stamps.items() if stamp is None or stamp != (stamp_of(path) or _GONE)]

    def renew(self) -> None:
        """Remember the present time stamps: the supervisor has found that the content is unchanged."""
        self._stamps = {path: stamp_of(path) or _GONE for path in self._stamps}

    def _counts(self, path: str) -> bool:
        inside = path.startswith(self.roots) and not path.startswith(self.ignored)
        return inside and f"{os.sep}site-packages{os.sep}" not in path

    def _add_new(self) -> None:
        self._modules = len(sys.modules)
        for module in list(sys.modules.values()):
            file = getattr(module, "__file__", None)
            path = os.path.realpath(file) if isinstance(file, str) else ""
            if self._counts(path) and path not in self._stamps:
                stamp = stamp_of(path)
                self._stamps[path] = stamp if stamp and stamp[0] <= self._since * 1e9 else None
