"""A file, or stdin, as numbered lines: plain or gzip, of any size, one line at a time in memory."""

from __future__ import annotations

import gzip
import hashlib
import os
import select
import stat
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from tasktools.arguments.names import shown_path
from tasktools.exceptions import ArgumentError

#: Longest line that is read, in bytes: nobody needs a message of that size.
LONGEST_LINE = 16 << 20

#: How long a pipe may be silent before the lines so far are sent, in seconds.
PATIENCE = 1.0

_CHUNK = 1 << 20


class Line(NamedTuple):
    """A line of the input."""

    #: From 1.
    number: int
    #: Without its end; None for one that is too long.
    data: bytes | None
    #: Its end: a cell of CSV may continue after it.
    end: bytes = b"\n"


class Summary(NamedTuple):
    """What is known of a regular file before it is read."""

    lines: int
    #: BLAKE2b of its bytes, as hexadecimal digits.
    digest: str


class Source:
    """The input that --from names: a path, or "-" for stdin."""

    def __init__(self, name: str) -> None:
        """Open it.

        Raises ArgumentError if it cannot be read.
        """
        self.name = "stdin" if name == "-" else name
        if name == "-":
            if sys.stdin is None:
                raise ArgumentError("--from - reads stdin, which is closed.", hint="pipe into it, or name a file")
            self._file: BinaryIO = sys.stdin.buffer
            if self._file.isatty():
                raise ArgumentError("--from - reads stdin, which is a terminal.", hint="pipe into it, or name a file")
        else:
            self._file = _opened(name)
        #: Whether it is gone when it has been read; stdin may be a file, too.
        self.is_pipe = not stat.S_ISREG(self.status.st_mode)
        self.is_regular = name != "-" and not self.is_pipe

    def summary(self) -> Summary | None:
        """Return the number of lines and the digest of a regular file; None for a pipe, whose end is not known."""
        if not self.is_regular:
            return None
        digest, lines, last = hashlib.blake2b(digest_size=16), 0, b"\n"
        content = self._content()
        try:
            while chunk := content.read(_CHUNK):
                digest.update(chunk)
                lines += chunk.count(b"\n")
                last = chunk[-1:]
        except _BROKEN:
            pass  # this is reported when the lines are read
        self._file.seek(0)
        return Summary(lines + (last != b"\n"), digest.hexdigest())

    def lines(self) -> Iterator[Line | None]:
        """Yield the lines; None whenever a pipe has been silent for PATIENCE seconds.

        Raises ArgumentError when a compressed file is broken.
        """
        number = 0
        try:
            for data in _split(self._chunks()):
                if data is None:
                    yield None
                    continue
                number += 1
                yield line_of(number, data)
        except _BROKEN as error:
            raise ArgumentError(
                f'"{shown_path(self.name)}" cannot be read after line {number}: {error}.', hint="make it again"
            ) from error

    @property
    def status(self) -> os.stat_result:
        """The status of the file, from the system."""
        return os.fstat(self._file.fileno())

    def close(self) -> None:
        if self._file is not sys.stdin.buffer:
            self._file.close()

    def _content(self) -> BinaryIO:
        if self.name.endswith(".gz"):
            return gzip.GzipFile(fileobj=self._file)  # type: ignore[return-value]
        return self._file

    def _chunks(self) -> Iterator[bytes | None]:
        if self.is_regular or self.name.endswith(".gz"):
            content = self._content()
            while chunk := content.read(_CHUNK // 16):
                yield chunk
            return
        descriptor = self._file.fileno()
        while True:
            if not select.select([descriptor], [], [], PATIENCE)[0]:
                yield None
                continue
            chunk = os.read(descriptor, _CHUNK // 16)
            if not chunk:
                return
            yield chunk


def line_of(number: int, data: bytes) -> Line:
    """Return the line of this number; `data` is without its newline."""
    end = b"\n"
    if data.endswith(b"\r"):
        data, end = data[:-1], b"\r\n"
    return Line(number, data if len(data) <= LONGEST_LINE else None, end)


_BROKEN = (EOFError, zlib.error, OSError)


def _opened(name: str) -> BinaryIO:
    try:
        if Path(name).is_dir():
            raise ArgumentError(f'"{shown_path(name)}" is a directory.', hint="name a file of lines")
        return open(name, "rb")
    except OSError as error:
        raise ArgumentError(
            f'"{shown_path(name)}" cannot be read: {error.strerror}.',
            hint="name a file that you may read, or - for stdin",
        ) from error
    except ValueError as error:
        raise ArgumentError(f'"{shown_path(name)}" is no path: {error}.', hint="name a file") from error


def _split(chunks: Iterator[bytes | None]) -> Iterator[bytes | None]:
    """Yield the lines of chunks without their newlines. Of a line that is too long, keep only enough to show that it is."""
    rest = b""
    for chunk in chunks:
        if chunk is None:
            yield None
            continue
        first, *more = chunk.split(b"\n")
        if len(rest) <= LONGEST_LINE:
            rest += first
        if more:
            yield rest
            yield from more[:-1]
            rest = more[-1]
    if rest:
        yield rest
