"""enqueue --from: read, check, send in batches, and say truly how far it has come."""

from __future__ import annotations

import contextlib
import gc
import itertools
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tasktools import conf
from tasktools.bulk import BATCH_SIZE, Publisher
from tasktools.exceptions import ArgumentError, InDoubt, OutputError, Unreachable
from tasktools.lines import Source
from tasktools.management.base import TasktoolsCommand
from tasktools.management.bulk_options import (
    number,
    stopped_at,
    taken_files,
    tell_declined,
    tell_sum,
    told_doubt,
    unwritten,
)
from tasktools.management.calling import calling_options
from tasktools.management.feeding import Fed, Feeder
from tasktools.management.pacing import Pace
from tasktools.management.progress import Meter
from tasktools.naming import resolve
from tasktools.outputs import Outputs
from tasktools.registry import names, queue_of
from tasktools.runs import Progress, Run

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
        self._sum_up(lines=good + bad, checked=good)
        self.command.end_with(1 if bad else 0, f"{bad} bad lines.")

    def send(self, feeder: Feeder, *, listen: bool) -> None:
        """Send what is to be sent, and sum up however it ends."""
        taken = taken_files(self.source)
        with (
            Publisher(self.app, listen=listen) as publisher,
            Outputs(self.options["ids"], self.options["skip_bad"], taken=taken) as self.files,
        ):
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
                if self.run:
                    self.run.close()
                tell_declined(self.command, publisher.declined)
                self._sum_up(ended=ended)

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
        for batch in self._batches(feeder):
            bad = next((fed for fed in batch if fed.call is None and self._stops(fed)), None)
            if bad is not None:
                batch = batch[: batch.index(bad)]
            if batch:
                queues = {queue_of(self.app, fed.call) for fed in batch if fed.call} if self.pace.most else ()
                self.pace.wait(publisher, queues, self.progress.sent - self.first.sent, meter)
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
        calls = [fed.call for fed in batch if fed.call is not None]
        bad = [fed.as_json() for fed in batch if fed.call is None]
        ids = publisher.new_ids(calls)
        sizes = self.files.sizes
        self.files.add(ids, bad)
        before, after = self.progress, self._after(len(calls), len(bad), batch[-1].upto)
        try:
            if self.run:
                self.run.before(before, after.line)
            if calls:
                sent = publisher.send(calls, self.run.mark(before, after) if self.run else None, ids=ids)
                self.slow.update(sent.slow)
            elif self.run:
                self.run.finish(before, after)
        except (InDoubt, KeyboardInterrupt):
            self.doubt = (batch[0].number, after.line)
            raise
        except Exception:
            self.files.cut(*sizes)
            raise
        self.progress = after
        if self.run:
            self.run.after(after)

    def _after(self, sent: int, bad: int, line: int) -> Progress:
        """Return where the run stands when a batch that ends with that line has been sent."""
        now = self.progress
        ids_size, bad_size = self.files.sizes
        return replace(
            now,
            line=line,
            begun=line,
            sent=now.sent + sent,
            bad=now.bad + bad,
            ids_size=ids_size if self.files.ids else now.ids_size,
            bad_size=bad_size if self.files.bad else now.bad_size,
        )

    def _batches(self, feeder: Feeder) -> Iterator[list[Fed]]:
        """Yield lines in batches; fewer when none has come for a while, or the rate allows no more."""
        size = self.pace.batch_size(self.batch_size)
        batch: list[Fed] = []
        for fed in self._fed(feeder):
            if fed is not None:
                batch.append(fed)
            if batch and (fed is None or len(batch) >= size or (fed.call is None and self._stops(fed))):
                yield batch
                batch = []
        if batch:
            yield batch

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
        return itertools.dropwhile(lambda each: each is not None and each.number <= start, fed)

    def _doubtful(self, error: Unreachable) -> Unreachable:
        lines = self.doubt or (0, self.progress.line)
        whole = bool(self.run and self.run.publisher.is_atomic)
        return told_doubt(error, lines, as_a_whole=whole, go_on=self._how_to_go_on(lines[1] + 1))

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
