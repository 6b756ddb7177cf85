"""When an entry of the schedule runs: the entry itself is asked, as a scheduler asks it, by a clock that is handed in."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from celery.schedules import crontab

from tasktools import render
from tasktools.arguments.names import shown
from tasktools.beat import doubled_hour
from tasktools.beat.missed import expired_at
from tasktools.brokers.reach import reason
from tasktools.celery_compat import ENTRY_NOW
from tasktools.exceptions import TasktoolsError, tried

if TYPE_CHECKING:
    from celery import Celery

#: How often a schedule is asked at most, and how far ahead, in years: 29 February is a Monday every 28 years, 40 at the most.
MOST_QUESTIONS, FARTHEST = 10_000, 50

#: How far two times may be apart that count as the same, in seconds.
SAME = 1.0

#: The last day of the calendar: every time before it exists in every time zone.
_END = datetime(9999, 12, 31, tzinfo=timezone.utc)


class Unanswered(TasktoolsError):
    """A schedule does not say when it is due."""


@dataclass(frozen=True, kw_only=True)
class Time:
    """A time at which an entry runs."""

    #: Aware, in the app's time zone.
    at: datetime
    #: What a change of the clocks does to it; "" for nothing.
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Times:
    """When an entry runs."""

    times: tuple[Time, ...] = ()
    #: Why there are no (further) times, "" if that is known.
    fault: str = ""


def collected(dial: Dial, now: datetime, count: int, *, since: datetime | None = None) -> Times:
    """Return the first `count` times from `now` on. With `since`, the entry is asked from then on.

    Of a schedule that fails, the times that it has said are returned, and its fault.
    """
    found: list[Time] = []
    now = now.astimezone(timezone.utc)  # two times of one zone are compared by their hands alone
    try:
        for time in runs(dial, since or now):
            if len(found) >= count:
                break
            if time.at >= now:
                found.append(time)
    except Unanswered as error:
        return Times(times=tuple(found), fault=error.sentence)
    return Times(times=tuple(found))


def runs(dial: Dial, now: datetime) -> Iterator[Time]:
    """Yield the times at which a scheduler runs an entry from `now` on, as long as nothing keeps it from that.

    A scheduler asks the entry, waits for as many seconds as the entry says, and asks again.

    Raises Unanswered.
    """
    at, last = now.astimezone(timezone.utc), now.year + FARTHEST
    for _ in range(MOST_QUESTIONS):
        try:
            is_due, seconds = dial.ask(at)
        except Unanswered as error:
            if _is_end_of_calendar(error, at):
                return
            raise
        if is_due and dial.is_dropped():
            seconds = 0.0  # it is asked anew
        elif is_due:
            yield dial.time(at)
            dial.ran()
            is_due_again, sooner = dial.ask(
                at
            )  # as a scheduler does: up to Celery 5.6 a change of the clocks shortens a pause
            seconds = seconds if is_due_again else sooner
        if not is_due and not dial.was_asked and seconds is not None:
            yield from _own_clock(dial, at, seconds)
        if seconds is None or seconds > FARTHEST * 366 * 86400:
            return
        wait = timedelta(microseconds=max(1, math.ceil(seconds * 1e6)))
        if wait >= _END - at or (at := at + wait).year > last:
            return
    raise Unanswered(f"it is not due before {at.astimezone(dial.app.timezone):%Y-%m-%d %H:%M}, as often as it is asked")


def _is_end_of_calendar(error: Unanswered, at: datetime) -> bool:
    """Whether a schedule has looked for a time after year 9999, where there is none; Celery's crontab raises RuntimeError."""
    return isinstance(error.__cause__, (OverflowError, RuntimeError, ValueError)) and at.year + FARTHEST >= _END.year


def _own_clock(dial: Dial, at: datetime, seconds: float) -> Iterator[Time]:
    """Yield the only time that a schedule can say that reads a clock of its own. Raises Unanswered."""
    if abs((at - datetime.now(timezone.utc)).total_seconds()) < SAME:
        yield dial.time(at + timedelta(seconds=seconds))
    raise Unanswered("its class goes by a clock of its own: no more than its next time is known")


