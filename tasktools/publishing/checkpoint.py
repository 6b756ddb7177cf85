"""How far a run of many calls has come, so that the same command line can continue where it stopped.

On Redis and Valkey the mark is a hash `tasktools:run:NAME` in the broker, written in the transaction of each batch: what was
sent and what is marked cannot differ. For other brokers, it is a file, written before and after each batch: a batch
between the two writes is in doubt, and is sent again.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from tasktools.arguments.names import shown
from tasktools.brokers.transactions import Mark
from tasktools.exceptions import ArgumentError
from tasktools.publishing.batch import Publisher
from tasktools.publishing.checkpoint_file import CheckpointFile

KEY = "tasktools:run:{}"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a run has come."""

    #: The digest of its file, and the task that was named; "" if none was named.
    digest: str
    task: str = ""
    #: The last line that is done: sent, or bad and skipped.
    line: int = 0
    sent: int = 0
    bad: int = 0
    #: How long the files of --ids and --skip-bad were then, in bytes.
    ids_size: int = 0
    bad_size: int = 0
    #: Whether all lines are done.
    done: bool = False
    #: The last line of a batch that was begun; it is more than `line` if nobody knows whether that batch was sent.
    begun: int = 0

    def lines(self, name: str) -> list[str]:
        """Return the lines to print about the run `name` with this progress."""
        said = []
        if self.begun > self.line:
            lines = f"Lines {self.line + 1} to {self.begun}"
            said.append(f"{lines} are in doubt: they may have been sent, and are sent again.")
        if self.done:
            said.append(f'The run "{name}" is complete: {self.sent} sent. Nothing is left to send.')
        elif self.line:
            said.append(f'The run "{name}" goes on after line {self.line}.')
        return said


class Run:
    """A named run. `load` comes first."""

    def __init__(self, name: str, publisher: Publisher, folder: Path) -> None:
        """If the broker has no transactions, the mark is a file in `folder`.

        Raises ArgumentError for a name that a run cannot have.
        """
        if not name or not all(char.isalnum() or char in "-_." for char in name) or name.startswith("."):
            raise ArgumentError(
                f'"{shown(name)}" is no name for a run.', hint="use letters, digits, -, _ and . : --resume orders-2030"
            )
        self.name = name
        self.publisher = publisher
        self._file = CheckpointFile(folder, name)

    def close(self) -> None:
        """Let other processes use the run."""
        self._file.release()

    def load(self, digest: str, task: str) -> Progress:
        """Return the progress of the run; a new run is at the beginning.

        Raises ArgumentError when it was begun with another file or task, or when it is known that another process sends it.
        """
        try:
            return self._load(digest, task)
        except BaseException:
            self.close()
            raise

    def _load(self, digest: str, task: str) -> Progress:
        if not self.publisher.is_atomic:
            self._file.hold()
        found = self._read()
        if found is None:
            return Progress(digest=digest, task=task)
        other = "file" if found.digest != digest else "task" if found.task != task else ""
        if other:
            raise ArgumentError(
                f'The run "{self.name}" was begun with another {other}: {found.line} lines of that are done with.',
                hint=f"restore the {other}, or give the new run another name with --resume",
            )
        return found

    def before(self, progress: Progress, upto: int) -> None:
        """Note that a batch up to that line is about to be sent."""
        if not self.publisher.is_atomic:
            self._file.write(_as_texts(replace(progress, begun=upto)))

    def mark(self, before: Progress, after: Progress) -> Mark | None:
        """Return what goes into the transaction of the batch that brings the run from `before` to `after`."""
        if not self.publisher.is_atomic:
            return None
        expected = {"line": str(before.line) if before.begun else ""}
        return Mark(key=KEY.format(self.name), values=_as_texts(after), expected=expected)

    def after(self, progress: Progress) -> None:
        """Note that the batch has been sent."""
        if not self.publisher.is_atomic:
            self._file.write(_as_texts(progress))

    def finish(self, before: Progress, after: Progress) -> None:
        """Note that the run has come from `before` to `after` without a batch to send."""
        mark = self.mark(before, after)
        if mark:
            self.publisher.write(mark)
        else:
            self._file.write(_as_texts(after))

    def _read(self) -> Progress | None:
        if self.publisher.is_atomic:
            texts = self.publisher.read(KEY.format(self.name), "--resume keeps how far a run has come")
            return _from_texts(texts) if texts else None
        return self._file.read(_from_texts)


def _as_texts(progress: Progress) -> dict[str, str]:
    return {key: value if isinstance(value, str) else str(int(value)) for key, value in asdict(progress).items()}


def _from_texts(texts: dict[str, str]) -> Progress:
    kinds: dict[str, Any] = {"digest": str, "task": str, "done": lambda text: text == "1"}
    return Progress(**{each.name: kinds.get(each.name, int)(texts[each.name]) for each in fields(Progress)})
