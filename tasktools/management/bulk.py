"""enqueue --from: read, check, send in batches, and report exactly how far it has come."""

from __future__ import annotations

import contextlib
import gc
import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tasktools import conf
from tasktools.arguments.names import resolve
from tasktools.exceptions import ArgumentError, OutputError, Unreachable
from tasktools.management.base import TasktoolsCommand
from tasktools.management.batch_sender import BatchSender
from tasktools.management.batches import batches
from tasktools.management.bulk_options import number
from tasktools.management.bulk_report import print_sum, spared, stopped_at, unwritten, warn_declined
from tasktools.management.call_options import calling_options, sender_of
from tasktools.management.call_reader import Fed, Feeder
from tasktools.management.first_lines import require_broker
from tasktools.management.input_lines import Source
from tasktools.management.pacing import Pace
from tasktools.management.progress import Meter
from tasktools.publishing.append_file import Outputs, identity
from tasktools.publishing.batch import BATCH_SIZE, Publisher
from tasktools.publishing.checkpoint import Progress, Run
from tasktools.registry.registry import names
from tasktools.registry.routes import queue_of
from tasktools.render import counted

if TYPE_CHECKING:
    from celery import Celery

#: How many bad lines --check prints.
MOST_NAMED = 20


class Bulk:
    """One run of enqueue --from."""

    def __init__(self, command: TasktoolsCommand, app: Celery, task: str | None, options: dict[str, Any]) -> None:
        self.command = command
        self.app = app
        self.task = task
        self.options = options
        self.batch_size = number(options, "batch_size") or BATCH_SIZE
        self.pace = Pace(number(options, "rate"), number(options, "max_queue"))
        self.began = time.monotonic()
        #: Where it begins.
        self.first = Progress(digest="", task=task or "", line=(number(options, "start") or 1) - 1)
        self.source = Source(options["from_file"])  # last, because nobody closes it if this fails

    def check(self, feeder: Feeder) -> None:
        """Read everything, send nothing, and print the first bad lines."""
        good = bad = last = 0
        for fed in self._fed(feeder):
            if fed is None:
                continue
            last = fed.upto
            if fed.call is not None:
                good += 1
                continue
            bad += 1
            if bad <= MOST_NAMED:
                self.command.note(f"Line {fed.number}: {fed.why}")
        with spared("bad lines" if bad else ""):
            counts = self._sum(sent=0, lines=last, bad=bad, complete=False)
            print_sum(self.command, {**counts, "good": good}, {}, self.options)
        self.command.end_with(1 if bad else 0, f"{counted(bad, 'bad line')}.")

    def send(self, feeder: Feeder, *, listen: bool) -> None:
        """Send the calls, and print the sum in any case."""
        taken = _taken_files(self.source)
        with (
            Publisher(self.app, listen=listen) as publisher,
            Outputs(self.options["ids"], self.options["skip_bad"], taken=taken) as files,
            contextlib.ExitStack() as stack,
        ):
            summary = self.source.summary()
            run = self._resume(publisher, summary.digest if summary else "", stack)
            goes_on = (-1, -1) if run is None else (self.first.ids_size, self.first.bad_size)
            files.begin(*(goes_on if self.first.line else (None, None)))
            sender = BatchSender(publisher, files, run, self.first, piped=self.source.is_pipe)
            self._send(sender, feeder, Meter(self.command, summary.lines if summary else None, self.first.line))

    def _resume(self, publisher: Publisher, digest: str, stack: contextlib.ExitStack) -> Run | None:
        name = self.options["resume"]
        if name is None:
            return None
        if not digest:
            raise ArgumentError("A pipe cannot be resumed: it is gone when it has been read.", hint="name a file")
        run = Run(name, publisher, conf.data_dir() / "runs")
        stack.callback(run.close)
        self.first = run.load(digest, self.task or "")
        for line in self.first.lines(name):
            self.command.note(line)
        return run

    def _send(self, sender: BatchSender, feeder: Feeder, meter: Meter) -> None:
        ended = "error"
        try:
            with meter:
                self._send_all(sender, feeder, meter)
            ended = ""
        except Unreachable as error:
            raise sender.doubtful(error) from error
        except OutputError as error:
            raise unwritten(error, sender.progress, sender.how_to_go_on()) from error
        except KeyboardInterrupt:
            first, last = sender.doubt or (0, 0)
            doubt = f" Lines {first} to {last} are in doubt." if last and not sender.run else ""
            self.command.note(f"Interrupted.{doubt} {sender.how_to_go_on()}")
            raise
        finally:
            warn_declined(self.command, sender.publisher.declined)
            with spared(ended):
                self._sum_up(sender, ended)

    def _send_all(self, sender: BatchSender, feeder: Feeder, meter: Meter) -> None:
        size = self.pace.batch_size(self.batch_size)
        for batch in batches(self._fed(feeder), size, self._stops):
            bad = next((fed for fed in batch if fed.call is None and self._stops(fed)), None)
            if bad is not None:
                batch = batch[: batch.index(bad)]
            if batch:
                calls = [fed.call for fed in batch if fed.call is not None]
                queues = {queue_of(self.app, call) for call in calls} if self.pace.most else ()
                self.pace.wait(sender.publisher, queues, len(calls), meter)
                sender.send(batch)
                meter.show(sender.progress)
            if bad is not None:
                if self.options["skip_bad"]:  # and it cannot be skipped
                    sender.note_bad(bad)
                raise stopped_at(bad.number, bad.why, is_end=bad.is_end, run=sender.run is not None, piped=sender.piped)
        sender.finish()

    def _stops(self, bad: Fed) -> bool:
        return bad.is_end or not self.options["skip_bad"]

    def _fed(self, feeder: Feeder) -> Iterator[Fed | None]:
        lines = self.source.lines()
        delimiter = self.options["delimiter"]
        is_csv = (
            self.options["csv"]
            or delimiter is not None
            or self.options["from_file"].removesuffix(".gz").endswith(".csv")
        )
        if is_csv and self.task is None:
            hint = "name the task: enqueue NAME --from FILE"
            raise ArgumentError("The rows of a CSV file hold arguments alone.", hint=hint)
        fed = feeder.csv_rows(lines, delimiter, name=self.source.name) if is_csv else feeder.json_lines(lines)
        start = self.first.line
        if not start:
            return fed
        return (each for each in fed if each is None or each.number > start)

    def _sum_up(self, sender: BatchSender, ended: str) -> None:
        stands = sender.progress
        sent = stands.sent - self.first.sent
        counts = self._sum(sent=sent, lines=stands.line, bad=stands.bad, complete=not ended, doubt=sender.doubt)
        print_sum(self.command, counts, sender.slow, self.options)

    def _sum(
        self, *, sent: int, lines: int, bad: int, complete: bool, doubt: tuple[int, int] | None = None
    ) -> dict[str, Any]:
        seconds = time.monotonic() - self.began
        return {
            "file": self.options["from_file"],
            "task": self.task,
            "run": self.options["resume"],
            "lines": lines,
            "sent": sent,
            "sent_before": self.first.sent,
            "bad": bad,
            "in_doubt": list(doubt) if doubt else None,
            "complete": complete,
            "seconds": round(seconds, 3),
            "per_second": round(sent / seconds) if seconds else None,
        }


def send_file(command: TasktoolsCommand, name: str | None, options: dict[str, Any], *, listen: bool) -> None:
    """Do what `enqueue [NAME] --from FILE` asks for.

    Raises ArgumentError for wrong options and for the first bad line, Unreachable and InDoubt.
    """
    command.load_tasks(found := command.find_app(options["app"]), name)
    found = sender_of(command, found, name)
    require_broker(command, found)
    app = found.app
    task = resolve(name, names(app, builtin=True)) if name else None
    feeder = Feeder(app, task, calling_options(app, options), command.load_rest_for)
    if not listen:  # the process is our own: the objects of a line have no reference cycles
        gc.set_threshold(100_000, 50, 50)
    bulk = Bulk(command, app, task, options)
    with contextlib.closing(bulk.source):
        if options["check"]:
            bulk.check(feeder)
        else:
            bulk.send(feeder, listen=listen)


def _taken_files(source: Source) -> dict[tuple[int, int], str]:
    """Return the files that must not be used for output, and what each is."""
    taken = {identity(source.status): "the file that --from reads"}
    for handle in (1, 2):
        with contextlib.suppress(OSError):
            taken.setdefault(identity(os.fstat(handle)), "where this command prints")
    return taken
