"""The last round: the queues, and a message that does nothing to each of them."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from tasktools.brokers.keys import Keys
from tasktools.brokers.listeners import clients, listening
from tasktools.brokers.timeouts import TimedOut
from tasktools.doctor import broker, databases, messages, queues, workers
from tasktools.doctor.findings import Line, ok, warning
from tasktools.doctor.messages import Sent
from tasktools.doctor.together import together
from tasktools.queues.depth import Depth
from tasktools.queues.kept import paused_now
from tasktools.queues.pauses import QUEUE, Pause
from tasktools.results.backend import backend_name

if TYPE_CHECKING:
    from celery import Celery

    from tasktools.doctor.broker import Opened
    from tasktools.doctor.workers import Worker

#: How long the results are waited for, and what must be left of the round to take messages back, in seconds.
PATIENCE, _MARGIN = 1.2, 0.3

#: How long it may take to take messages back when the round is over, in seconds.
_CLEANING = 0.4


class LastRound:
    """It runs in a thread. What it has found when its time is over is in its attributes."""

    def __init__(self, app: Celery, tasks: Mapping[str, str], answered: Mapping[str, Worker], asked: Any) -> None:
        """`tasks` has the queue of each task, `answered` the workers that have answered; `asked` is how asking them ended."""
        self.app = app
        self.tasks = tasks
        self.workers = answered
        self.names: set[str] = set()
        self.depths: dict[str, Depth] = {}
        self.sent: list[Sent] = []
        self.taken: list[Line] = []
        #: What is paused.
        self.pauses: list[Pause] = []
        #: What the stopwatch says.
        self.times: list[Line] = []
        #: Why no worker has answered.
        self.absent: list[Line] = []
        self.is_asked = not isinstance(asked, BaseException)
        if isinstance(asked, TimedOut) and not answered:
            self.absent = [warning("workers", "The workers could not be asked in time.", _DISTANT)]
        elif self.is_asked and not answered:
            self.absent = [workers.nobody()]
        self._found: Opened | None = None
        self._is_clean = False

    def run(self, found: Opened | None, limit: float, *, has_results: bool) -> None:
        """Look at the queues and send the messages, in `limit` seconds. Without an open connection, make one."""
        deadline = time.monotonic() + limit
        self._found = found = found or broker.opened(self.app, limit / 2)
        self.names = queues.names(self.app, self.tasks)
        self.pauses = paused_now(found.connection)
        queues.ask(found, self.names, self.depths)
        listens = self.is_asked and not self.workers and self._listens(found)
        if found.is_redis:
            visibility = float(getattr(found.connection.default_channel, "visibility_timeout", 3600))
            taken = queues.oldest_taken(Keys(found.connection.default_channel), visibility, queues.now())
            self.taken = [taken] if taken else []
        targets = self._targets(listens=listens)
        can_judge = has_results or (listens and found.is_redis)
        if targets and not can_judge:
            self.times = [ok("stopwatch", "not measured: it needs a result backend")]
        elif targets and deadline - time.monotonic() < 2 * _MARGIN:
            can_judge, self.times = False, [warning("stopwatch", "There was no time for a message.", _DISTANT)]
        elif targets:
            self._measure(found, targets, deadline, has_results=has_results)
        if listens:
            has_run = any(map(messages.was_taken, self.sent)) if can_judge else None
            self.absent = [workers.nobody(listens=True, has_run=has_run, control=self._has_control())]

    def _has_control(self) -> bool:
        return bool(self.app.conf.worker_enable_remote_control)

    def _targets(self, *, listens: bool) -> list[str]:
        """Return the queues from which somebody takes. If no worker answers, somebody may take from each with tasks."""
        if self.workers:
            consumers, paused = self._consumers(), self._paused()
            return [name for name in self.names if consumers.get(name) and name not in paused]
        used = {*filter(None, self.tasks.values()), self.app.conf.task_default_queue}
        return [name for name in self.names if self._is_listened_to(name, used)] if listens else []

    def _paused(self) -> set[str]:
        return {each.name for each in self.pauses if each.what == QUEUE}

    def _is_listened_to(self, name: str, used: Collection[str]) -> bool:
        consumers = self.depths.get(name, Depth()).consumers
        return name in used if consumers is None else consumers > 0

    def _measure(self, found: Opened, targets: list[str], deadline: float, *, has_results: bool) -> None:
        messages.send(self.app, found, targets, self.sent)
        patience = max(0.0, min(PATIENCE, deadline - _MARGIN - time.monotonic()))
        if has_results:
            messages.collect(self.app, self.sent, patience)
        else:
            time.sleep(patience)
        self._clean(found)
        if self.workers or (has_results and any(map(messages.was_taken, self.sent))):
            where, ignored = backend_name(self.app), bool(self.app.conf.task_ignore_result)
            told = messages.lines(self.sent, where[:1].lower() + where[1:], ignored=ignored)
            self.times = [*told, *messages.clock_lines(self.sent, self.app.timezone)]

    def _clean(self, found: Opened) -> None:
        messages.clean(self.app, found, self.sent)
        self._is_clean = True

    def clean_up(self) -> None:
        """Take back and delete what the round has not, because its time was over or something failed."""
        found = self._found
        if found is not None and self.sent and not self._is_clean:
            together({"clean": lambda: self._clean(found)}, _CLEANING)

    def lines(self, outcome: Any, limit: float) -> list[Line]:
        """Return what is known of the queues; `outcome` is how the round ended."""
        asked = dict(self.depths)  # a late thread may still add to it
        consumers = self._consumers() if self.workers else None
        known = [
            *queues.lines(asked, set(self.tasks.values()), asked, consumers, self._paused()),
            *queues.paused_lines(self.pauses, asked, self.app.timezone),
        ]
        late = (
            f"Not all queues could be asked in {limit:g} s." if len(asked) < len(self.names) or not asked else _TOO_LATE
        )
        more = [warning("queues", late, _DISTANT)] if isinstance(outcome, TimedOut) else []
        return [*known, *self.taken, *self.times, *more]

    def _consumers(self) -> dict[str, int | None]:
        """Return how many workers take from each queue; None if only a worker that has not said so may take from it."""
        taken = [queue for worker in self.workers.values() for queue in worker.queues or ()]
        otherwise = None if any(worker.queues is None for worker in self.workers.values()) else 0
        return {name: taken.count(name) or otherwise for name in {*self.names, *taken}}

    def _listens(self, found: Opened) -> bool:
        """Return whether somebody seems to take messages from this broker; workers that listen elsewhere are reported."""
        if not found.is_redis:
            return any(depth.consumers for depth in self.depths.values())
        keys = Keys(found.connection.default_channel)
        here = int(keys.client.connection_pool.connection_kwargs.get("db") or 0)
        elsewhere = databases.elsewhere(keys, f"{self.app.conf.control_exchange}.pidbox")
        if elsewhere:
            self.absent = [databases.line(here, elsewhere)]
            return False
        return here in (listening(clients(keys.client)) or ())


_TOO_LATE = "The messages to the queues were not measured in time."

_DISTANT = "run this again, nearer to the broker if that is far away"
