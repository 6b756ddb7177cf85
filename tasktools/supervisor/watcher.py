"""Which files count, and which of them have changed."""

from __future__ import annotations

import contextlib
import os
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from importlib.util import cache_from_source

#: Folders that are never searched, wherever they are.
IGNORED = frozenset(
    {"node_modules", "__pycache__", "venv", "site-packages", ".git", ".hg", ".svn", ".tox", ".tasktools"}
)

#: Seconds between two looks if watchfiles is not installed.
POLL_PERIOD = 0.5
#: How long to wait for the end of a burst of changes, and how often watchfiles looks for changes, in milliseconds.
DEBOUNCE = 50
STEP = 25


class Files:
    """The files under some roots that count, and their content at the last look. Threads may share this object."""

    def __init__(self, roots: Iterable[str], ignore: Iterable[str] = (), include: Iterable[str] = ()) -> None:
        self.roots = _outermost(map(os.path.realpath, roots))
        self.ignore = {os.path.realpath(path) for path in ignore}
        self.patterns = ("*.py", ".env", *include)
        self._known: dict[str, tuple[_Stamp, int]] = {}
        #: Held while files are compared, so that results are reported in the same order.
        self.lock = threading.RLock()

    def read(self, since: float | None = None) -> list[str]:
        """Remember the present content of the files; return those that were written after `since` (time.time()).

        A time in the future says nothing: another machine has written it, or an archive.
        """
        with self.lock:
            self._known = {path: (stamp_of(path), digest(path)) for path in self.paths()}
            now = time.time()
            return sorted(
                p for p, (stamp, _) in self._known.items() if since and stamp and since < stamp[0] / 1e9 <= now
            )

    def changed(self, paths: Iterable[str]) -> list[str]:
        """Return those of `paths` that count and whose content has changed, and remember the new content."""
        with self.lock:
            return [path for path in sorted(set(paths)) if self.counts(path) and self._differs(path)]

    def touched(self) -> list[str]:
        """Return the files whose time stamp or size has changed, those that have gone, and new ones."""
        now = {path: stamp_of(path) for path in self.paths()}
        with self.lock:
            before = {path: stamp for path, (stamp, _) in self._known.items()}
        return [path for path in {**before, **now} if before.get(path) != now.get(path)]

    def folders(self) -> list[str]:
        """Return every folder that is watched."""
        return [folder for root in self.roots for folder, _ in self._walk(root)]

    def paths(self) -> Iterator[str]:
        """Yield every file that counts."""
        for root in self.roots:
            for _, files in self._walk(root):
                yield from files

    def counts(self, path: str) -> bool:
        """Whether a change of the file `path` is a reason to reload."""
        root = next((each for each in self.roots if path.startswith(each + os.sep)), None)
        if root is None or any(path == each or path.startswith(each + os.sep) for each in self.ignore):
            return False
        inner = path[len(root) + 1 :].split(os.sep)
        return not any(part in IGNORED for part in inner[:-1]) and self._matches(inner[-1], os.sep.join(inner))

    def _matches(self, name: str, inner: str) -> bool:
        return any(fnmatchcase(name, pattern) or fnmatchcase(inner, pattern) for pattern in self.patterns)

    def _differs(self, path: str) -> bool:
        stamp, content = stamp_of(path), digest(path)
        before = self._known.pop(path, None)
        if stamp:
            self._known[path] = stamp, content
        return (before and before[1]) != (content if stamp else None)

    def _walk(self, root: str) -> Iterator[tuple[str, list[str]]]:
        open_folders = [root]
        while open_folders:
            folder = open_folders.pop()
            try:
                entries = list(os.scandir(folder))
            except OSError:
                continue
            if any(entry.name == "pyvenv.cfg" for entry in entries):
                continue  # a virtual environment, whatever its name
            yield folder, [entry.path for entry in entries if self.counts(entry.path) and entry.is_file()]
            open_folders += [entry.path for entry in entries if self._is_open(entry)]

    def _is_open(self, entry: os.DirEntry[str]) -> bool:
        return entry.name not in IGNORED and entry.path not in self.ignore and entry.is_dir(follow_symlinks=False)


