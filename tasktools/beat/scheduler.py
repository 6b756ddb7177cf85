"""A scheduler that keeps in the broker when each entry last ran, and sends each tick exactly once (Redis and Valkey).

The messages of the entries that are due, and when they ran, are one transaction on the condition that this beat is in
charge and nobody has sent these ticks. So no tick is sent twice, whoever believes to be in charge.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import count
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import celery.beat
from celery.utils.log import get_logger

from tasktools.arguments.call import Call
from tasktools.beat.answers import FAILED, SOON, Answers
from tasktools.beat.calls import call_of
from tasktools.beat.clock import Clock
from tasktools.beat.leadership import Leadership
from tasktools.beat.ledger import Ledger, Tick, aware
from tasktools.beat.missed import expired_at
from tasktools.beat.records import Beat, LastRun
from tasktools.beat.trouble import Trouble
from tasktools.beat.version import schedule_digest
from tasktools.brokers import broker_of
from tasktools.brokers.transactions import Overtaken
from tasktools.exceptions import HeldElsewhere, is_of_signal
from tasktools.project import current_project
from tasktools.publishing.batch import Publisher
from tasktools.terminal import line

if TYPE_CHECKING:
    from celery import Celery

logger = get_logger("celery.beat")

#: How long to wait before trying again if the broker is away, in seconds.
AGAIN = 0.5

#: Entries that are sent in one transaction.
MOST = 500

#: A last run that lies this far in the future, in seconds, is an error of a clock.
FUTURE = 5.0


class Scheduler(celery.beat.Scheduler):
    """Celery's scheduler, with its state in a Redis or Valkey, and one beat in charge."""

    def __init__(self, app: Celery, *args: Any, **options: Any) -> None:
        self.clock = Clock(app.timezone)
        self.trouble = Trouble(lambda: broker_of(app).name)
        self.answers = Answers(self.trouble, self.is_due)
        self.ledger = Ledger(app, uuid4().hex)
        self._is_loaded = self._was_in_charge = False
        #: When the entries are to be asked: a heap of the time, a number that no other has, and the entry.
        self._events: list[tuple[float, int, Any]] = []
        self._numbers = count()
        self._calls: list[tuple[Call, str]] = []
        #: The entries whose last runs are loaded.
        self._names: set[str] = set()
        super().__init__(app, *args, **options)
        plan = current_project().beat
        me = Beat.here(plan.code, schedule_digest(app.conf.beat_schedule), f"{__name__}:{type(self).__name__}")
        self.leadership = Leadership(me, self.clock, seconds=plan.lease, stands_by=plan.stands_by)

    @property
    def info(self) -> str:
        """The line of Celery's banner."""
        return "    . schedule -> when entries last ran is kept in the broker"

    def setup_schedule(self) -> None:
        self.merge_inplace(self.app.conf.beat_schedule or {})  # it removes what is not there, and so comes first
        self.install_default_entries(self.schedule)

    # One round

    def tick(self, *args: Any, **options: Any) -> float:
        """Send what is due if this beat is in charge; return how long nothing is to be done, in seconds."""
        try:
            if not self._is_in_charge():
                return 0
            interval = self._send_due()
            self.trouble.over()
        except HeldElsewhere as error:
            raise SystemExit(error.exit_code) from error
        except Overtaken:
            self._is_loaded = False  # and what this beat knows is compared with what is there
            self.leadership.overtaken()
            return 0.05
        except BaseException as error:  # nothing may stop the schedule, besides a signal
            if is_of_signal(error):
                raise
            self.trouble.report(error)
            self._is_loaded = False
            self.leadership.lost()
            self.ledger.close()
            return AGAIN
        return interval

    def _is_in_charge(self) -> bool:
        if self.leadership.is_due():
            with self.leadership.idle():
                if not self.leadership.ensure(self.ledger.open()):
                    self._is_loaded = self._was_in_charge = False
                    return False
            if abs(self.leadership.jump) > 1:
                self._is_loaded = False
        if not self._is_loaded or self.schedule.keys() != self._names:
            with self.leadership.at_work():
                self._load()
        return True

    def _load(self) -> None:
        """Take charge of the schedule: read when the entries last ran, and write what is new."""
        for entry in self.schedule.values():
            entry.schedule = self.clock.follow(entry.schedule)
        runs = self.ledger.take_charge(self._begin, self.schedule)
        for name, run in runs.items():
            entry = self.schedule[name]
            at = run.at.astimezone(self.app.timezone)
            entry.last_run_at = at if entry.default_now().tzinfo else at.replace(tzinfo=None)
            entry.total_run_count = run.count
        self._names = set(runs)
        self._events = []
        for entry in self.schedule.values():
            self._ask_when_due(entry, self.clock.time())
        self._is_loaded = self._was_in_charge = True

    def _begin(self, name: str, kept: LastRun | None) -> LastRun:
        """Return the last run of an entry to go on from."""
        self.leadership.keep()
        entry: Any = self.schedule[name]
        now = self.clock.now()
        if self._was_in_charge and name in self._names:  # this beat knows more than a server that has lost its data
            own = LastRun(at=aware(entry), count=entry.total_run_count)
            kept = own if kept is None or (own.at > kept.at and own.count > kept.count) else kept
        if kept is None:
            return LastRun(at=now, count=0)
        if (kept.at - now).total_seconds() > FUTURE:
            logger.error(
                'beat: the entry "%s" last ran at %s, which is in the future: a clock was wrong. It goes on from now.',
                line(str(name)),
                kept.at.isoformat(sep=" ", timespec="seconds"),
            )
            return LastRun(at=now, count=kept.count, task_id=kept.task_id)
        return kept

    # What is due

    def _send_due(self) -> float:
        events = self._events
        if events and events[0][0] <= self.clock.time():
            with self.leadership.at_work():
                if due := list(self._due()):
                    self._send(due)
                    return 0
        pause = float(min(self.leadership.pause(), self.max_interval or FAILED))
        return max(0.0, min(events[0][0] - self.clock.time(), pause)) if events else pause

    def _due(self) -> Iterator[tuple[Any, float]]:
        """Take at most MOST entries that are due from the heap, each with the time of its next run."""
        events, found = self._events, 0
        later = []  # each entry is asked once
        while events and found < MOST and events[0][0] <= self.clock.time():
            self.leadership.keep()
            entry = heapq.heappop(events)[2]
            if self.schedule.get(entry.name) is not entry:  # somebody has replaced it
                self._is_loaded = False
                continue
            asked = self.clock.time()
            is_due, seconds = self.answers.ask(entry)
            if is_due:
                found += 1
                yield entry, asked + seconds
            else:
                later.append((asked + max(seconds, SOON), entry))
        for time, entry in later:
            self._ask_at(time, entry)

    def _ask_at(self, time: float, entry: Any) -> None:
        heapq.heappush(self._events, (time, next(self._numbers), entry))

    def _ask_when_due(self, entry: Any, otherwise: float) -> None:
        """Ask an entry when it says that it is due; at the time `otherwise` if it says that it is due now.

        Entries that are due at the same moment get the same time, and leave together.
        """
        self.leadership.keep()
        asked = self.clock.time()
        is_due, seconds = self.answers.ask(entry)
        self._ask_at(otherwise if is_due else asked + seconds, entry)

    def _send(self, due: list[tuple[Any, float]]) -> None:
        ticks = [self._tick(entry) for entry, _ in due]
        self.leadership.keep()
        self.ledger.send(ticks)
        for tick, (_, time) in zip(ticks, due, strict=True):
            self.schedule[tick.after.name] = tick.after
            self._ask_when_due(tick.after, time)

    def _tick(self, entry: Any) -> Tick:
        self.leadership.keep()
        late = expired_at(entry, entry.default_now())
        if late is not None:
            logger.warning('beat: "%s" is not sent: its expires has passed.', line(str(entry.name)))
            after = entry.next(late)
            after.total_run_count = entry.total_run_count
            return Tick(after=after)
        self._calls = []
        try:
            self.apply_entry(entry, producer=None)  # Celery's: others put their own code around it
        except BaseException as error:  # such code may fail
            if is_of_signal(error):
                raise
            self.trouble.report(error, f'the entry "{entry.name}" cannot be sent')
        call, task_id = self._calls[0] if self._calls else (None, "")
        return Tick(after=next(entry), call=call, task_id=task_id)

    def apply_async(self, entry: Any, producer: Any = None, advance: bool = True, **_: Any) -> Any:
        """Note what `entry` sends: it leaves with all that is due. Return what has its id, which Celery logs."""
        try:
            call = call_of(entry)
            [task_id] = Publisher.new_ids([call])
            self._calls.append((call, task_id))
            return SimpleNamespace(id=task_id)
        except BaseException as error:  # lazy arguments are code of the project
            if is_of_signal(error):
                raise
            self.trouble.report(error, f'the arguments of "{entry.name}" cannot be made')
            return None

    def close(self) -> None:
        """Give up the lease, and the connection."""
        self.leadership.give_up()
        self.ledger.close()
        super().close()
