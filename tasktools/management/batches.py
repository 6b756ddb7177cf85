"""The lines of a batch: what is written about them, and which of them count if only some of the calls were sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from kombu.exceptions import EncodeError

from tasktools.arguments.call import Call
from tasktools.exceptions import ProjectError, TasktoolsError
from tasktools.management.call_reader import Fed
from tasktools.publishing.append_file import Outputs
from tasktools.publishing.checkpoint import Progress
from tasktools.publishing.faults import unsent


class Lot:
    """Lines that are sent together, and the ids of their calls."""

    def __init__(self, lines: Sequence[Fed], ids: Sequence[str]) -> None:
        self.lines = lines
        self.ids = ids
        self.calls: list[Call] = [fed.call for fed in lines if fed.call is not None]
        #: What the file of --skip-bad says about the bad lines.
        self.bad = [fed.as_json() for fed in lines if fed.call is None]

    @property
    def upto(self) -> int:
        """The last of its lines."""
        return self.lines[-1].upto

    def first(self, calls: int) -> Lot:
        """Return the lines before the line of the first call that is not among the first `calls`; no lines for 0 calls."""
        good = [at for at, fed in enumerate(self.lines) if fed.call is not None]
        end = 0 if not calls else good[calls] if calls < len(good) else len(self.lines)
        return Lot(self.lines[:end], self.ids[:calls])

    def line_of(self, call: int) -> int:
        """Return the line number of a call; calls count from 0."""
        return [fed for fed in self.lines if fed.call is not None][call].number

    def sizes(self, before: tuple[int, int]) -> tuple[int, int]:
        """Return the sizes of the files of --ids and --skip-bad after these lines; `before` holds the sizes before them."""
        return before[0] + _size(self.ids), before[1] + _size(self.bad)

    def after(self, before: Progress, files: Outputs, sizes: tuple[int, int]) -> Progress:
        """Return the progress of a run when these lines are done; `sizes` are those of the files before them."""
        if not self.lines:
            return before
        ids_size, bad_size = self.sizes(sizes)
        return replace(
            before,
            line=self.upto,
            begun=self.upto,
            sent=before.sent + len(self.calls),
            bad=before.bad + len(self.bad),
            ids_size=ids_size if files.ids else before.ids_size,
            bad_size=bad_size if files.bad else before.bad_size,
        )


def _size(lines: Sequence[str]) -> int:
    return sum(len(line.encode("utf-8", "backslashreplace")) + 1 for line in lines)


def is_the_projects(error: BaseException) -> bool:
    """Whether it is the error of a call for which code of the project failed."""
    return isinstance(error, EncodeError) or type(error) in (ProjectError, TasktoolsError)


def unsent_line(error: BaseException, lot: Lot, call: int, progress: Progress, go_on: str) -> TasktoolsError:
    """Return that error with what the owner of a file needs: which line it is, what was sent, and how to go on."""
    known = error if isinstance(error, TasktoolsError) else unsent(lot.calls[call].task, error)
    sentence = f"{known.sentence} This is line {lot.line_of(call)}. Nothing after line {progress.line} was sent."
    return type(known)(sentence, hint=f"{known.hint}. {go_on}")


def batches(lines: Iterable[Fed | None], size: int, stops: Callable[[Fed], bool]) -> Iterator[list[Fed]]:
    """Yield batches of `size` lines; fewer if no line has come for a while, or at a bad line that stops the run."""
    batch: list[Fed] = []
    for fed in lines:
        if fed is not None:
            batch.append(fed)
        if batch and (fed is None or len(batch) >= size or (fed.call is None and stops(fed))):
            yield batch
            batch = []
    if batch:
        yield batch
