"""enqueue --from: read, check, send in batches, and say truly how far it has come."""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tasktools import conf
from tasktools.arguments.names import resolve
from tasktools.exceptions import ArgumentError, InDoubt, OutputError, Unreachable
from tasktools.management.base import TasktoolsCommand
from tasktools.management.batches import Lot, batches, is_the_projects, unsent_line
from tasktools.management.bulk_options import (
    number,
    spared,
    stopped_at,
    taken_files,
    tell_declined,
    tell_sum,
    told_doubt,
    unwritten,
)
from tasktools.management.call_options import calling_options
from tasktools.management.call_reader import Fed, Feeder
from tasktools.management.input_lines import Source
from tasktools.management.pacing import Pace
from tasktools.management.progress import Meter
from tasktools.publishing.append_file import Outputs
from tasktools.publishing.batch import BATCH_SIZE, Publisher
from tasktools.publishing.checkpoint import Progress, Run
from tasktools.publishing.one_by_one import Tally
from tasktools.registry.registry import names, queue_of

#: How many bad lines --check names.
MOST_NAMED = 20


class Bulk:
    """One run of enqueue --from."""

    def __init__(self, command: TasktoolsCommand, app: Any, task: str | None, options: dict[str, Any]) -> None:
        self.command = command
        self.app = app
        self.task = task
        self.options = options
        self.batch_size = number(options, "batch_size") or BATCH_SIZE
        self.pace = Pace(number(options, "rate"), number(options, "max_queue"))
        self.began = time.monotonic()
        self.progress = Progress(digest="", task=task or "", line=(number(options, "start") or 1) - 1)
        self.first = self.progress
        self.slow: dict[str, str] = {}
        self.doubt: tuple[int, int] | None = None
        self.files: Outputs
        self.run: Run | None = None
        self.source = Source(options["from_file"])  # last: nobody closes it when this fails

    def check(self, feeder: Feeder) -> None:
        """Read everything, send nothing, and name what is bad."""
        good = bad = 0
        for fed in self._fed(feeder):
            if fed is not None and fed.call is None:
                bad += 1
                if bad <= MOST_NAMED:
                    self.command.note(f"Line {fed.number}: {fed.why}")
            elif fed is not None:
                good += 1
        self.progress = replace(self.progress, bad=bad)
        with spared("bad lines" if bad else ""):
            self._sum_up(lines=good + bad, checked=good)
        self.command.end_with(1 if bad else 0, f"{bad} bad lines.")

    def send(self, feeder: Feeder, *, listen: bool) -> None:
        """Send what is to be sent, and sum up however it ends."""
        taken = taken_files(self.source)
        with (
            Publisher(self.app, listen=listen) as publisher,
            Outputs(self.options["ids"], self.options["skip_bad"], taken=taken) as self.files,
            contextlib.ExitStack() as stack,
        ):
            stack.callback(self._let_go)
            summary = self.source.summary()
            self._resume(publisher, summary.digest if summary else "")
            meter = Meter(self.command, summary.lines if summary else None, self.progress.line)
            ended = "error"
            try:
                with meter:
                    self._send_all(publisher, feeder, meter)
                ended = ""
            except Unreachable as error:
                raise self._doubtful(error) from error
            except OutputError as error:
                raise unwritten(error, self.progress, self._how_to_go_on(self.progress.line + 1)) from error
            except KeyboardInterrupt:
                first, last = self.doubt or (0, 0)
                doubt = f" Lines {first} to {last} are in doubt." if last and not self.run else ""
                self.command.note(f"Interrupted.{doubt} {self._how_to_go_on(self.progress.line + 1)}")
                raise
            finally:
                tell_declined(self.command, publisher.declined)
                with spared(ended):
                    self._sum_up(ended=ended)

    def _let_go(self) -> None:
        if self.run:
            self.run.close()

    def _resume(self, publisher: Publisher, digest: str) -> None:
        name = self.options["resume"]
        if name is not None:
            if not digest:
                raise ArgumentError("A pipe cannot be resumed: it is gone when it has been read.", hint="name a file")
            self.run = Run(name, publisher, conf.data_dir() / "runs")
            self.progress = self.run.load(digest, self.task or "")
            for line in self.progress.told(name):
                self.command.note(line)
        self.first = self.progress
        goes_on = (-1, -1) if name is None else (self.progress.ids_size, self.progress.bad_size)
        self.files.begin(*(goes_on if self.progress.line else (None, None)))

    def _send_all(self, publisher: Publisher, feeder: Feeder, meter: Meter) -> None:
        size = self.pace.batch_size(self.batch_size)
        for batch in batches(self._fed(feeder), size, self._stops):
            bad = next((fed for fed in batch if fed.call is None and self._stops(fed)), None)
            if bad is not None:
                batch = batch[: batch.index(bad)]
            if batch:
                calls = [fed.call for fed in batch if fed.call is not None]
                queues = {queue_of(self.app, call) for call in calls} if self.pace.most else ()
                self.pace.wait(publisher, queues, len(calls), meter)
                self._send_batch(publisher, batch)
                meter.show(self.progress)
            if bad is not None:
                raise self._stopped(bad)
        if self.run and not self.progress.done:
            before, self.progress = self.progress, replace(self.progress, done=True, begun=self.progress.line or 1)
            self.run.finish(before, self.progress)

    def _stops(self, bad: Fed) -> bool:
        return bad.is_end or not self.options["skip_bad"]

    def _stopped(self, bad: Fed) -> ArgumentError:
        """Return the error for a bad line at which the run stops; one that cannot be skipped is written down first."""
        if self.options["skip_bad"]:
            self.files.add([], [bad.as_json()])
            self.progress = replace(self.progress, bad=self.progress.bad + 1)
        return stopped_at(bad.number, bad.why, is_end=bad.is_end, run=self.options["resume"] is not None)

    def _send_batch(self, publisher: Publisher, batch: list[Fed]) -> None:
        lot = Lot(batch, publisher.new_ids([fed.call for fed in batch if fed.call is not None]))
        sizes, before, tally = self.files.sizes, self.progress, Tally()
        try:
            self.files.add(lot.ids, lot.bad)
            after = lot.after(before, self.files, sizes)
            if self.run:
                self.run.before(before, after.line)
            if lot.calls:
                mark = self.run.mark(before, after) if self.run else None
                sent = publisher.send(lot.calls, mark, ids=list(lot.ids), tally=tally)
                self.slow.update(sent.slow)
            elif self.run:
                self.run.finish(before, after)
            self.progress = after
        except BaseException as error:
            self._settle(error, lot, tally, before, sizes)
            if is_the_projects(error):
                go_on = self._how_to_go_on(self.progress.line + 1)
                raise unsent_line(error, lot, tally.failed, self.progress, go_on) from error
            raise
        if self.run:
            self.run.after(after)

    def _settle(self, error: BaseException, lot: Lot, tally: Tally, before: Progress, sizes: tuple[int, int]) -> None:
        """Have progress, files and mark say what was sent of a batch that failed."""
        is_doubtful = isinstance(error, (InDoubt, KeyboardInterrupt))
        if is_doubtful and self.run and not lot.calls:  # the mark, which says how much of the files is good
            self.doubt = (lot.lines[0].number, lot.upto)
            return
        sent, begun = lot.first(tally.sent), lot.first(tally.begun if is_doubtful else tally.sent)
        self.files.cut(*begun.sizes(sizes))
        self.progress = sent.after(before, self.files, sizes)
        if len(begun.calls) > len(sent.calls):
            self.doubt = (begun.lines[len(sent.lines)].number, begun.upto)
        if self.run and not isinstance(error, OutputError):  # which may be about the mark, or come ahead of it
            with contextlib.suppress(OutputError):  # the error of the batch is the one to say
                self.run.before(self.progress, self.doubt[1] if self.doubt else self.progress.line)

    def _fed(self, feeder: Feeder) -> Iterator[Fed | None]:
        lines = self.source.lines()
        is_csv = self.options["csv"] or self.options["from_file"].removesuffix(".gz").endswith(".csv")
        if is_csv and self.task is None:
            hint = "name the task: enqueue NAME --from FILE"
            raise ArgumentError("The rows of a CSV file hold arguments alone.", hint=hint)
        fed = feeder.csv_rows(lines) if is_csv else feeder.json_lines(lines)
        start = self.progress.line
        if not start:
            return fed
        return (each for each in fed if each is None or each.number > start)

    def _doubtful(self, error: Unreachable) -> Unreachable:
        whole = bool(self.run and self.run.publisher.is_atomic)
        line = self.doubt[1] if self.doubt else self.progress.line
        return told_doubt(error, self.doubt, as_a_whole=whole, go_on=self._how_to_go_on(line + 1))

    def _how_to_go_on(self, line: int) -> str:
        if self.run:
            return "The same command goes on where it stopped."
        return f"To go on: the same command with --start {line}"

    def _sum_up(self, *, ended: str = "", lines: int | None = None, checked: int | None = None) -> None:
        seconds = time.monotonic() - self.began
        sent = self.progress.sent - self.first.sent
        told = {
            "file": self.options["from_file"],
            "task": self.task,
            "run": self.options["resume"],
            "lines": self.progress.line if lines is None else lines,
            "sent": sent,
            "sent_before": self.first.sent,
            "bad": self.progress.bad,
            "in_doubt": list(self.doubt) if self.doubt else None,
            "complete": not ended and checked is None,
            "seconds": round(seconds, 3),
            "per_second": round(sent / seconds) if seconds else None,
            **({} if checked is None else {"good": checked}),
        }
        tell_sum(self.command, told, self.slow, self.options)


def send_file(command: TasktoolsCommand, app: Any, name: str | None, options: dict[str, Any], *, listen: bool) -> None:
    """Do what `enqueue [NAME] --from FILE` asks for.

    Raises ArgumentError for what was typed and for the first bad line, Unreachable and InDoubt.
    """
    task = resolve(name, names(app, builtin=True)) if name else None
    feeder = Feeder(app, task, calling_options(app, options), command.load_rest_for)
    if not listen:  # the process is ours: what a line leaves behind is in no circle
        gc.set_threshold(100_000, 50, 50)
    bulk = Bulk(command, app, task, options)
    with contextlib.closing(bulk.source):
        if options["check"]:
            bulk.check(feeder)
        else:
            bulk.send(feeder, listen=listen)
