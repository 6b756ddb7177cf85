"""The mark of a run as a file, for brokers without transactions. One process at a time holds it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from tasktools.exceptions import ArgumentError
from tasktools.publishing import append_file
from tasktools.valkey.folders import make_folder

T = TypeVar("T")


class CheckpointFile:
    """The file of the run `name` in `folder`: an object of JSON whose values are text."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.path = folder / f"{name}.json"
        self._lock: int | None = None

    def hold(self) -> None:
        """Lock the run against other processes: a mark in a file cannot show that another process has changed it.

        Raises ArgumentError when another process has it; OutputError when no file can be made in the folder.
        """
        path = self.path.with_suffix(".lock")
        try:
            make_folder(self.path.parent.parent)
            make_folder(self.path.parent)
            self._lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            append_file.lock(self._lock)
        except BlockingIOError:
            self.release()
            hint = "wait for that one, or give the run another name"
            raise ArgumentError(f'Another process sends the run "{self.name}" at this time.', hint=hint) from None
        except OSError as error:
            raise append_file.refuse_writing(path, error) from error

    def release(self) -> None:
        """Let other processes use the run."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def read(self, parse: Callable[[dict[str, str]], T]) -> T | None:
        """Return what `parse` makes of the mark; None if there is no mark.

        Raises ArgumentError when the file cannot be read or parsed.
        """
        try:
            return parse(json.loads(self.path.read_text()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ArgumentError(f'The mark of the run, "{self.path}", cannot be read: {error}.') from error

    def write(self, texts: Mapping[str, str]) -> None:
        """Replace the mark: after a crash, the file holds the old mark or the new one. Raises OutputError."""
        new = self.path.with_suffix(".new")
        try:
            with new.open("w") as file:
                json.dump(texts, file)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self.path)
        except OSError as error:
            raise append_file.refuse_writing(self.path, error) from error
