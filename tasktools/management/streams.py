"""stdout and stderr of a command: a failed write to stdout is an error; a failed write to stderr does not stop the command."""

from __future__ import annotations

import codecs
import contextlib
import errno
import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandParser, OutputWrapper

from tasktools.exceptions import OutputError


class ReaderGone(BrokenPipeError):
    """The reader of stdout has closed its end of the pipe."""


class StdoutError(OutputError):
    """stdout could not be written."""


#: Python's default error handlers for characters that a stream cannot write. If it has another one, somebody has chosen that.
_UNFIT = ("strict", "surrogateescape", "backslashreplace")
_ESCAPED = "tasktools.escaped"


def _escape(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


codecs.register_error(_ESCAPED, _escape)


class StreamCommand(BaseCommand):
    """A command whose streams are guarded when it is run by manage.py."""

    #: What has been done and cannot be undone, as a sentence. It is printed if the output is lost. "" for nothing.
    done = ""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Return Django's parser. Its help goes to the same stream as data: argparse does not report a failed write."""
        parser = super().create_parser(prog_name, subcommand, **kwargs)

        def print_help(file: Any = None) -> None:
            if file is None:
                self.stdout.write(parser.format_help(), ending="")
            else:
                file.write(parser.format_help())

        parser.print_help = print_help  # type: ignore[method-assign]
        return parser

    def run_from_argv(self, argv: list[str]) -> None:
        with self.guarded(argv):
            super().run_from_argv(argv)

    def print_help(self, prog_name: str, subcommand: str) -> None:
        """Print what `manage.py help NAME` shows. Nothing else calls this."""
        self._called_from_command_line = True
        with self.guarded([prog_name, subcommand]):
            super().print_help(prog_name, subcommand)

    @contextlib.contextmanager
    def guarded(self, argv: list[str]) -> Iterator[None]:
        """Make sure that everything printed inside the block is written; if not, the command ends with that error."""
        self.stdout = OutputWrapper(_Data(sys.stdout))  # type: ignore[arg-type]
        self.stderr = OutputWrapper(_Notes(sys.stderr))  # type: ignore[arg-type]
        self.stderr.style_func = self.style.ERROR
        open_closed()
        try:
            yield
        except ReaderGone:  # from the help; others are handled where a command runs
            sys.exit(0)
        except StdoutError as error:
            self.lost(error, argv)
        except SystemExit as ended:
            self._flush(argv, failed=ended.code not in (None, 0))
            raise
        self._flush(argv, failed=False)

    def lost(self, error: StdoutError, argv: list[str]) -> None:
        """End with the error of an output that is lost."""
        raise NotImplementedError

    def note(self, *lines: str, style: Callable[[str], str] = str) -> None:
        """Write lines for a person, on stderr."""
        raise NotImplementedError

    def _flush(self, argv: list[str], *, failed: bool) -> None:
        """Write the buffered output of stdout. A command that has failed keeps its own exit code."""
        try:
            self.stdout.flush()
        except ReaderGone:
            pass
        except StdoutError as error:
            if not failed:
                self.lost(error, argv)
            elif "--json" not in argv:  # with --json, stderr already holds its one object
                self.note(error.sentence)


def open_closed() -> None:
    """Open stdout and stderr on /dev/null if they were closed when Python began: libraries write to them and examine them.

    Their descriptors are opened too. Otherwise a socket could get one, and be stdout of a program that this process becomes.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # this is the lowest free descriptor
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            nowhere = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - as long as the process
            setattr(sys, name, nowhere)
            setattr(sys, f"__{name}__", nowhere)


def flush() -> None:
    """Write the buffered output of stdout and stderr, before this process forks or becomes another program."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # full, gone or closed: this is not a reason to stop
            if stream is not None:
                stream.flush()


class _Stream:
    """A text stream; None for one that was closed when Python began."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def isatty(self) -> bool:
        return self._stream is not None and bool(self._stream.isatty())

    def write(self, text: str) -> int:
        return self._guarded("write", self._writable(text)) or 0

    def _writable(self, text: str) -> str:
        """Return `text` with escapes for what the stream's encoding cannot write, unless the stream replaces that itself.

        They are JSON's own escapes, and in JSON only strings hold such characters: JSON stays valid and keeps its value.
        """
        encoding = getattr(self._stream, "encoding", None)
        if text.isascii() or not encoding or getattr(self._stream, "errors", None) not in _UNFIT:
            return text
        return text.encode(encoding, _ESCAPED).decode(encoding)

    def flush(self) -> None:
        self._guarded("flush")

    def _guarded(self, method: str, *args: Any) -> Any:
        try:
            if self._stream is not None:
                return getattr(self._stream, method)(*args)
            if args:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        except OSError as error:
            self._discard()
            self.fail(error)
        return None

    def _discard(self) -> None:
        """Discard the buffered output of the stream: Python would report an error when it flushes at exit."""
        with contextlib.suppress(OSError, ValueError, AttributeError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)

    def fail(self, error: OSError) -> None:
        """Handle an error that prevents writing."""


class _Data(_Stream):
    def fail(self, error: OSError) -> None:
        if isinstance(error, BrokenPipeError):
            raise ReaderGone(*error.args) from error
        raise StdoutError(
            f"stdout cannot be written: {error.strerror or error}.", hint="make room, or send it somewhere else"
        ) from error


class _Notes(_Stream):
    """stderr: its reader may have gone, which is not a reason to stop."""