class Dial:
    """A copy of an entry, whose clock can be set. The entry, its schedule and its row in a database stay as they are."""

    def __init__(self, entry: Any, app: Celery, *, is_ours: bool = False) -> None:
        """With `is_ours`, the entry is asked as our scheduler does it; a run is left out whose expires has passed.

        Raises Unanswered.
        """
        self.app = app
        #: Whether the last answer depends on the clock.
        self.was_asked = False
        self._at = datetime.now(timezone.utc)
        self._is_ours = is_ours
        self._form = tried(lambda: _form_of(entry.schedule, app), _failed)
        self.entry = tried(lambda: _likeness(entry), _failed)
        self.entry.schedule = tried(lambda: self._following(entry.schedule), _failed)
        ENTRY_NOW.put(self.entry, self.now)
        if hasattr(entry, "model"):
            self.entry.model = copy(entry.model)
            self.entry.model.save = lambda *_, **__: None  # an entry that is over disables itself

    def now(self) -> datetime:
        """Return what the clock shows, in the form of the schedule's own clock."""
        self.was_asked = True
        return self._form(self._at)

    def ask(self, at: datetime) -> tuple[bool, float | None]:
        """Return whether the entry is due at `at`, and in how many seconds to ask again; None for never.

        Raises Unanswered.
        """
        self._at, self.was_asked = at, False
        answer: Any = tried(self._answer, _failed)
        seconds = tried(lambda: _seconds(answer), lambda _: math.nan)
        if seconds is not None and math.isnan(seconds):
            what = shown(render.repr_of(answer))
            raise Unanswered(f"its is_due returns {what}, not whether it is due and the seconds to its next time")
        return bool(answer[0]), None if seconds is None else max(seconds, 0.0)

    def _answer(self) -> Any:
        if self._is_ours:
            return doubled_hour.ask(self.entry, lambda entry: entry.is_due())
        return self.entry.is_due()

    def is_dropped(self) -> bool:
        """Whether the run that is due is not sent; the entry then goes on from the time that it has missed."""
        late = expired_at(self.entry, self.now()) if self._is_ours else None
        if late is not None:
            self.entry.last_run_at = late
        return late is not None

    def set_back(self, last_run: datetime) -> None:
        """Note when the entry ran last."""
        self.entry.last_run_at = self._form(last_run)

    def ran(self) -> None:
        """Note that the entry has run, as a scheduler notes it."""
        self.entry.last_run_at = self.now()
        self.entry.total_run_count += 1
        if hasattr(self.entry, "model"):
            self.entry.model.total_run_count += 1

    def time(self, at: datetime) -> Time:
        """Return the time of a run, with what a change of the clocks does to it."""
        return Time(at=at.astimezone(self.app.timezone), note=tried(lambda: self._note(at), lambda _: ""))

    def _note(self, at: datetime) -> str:
        schedule = self.entry.schedule
        if not isinstance(schedule, crontab):
            return ""  # it does not go by the hands of a clock
        last, delta, now = schedule.remaining_delta(self.entry.last_run_at)
        wanted: datetime = last.replace(tzinfo=None) + delta
        first, second = (wanted.replace(tzinfo=now.tzinfo, fold=fold).astimezone(timezone.utc) for fold in (0, 1))
        if first < at < second and not _is_near(at, first, second):
            return f"{wanted:%H:%M} comes twice on that day: it is sent again and again until the second one"
        if first == second or not _is_near(at, first, second):
            return ""
        if first.astimezone(now.tzinfo).replace(tzinfo=None, fold=0) != wanted:
            return f"{wanted:%H:%M} does not exist on that day"
        return f"{wanted:%H:%M} comes twice on that day: the {'first' if _is_near(at, first) else 'second'} one"

    def _following(self, schedule: Any) -> Any:
        """Return a copy of a schedule that goes by this clock."""
        mine = _likeness(schedule)
        mine.nowfun = mine.now = self.now
        mine.app = self.app
        return mine


def _is_near(at: datetime, *others: datetime) -> bool:
    return any(abs((at - each).total_seconds()) < SAME for each in others)


def _likeness(each: Any) -> Any:
    """Return a copy that shares all attributes. copy() would make a schedule anew, with some of its arguments."""
    made = object.__new__(type(each))
    vars(made).update(vars(each))
    return made


def _form_of(schedule: Any, app: Celery) -> Callable[[datetime], datetime]:
    """Return what makes of a time what the schedule's own clock would return."""
    own = getattr(schedule, "nowfun", None)
    example: datetime | None = own() if own else None
    if example is None:
        return lambda at: at.astimezone(app.timezone)
    zone = example.tzinfo
    if zone is not None:
        return lambda at: at.astimezone(zone)
    is_local = abs(example - datetime.now()) < timedelta(minutes=1)  # noqa: DTZ005 - as a naive clock does
    return lambda at: at.astimezone(None if is_local else timezone.utc).replace(tzinfo=None)


def _seconds(answer: Any) -> float | None:
    """Return the second part of the answer of is_due. Raises what a wrong answer leads to."""
    _, seconds = answer
    return None if seconds is None else float(seconds)


def _failed(error: BaseException) -> Any:
    if isinstance(error, Unanswered):
        raise error
    raise Unanswered(f"it cannot say when it is due: {type(error).__name__}: {reason(error)}") from error
