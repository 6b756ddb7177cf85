"""The files that a run writes: each is locked while it is open. No file is emptied before all have been opened."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Mapping, Sequence

from tasktools.arguments.names import shown_path
from tasktools.exceptions import ArgumentError, OutputError


def refuse_writing(path: object, error: OSError) -> OutputError:
    """Return the error for a file that could not be written."""
    hint = "make room for it" if error.errno in _FULL else "see who may write there"
    return OutputError(f'"{shown_path(path)}" cannot be written: {error.strerror or error}.', hint=hint)


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def lock(handle: int) -> bool:
    """Lock an open file for this process until it is closed; return False if the file system has no locks.

    Raises BlockingIOError when another process holds the lock.
    """
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return False
    return True


class Output:
    """A file to which a run appends. It can be cut back to the size that the run's mark holds."""

    def __init__(self, option: str, path: str) -> None:
        """Open and lock it; its content stays until `begin`.

        Raises ArgumentError when it is not a regular file, cannot be written, or another process writes it.
        """
        self.option = option
        self.path = path
        self.size = 0
        self._kept = False
        if path == "-":
            raise ArgumentError(
                f'{option} takes a file, and "-" is none.', hint="name a file, or ./- for one of that name"
            )
        try:
            self._made = not os.path.exists(path)
            if not self._made:
                _require_regular(option, path, os.stat(path))
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ArgumentError(
                f'"{shown_path(path)}" cannot be written: {reason}.', hint="name another file"
            ) from error
        try:
            self._locked = lock(self._handle)
        except BlockingIOError:
            os.close(self._handle)
            raise ArgumentError(
                f'{option} "{shown_path(path)}" is written by another process at this time.',
                hint="wait for that one, or name another file",
            ) from None

    @property
    def identity(self) -> tuple[int, int]:
        """The identity of the file: the same for all its names."""
        return identity(os.fstat(self._handle))

    def begin(self, size: int | None) -> None:
        """Cut it to `size` bytes, and continue there: None empties it, -1 keeps everything."""
        there = os.fstat(self._handle).st_size
        # Somebody may have removed what a run had written.
        self.size = there if size == -1 else min(size or 0, there)
        self._kept = True
        os.ftruncate(self._handle, self.size)

    def add(self, lines: Sequence[str]) -> None:
        """Append all lines or none. The kernel has them before this returns.

        Raises OutputError.
        """
        data = "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace")
        left = memoryview(data)
        try:
            while left:
                left = left[os.pwrite(self._handle, left, self.size + len(data) - len(left)) :]
        except OSError as error:
            self._cut(self.size)
            raise refuse_writing(self.path, error) from error
        self.size += len(data)

    def cut(self, size: int) -> None:
        """Remove what follows after `size` bytes: it was not sent. Without a lock, another process may have written it."""
        if self._locked:
            self._cut(size)
            self.size = size

    def close(self) -> None:
        """Close it; remove a new file if `begin` was never called."""
        with contextlib.suppress(OSError):
            if self._made and not self._kept:
                os.unlink(os.path.realpath(self.path))
        with contextlib.suppress(OSError):
            os.close(self._handle)

    def _cut(self, size: int) -> None:
        with contextlib.suppress(OSError):
            os.ftruncate(self._handle, size)


class Outputs:
    """The files of --ids and --skip-bad. Use it as a context manager."""

    def __init__(self, ids: str | None, bad: str | None, *, taken: Mapping[tuple[int, int], str]) -> None:
        """Open the files that are named. `taken` maps files that must not be written to what each is.

        Raises ArgumentError; then nothing has changed.
        """
        self.ids: Output | None = None
        self.bad: Output | None = None
        with contextlib.ExitStack() as stack:
            stack.callback(self.close)
            for name, option, path in (("ids", "--ids", ids), ("bad", "--skip-bad", bad)):
                if path is None:
                    continue
                _require_free(option, path, taken)
                output = Output(option, path)
                setattr(self, name, output)
                taken = {**taken, output.identity: f"the file of {option}"}
            stack.pop_all()

    def __enter__(self) -> Outputs:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def begin(self, ids: int | None, bad: int | None) -> None:
        """Cut both to these sizes, as Output.begin does."""
        for output, size in ((self.ids, ids), (self.bad, bad)):
            if output:
                output.begin(size)

    @property
    def sizes(self) -> tuple[int, int]:
        return self.ids.size if self.ids else 0, self.bad.size if self.bad else 0

    def add(self, ids: Sequence[str], bad: Sequence[str]) -> None:
        """Append to both, or to none. Raises OutputError."""
        sizes = self.sizes
        try:
            for output, lines in ((self.ids, ids), (self.bad, bad)):
                if output:
                    output.add(lines)
        except OutputError:
            self.cut(*sizes)
            raise

    def cut(self, ids: int, bad: int) -> None:
        """Remove what was added since they had these sizes."""
        for output, size in ((self.ids, ids), (self.bad, bad)):
            if output:
                output.cut(size)

    def close(self) -> None:
        for output in (self.ids, self.bad):
            if output:
                output.close()


def identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _require_free(option: str, path: str, taken: Mapping[tuple[int, int], str]) -> None:
    what = None
    with contextlib.suppress(OSError, ValueError):
        what = taken.get(identity(os.stat(path)))
    if what:
        raise ArgumentError(f'{option} "{shown_path(path)}" is {what}.', hint="name another file")


def _require_regular(option: str, path: str, status: os.stat_result) -> None:
    if stat.S_ISREG(status.st_mode):
        return
    if stat.S_ISDIR(status.st_mode):
        raise ArgumentError(f'{option} "{shown_path(path)}" is a directory.', hint="name a file")
    raise ArgumentError(
        f'{option} "{shown_path(path)}" is no regular file, and could not be cut back to what was sent.',
        hint="name a file",
    )