#: The time of the last change in nanoseconds and the size in bytes; None for a file that does not exist.
_Stamp = tuple[int, int] | None


def stamp_of(path: str) -> _Stamp:
    """Return values that change with the content of a file; None for a file that does not exist."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def digest(path: str) -> int:
    """Return a hash of 64 bits of a file's content, valid in this process; 0 if the file cannot be read.

    It uses Python's own hash (SipHash): hashlib would load OpenSSL, which takes four megabytes.
    """
    try:
        with open(path, "rb") as file:
            return hash(file.read())
    except OSError:
        return 0


def forget_compiled(path: str) -> None:
    """Remove the compiled code of a file: Python compares only seconds and size, and misses a change within a second."""
    if not path.endswith(".py"):
        return
    for optimization in ("", "1", "2"):
        with contextlib.suppress(OSError, NotImplementedError):
            os.unlink(cache_from_source(path, optimization=optimization))


def watch(
    files: Files, since: float | None, report: Callable[[list[str]], None], say: Callable[[str], None]
) -> threading.Thread:
    """Start a thread that calls `report` with the files whose content has changed, one burst at a time, and never ends.

    With `since` (as time.time()), files that were written after it count as changed at the start.
    """

    def run() -> None:
        with files.lock:
            report(files.read(since))
        for paths in bursts(files, say):
            with files.lock:
                report(files.changed(paths))

    thread = threading.Thread(target=run, daemon=True, name="watcher")
    thread.start()
    return thread


def bursts(files: Files, say: Callable[[str], None]) -> Iterator[Iterable[str]]:
    """Yield the paths of files that may have changed, as watchfiles reports them; without watchfiles, poll the files."""
    import importlib.util

    if importlib.util.find_spec("watchfiles"):
        try:
            yield from notified(files)
        except (OSError, RuntimeError) as error:  # for example, the system has no watches left
            say(f"watchfiles cannot watch ({error}): looking at the files every {POLL_PERIOD:g} s")
    yield from polled(files)


def notified(files: Files) -> Iterator[Iterable[str]]:
    """Yield paths that the operating system reports (inotify, FSEvents). This costs little while nothing changes."""
    import watchfiles

    while True:
        folders = files.folders()
        known = {folder: _identity(folder) for folder in folders}
        looked = False
        for changes in watchfiles.watch(
            *folders,
            recursive=False,
            debounce=DEBOUNCE,
            step=STEP,
            rust_timeout=1000,
            yield_on_timeout=True,
            watch_filter=None,
            raise_interrupt=False,
            ignore_permission_denied=True,
        ):
            paths = [path for _, path in changes]
            if not looked:
                looked = True
                paths += files.touched()  # changed before the watch began
            yield paths
            if any(_identity(folder) != known.get(folder) for folder in {*paths, *map(os.path.dirname, paths)}):
                break  # a folder was added, removed or replaced


def _identity(path: str) -> tuple[int, int] | None:
    """Return what distinguishes a folder from another one of the same name; None if it is not a folder."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISDIR(found.st_mode) else None


def polled(files: Files, sleep: Callable[[float], None] = time.sleep) -> Iterator[Iterable[str]]:
    """Yield paths whose time or size has changed. Looking takes at most a twentieth of the time."""
    took = 0.0
    while True:
        sleep(max(POLL_PERIOD, 20 * took))
        began = time.monotonic()
        touched = files.touched()
        took = time.monotonic() - began
        yield touched


def _outermost(roots: Iterable[str]) -> list[str]:
    """Drop roots that are inside another root."""
    kept: list[str] = []
    for root in sorted(set(roots)):
        if not any(root == each or root.startswith(each + os.sep) for each in kept):
            kept.append(root)
    return kept
