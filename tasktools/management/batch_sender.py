"""Send one batch after the other, and make progress, files and mark match what was sent."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from tasktools.exceptions import InDoubt, OutputError, Unreachable
from tasktools.management.batches import Lot, is_the_projects, unsent_line
from tasktools.management.bulk_report import doubt_text, start_at
from tasktools.management.call_reader import Fed
from tasktools.publishing.append_file import Outputs
from tasktools.publishing.batch import Publisher
from tasktools.publishing.checkpoint import Progress, Run
from tasktools.publishing.one_by_one import Tally


class BatchSender:
    """How far a run of enqueue --from has come, and how it sends the next batch."""

    def __init__(
        self, publisher: Publisher, files: Outputs, run: Run | None, progress: Progress, *, piped: bool
    ) -> None:
        """`piped` says that the lines come through a pipe, which cannot be read again."""
        self.publisher = publisher
        self.files = files
        self.run = run
        self.progress = progress
        self.piped = piped
        #: Why the calls of a task took Celery's own path, by the name of the task.
        self.slow: dict[str, str] = {}
        #: The first and the last of the lines in doubt: nobody knows whether they were sent.
        self.doubt: tuple[int, int] | None = None

    def send(self, batch: list[Fed]) -> None:
        """Send the calls of these lines, and note the bad ones among them.

        Raises what the publisher raises. Progress, files and mark then say what was sent, and `doubt` says what is not known.
        """
        lot = Lot(batch, self.publisher.new_ids([fed.call for fed in batch if fed.call is not None]))
        sizes, before, tally = self.files.sizes, self.progress, Tally()
        try:
            self.files.add(lot.ids, lot.bad)
            after = lot.after(before, self.files, sizes)
            if self.run:
                self.run.before(before, after.line)
            if lot.calls:
                mark = self.run.mark(before, after) if self.run else None
                sent = self.publisher.send(lot.calls, mark, ids=list(lot.ids), tally=tally)
                self.slow.update(sent.slow)
            elif self.run:
                self.run.finish(before, after)
            self.progress = after
        except BaseException as error:
            self._settle(error, lot, tally, before, sizes)
            if is_the_projects(error):
                raise unsent_line(error, lot, tally.failed, self.progress, self.how_to_go_on()) from error
            raise
        if self.run:
            self.run.after(after)

    def note_bad(self, bad: Fed) -> None:
        """Write down the bad line at which the run stops."""
        self.files.add([], [bad.as_json()])
        self.progress = replace(self.progress, bad=self.progress.bad + 1)

    def finish(self) -> None:
        """Note that all lines are done with."""
        if self.run and not self.progress.done:
            before, self.progress = self.progress, replace(self.progress, done=True, begun=self.progress.line or 1)
            self.run.finish(before, self.progress)

    def how_to_go_on(self) -> str:
        """Return a sentence that says how to send the lines that were not sent."""
        if self.run:
            return "The same command goes on where it stopped."
        return start_at(self.progress.line + 1, piped=self.piped)

    def doubtful(self, error: Unreachable) -> Unreachable:
        """Return the error with the lines that are in doubt, and how to go on."""
        go_on = self.how_to_go_on()
        if self.doubt and not self.run:
            go_on = start_at(self.doubt[1] + 1, piped=self.piped)
        whole = bool(self.run and self.publisher.is_atomic)
        return doubt_text(error, self.doubt, as_a_whole=whole, go_on=go_on)

    def _settle(self, error: BaseException, lot: Lot, tally: Tally, before: Progress, sizes: tuple[int, int]) -> None:
        """Make progress, files and mark say what was sent of a batch that failed."""
        is_doubtful = isinstance(error, (InDoubt, KeyboardInterrupt))
        if is_doubtful and self.run and not lot.calls:  # the mark says which part of the files is valid
            self.doubt = (lot.lines[0].number, lot.upto)
            return
        sent, begun = lot.first(tally.sent), lot.first(tally.begun if is_doubtful else tally.sent)
        self.files.cut(*begun.sizes(sizes))
        self.progress = sent.after(before, self.files, sizes)
        if len(begun.calls) > len(sent.calls):
            self.doubt = (begun.lines[len(sent.lines)].number, begun.upto)
        if self.run and not isinstance(error, OutputError):  # it may be about the mark, or come before it
            with contextlib.suppress(OutputError):  # the error of the batch is the one to report
                self.run.before(self.progress, self.doubt[1] if self.doubt else self.progress.line)
