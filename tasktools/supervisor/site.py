"""The whole site: web server, worker and beat, started together and stopped in order.

honcho (2.0), a maintained process manager, does not fit: it stops everything at once, but a worker must stop after the
web server that sends to it. It kills after five seconds, even in the middle of a task. And when one part ends, it always
ends all parts.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from tasktools.supervisor.loop import Loop
from tasktools.supervisor.output import Output, descriptor_of, prefixes
from tasktools.supervisor.part import Part
from tasktools.supervisor.process import Process
from tasktools.supervisor.reports import Reports

#: The order in which they stop: no new ticks, no new requests, then the running tasks finish.
STOP_ORDER = ("beat", "web", "worker")

#: How long beat and web may take to end, in seconds. The worker may take as long as its tasks.
PATIENCE = 5.0

#: After a forced stop: when the third signal follows, and when the remaining processes are killed, in seconds.
THIRD = 1.0
KILL = 3.0

#: Signals within this time count as one, in seconds: a terminal that closes sends SIGHUP twice.
TOGETHER = 0.3

#: The exit code of a stop that was forced.
FORCED = 130

#: The exit code by which a web server asks to be started again, because a file has changed (django.utils.autoreload).
CHANGED = 3


class SitePlan(NamedTuple):
    """What rundev asks for. It comes as JSON from the command that becomes the supervisor."""

    #: The command line of each part, in the order of their start.
    commands: Mapping[str, Sequence[str]]
    #: Whether the other parts continue when one has ended by itself.
    keep_going: bool = False
    #: Whether names on stdout, and lines on stderr, have colours.
    color: bool = False
    color_stderr: bool = False
    #: The parts that end with CHANGED to be started again.
    reloaded: Sequence[str] = ()


class Site(Loop):
    """Owns the parts until the last has ended."""

    def __init__(
        self,
        plan: SitePlan,
        say: Callable[[str], None],
        output: Output,
        clock: Callable[[], float] = time.monotonic,
        start: Callable[[str, Sequence[str], bytes], Part] = Part.start,
    ) -> None:
        super().__init__(say, clock)
        self.plan = plan
        self.output = output
        self.outputs.append(output)
        self.stopping = False
        self._start = start
        self._asked: list[float] = []
        self._code = 0
        self._paused = False
        self._reports = Reports()

    @property
    def parts(self) -> dict[str, Part]:
        """The parts that run, by name, in the order in which they stop."""
        running = {each.name: each for each in self.processes if isinstance(each, Part)}
        return {name: running[name] for name in STOP_ORDER if name in running}

    def begin(self) -> None:
        """Start the parts, unless a signal came before."""
        if self.stopping:
            self.finish(self._code)
            return
        texts = prefixes(list(self.plan.commands), color=self.plan.color)
        for name in self.plan.commands:
            self._begin(name, texts[name])

    def _begin(self, name: str, prefix: bytes) -> None:
        part = self._start(name, self.plan.commands[name], prefix)
        self.processes.append(part)
        if not self._paused:
            self._hear(part)

    # what the loop calls

    def asked(self, signum: int) -> None:
        """Stop warmly at the first signal, by force at the second."""
        now = self.clock()
        if self._asked and now - self._asked[-1] < TOGETHER:
            return
        self._asked.append(now)
        if len(self._asked) > 1:
            self.force()
        elif self.stopping:  # the end of a part has started the stop
            self.say(f"still waiting for {', '.join(self.parts)}; once more ends it by force")
        else:
            self._code = 0
            self.stop()

    def ended(self, process: Process) -> None:
        """Stop the next part if all are being stopped; report a part that has ended by itself."""
        assert isinstance(process, Part)
        self._read(process)
        self._close(process)
        if not self.stopping:
            if process.name in self.plan.reloaded and process.exit_code == CHANGED:
                self._begin(process.name, process.prefix)
                return
            self._left(process)
        if not self.processes:
            self.finish(self._code)
        elif self.stopping:
            self._end_next()

    def due(self) -> None:
        """Force parts that take too long, and handle a slow reader."""
        now = self.clock()
        for name, part in self.parts.items():
            if part.forced is None and part.asked_to_end is not None and name != "worker":
                if now - part.asked_to_end > PATIENCE:
                    self._force(part)
            elif part.forced is not None and now - part.forced > KILL:
                part.kill()
            elif part.forced is not None and now - part.forced > THIRD and part.sent < 3 and name != "web":
                part.step()
        self._look_after_output()

    def is_busy(self) -> bool:
        gone = any(process.exit_code is not None for process in self.processes)  # and its pipe is still read
        return gone or super().is_busy()

    def say(self, text: str) -> None:
        super().say(f"rundev: {text}")

    # how it stops

    def stop(self) -> None:
        """Stop the parts one after the other."""
        if not self.stopping:
            self.stopping = True
            self.say(f"stopping {', '.join(self.parts)}")
        self._end_next()

    def force(self) -> None:
        """Stop the remaining parts without finishing their tasks."""
        self._code = FORCED
        self.stopping = True
        self.say(f"ending {', '.join(self.parts)} by force")
        for part in self.parts.values():
            if part.forced is None:
                self._force(part)
            else:
                part.step()

    def _end_next(self) -> None:
        part = next(iter(self.parts.values()), None)
        if part and part.asked_to_end is None:
            part.asked_to_end = self.clock()
            part.step()

    def _force(self, part: Part) -> None:
        """Send the first two signals, as far as they have not been sent; `due` does the rest."""
        part.forced = self.clock()
        part.asked_to_end = part.asked_to_end or part.forced
        if part.name == "web":
            part.kill()
            return
        while part.sent < 2 and part.exit_code is None:
            part.step()

    def _left(self, part: Part) -> None:
        """Handle a part that has ended by itself."""
        code = part.exit_code or 0
        self._code = self._code or code
        goes_on = self.plan.keep_going and self.processes
        what = f"{', '.join(self.parts)} goes on" if len(self.parts) == 1 else f"{', '.join(self.parts)} go on"
        rest = what if goes_on else "stopping the rest" if self.processes else "nothing else runs"
        self.say(f"{part.name} ended by itself with {part.how_it_ended()}: {rest}")
        if not goes_on:
            self.stopping = True

    # what they print

    def _hear(self, part: Part) -> None:
        self.listen(part.pipe, lambda: self._read(part))

    def _read(self, part: Part) -> None:
        if part.pipe.closed:
            return
        lines = part.read()
        if lines is None:
            self._close(part)
        else:
            self.output.write(lines)
            self._print_reports(part)

    def _close(self, part: Part) -> None:
        if not part.pipe.closed:
            self.output.write(part.lines.end())
            self._print_reports(part)
            self.forget(part.pipe)

    def _print_reports(self, part: Part) -> None:
        """Print what a part has reported, unless it is what another part has reported already."""
        for text in part.reports:
            if self._reports.is_new(part.name, text):
                self.say(text)
        part.reports.clear()

    def _look_after_output(self) -> None:
        """Stop reading from the parts while the reader is slow; stop the parts if the reader has gone."""
        self.output.push()
        if self.output.gone and not self.stopping:
            self.say("nobody reads the output any more")
            self.stop()
        pause = self.output.full and not self.stopping
        if pause != self._paused:
            self._paused = pause
            for part in self.parts.values():
                if part.pipe.closed:
                    continue
                if pause:
                    self._selector.unregister(part.pipe)
                else:
                    self._hear(part)


def run_site(plan: SitePlan, say: Callable[[str], None]) -> int:
    """Run the site; return the exit code."""
    return Site(plan, say, Output(descriptor_of(sys.stdout))).run()
