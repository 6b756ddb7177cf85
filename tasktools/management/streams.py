"""stdout and stderr of a command: what cannot be written to stdout is an error, and stderr is no reason to stop."""

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
    """Whoever read stdout has seen enough."""


class StdoutError(OutputError):
    """stdout could not be written."""


#: What Python's streams do by themselves with characters that they cannot write; another one has been asked for.
_UNFIT = ("strict", "surrogateescape", "backslashreplace")
_ESCAPED = "tasktools.escaped"


def _escape(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


codecs.register_error(_ESCAPED, _escape)


class StreamCommand(BaseCommand):
    """A command whose streams are guarded when it is run by manage.py."""

    #: What has been done and stays so, as a sentence: it is said when the output is lost. "" for nothing.
    done = ""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Return Django's parser, whose help goes where all data goes: argparse says nothing when it cannot write."""
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
        """Print what `manage.py help NAME` shows: nothing else calls it."""
        self._called_from_command_line = True
        with self.guarded([prog_name, subcommand]):
            super().print_help(prog_name, subcommand)

    @contextlib.contextmanager
    def guarded(self, argv: list[str]) -> Iterator[None]:
        """Have what is printed inside the block be written, or the command end with what prevents it."""
        self.stdout = OutputWrapper(_Data(sys.stdout))  # type: ignore[arg-type]
        self.stderr = OutputWrapper(_Notes(sys.stderr))  # type: ignore[arg-type]
        self.stderr.style_func = self.style.ERROR
        open_closed()
        try:
            yield
        except ReaderGone:  # of the help; the others are handled where a command runs
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
        """Write what waits in stdout; of a command that has failed its own exit code counts."""
        try:
            self.stdout.flush()
        except ReaderGone:
            pass
        except StdoutError as error:
            if not failed:
                self.lost(error, argv)
            elif "--json" not in argv:  # whose stderr has its one object already
                self.note(error.sentence)


def open_closed() -> None:
    """Lead stdout and stderr to nowhere where they were closed when Python began: libraries write to them, and ask what they are.

    Their descriptors are taken too: a socket that got one would be stdout of a program that this process becomes.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest that is free: this one
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            nowhere = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - as long as the process
            setattr(sys, name, nowhere)
            setattr(sys, f"__{name}__", nowhere)


def flush() -> None:
    """Write what waits in stdout and stderr, before this process splits in two or becomes another program."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # full, gone or closed: no reason to stop
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
        """Return `text` with what the stream's encoding cannot write as escapes, unless the stream is to replace that.

        The escapes are JSON's own, and only the strings of JSON hold such characters: it stays valid, with the same value.
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
        """Have what waits in the stream go nowhere: Python would complain when it flushes at exit."""
        with contextlib.suppress(OSError, ValueError, AttributeError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)

    def fail(self, error: OSError) -> None:
        """Act on what prevents writing."""


class _Data(_Stream):
    def fail(self, error: OSError) -> None:
        if isinstance(error, BrokenPipeError):
            raise ReaderGone(*error.args) from error
        raise StdoutError(
            f"stdout cannot be written: {error.strerror or error}.", hint="make room, or send it somewhere else"
        ) from error


class _Notes(_Stream):
    """stderr: whoever read it may have gone, which is no reason to stop."""
