"""A schedule in plain English: "every 30 s", "at 07:30 on Monday to Friday".

What a crontab means is read from the sets of numbers that Celery has made of its fields. A library that describes the text of
cron (cron-descriptor) reads the fields by a grammar of its own: it refuses `sunday`, cannot have a set of numbers, and says
"every 7 minutes" of `*/7`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any

from celery.schedules import crontab, solar
from celery.schedules import schedule as Every

from tasktools.arguments.names import shown
from tasktools.exceptions import tried

_DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)

#: So many times of a day are listed.
_MOST_TIMES = 4


def describe(schedule: Any) -> str:
    """Return a schedule of celery.schedules, or of a class made from these, in words. Of another one, return its repr."""
    return tried(lambda: _described(schedule), lambda _: f"a schedule of class {type(schedule).__name__}")


def _described(schedule: Any) -> str:
    if isinstance(schedule, crontab):
        zone = vars(schedule).get("tz") if type(schedule) is not crontab else None
        return f"{_crontab(schedule)}{f', {zone}' if zone else ''}"
    if isinstance(schedule, solar):
        return f"at {schedule.event.replace('_', ' ')} in {schedule.lat:g}, {schedule.lon:g}"
    if isinstance(schedule, Every) and type(schedule).is_due is Every.is_due:
        every: timedelta = getattr(schedule, "run_every")  # noqa: B009 - the stubs of Celery's types lack it
        return f"every {span(every)}{', at round times' if schedule.relative else ''}"
    once = getattr(schedule, "clocked_time", None)  # django_celery_beat.clockedschedule
    return f"once, at {once.isoformat(sep=' ', timespec='seconds')}" if once else shown(repr(schedule))


def span(length: timedelta) -> str:
    """Return a length of time as "1 h 30 min"."""
    seconds = length.total_seconds()
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        count, seconds = divmod(seconds, size)
        parts += [f"{count:g} {unit}"] * bool(count)
    return " ".join([*parts, *[f"{round(seconds, 6):g} s"] * bool(seconds or not parts)])


def _crontab(schedule: Any) -> str:
    times = _times(sorted(schedule.minute), sorted(schedule.hour))
    days = _days(sorted(schedule.day_of_week), sorted(schedule.day_of_month))
    months = sorted(schedule.month_of_year)
    parts = [times, days or ("every day" if times.startswith("at ") and ":" in times else "")]
    if len(months) < 12:
        parts.append(f"in {_listed(months, ('', *_MONTHS))}")
    return " ".join(part for part in parts if part)


def _times(minutes: Sequence[int], hours: Sequence[int]) -> str:
    if len(minutes) * len(hours) <= _MOST_TIMES:
        return f"at {_joined([f'{hour:02}:{minute:02}' for hour in hours for minute in minutes])}"
    if len(hours) == 24:
        return _minutes(minutes)
    if minutes == [0] and _step(hours, 24):
        return f"every {_step(hours, 24)} h"
    if len(minutes) == 60 or _step(minutes, 60):
        if _is_run(hours):
            return f"{_minutes(minutes)} from {hours[0]:02}:00 to {hours[-1]:02}:59"
        return f"{_minutes(minutes)} in the hours {_listed(hours)}"
    return f"at {_listed(minutes)} min past the hours {_listed(hours)}"


def _minutes(minutes: Sequence[int]) -> str:
    if len(minutes) == 60:
        return "every minute"
    if minutes == [0]:
        return "every hour"
    step = _step(minutes, 60)
    return f"every {step} min" if step else f"at {_listed(minutes)} min past every hour"


def _days(weekdays: Sequence[int], days: Sequence[int]) -> str:
    """Return the days on which it runs. A day must fit both fields, other than with cron."""
    named = ""
    if len(weekdays) < 7:
        monday_first = sorted(weekdays, key=lambda day: (day - 1) % 7)
        shifted = [(day - 1) % 7 for day in monday_first]
        named = _listed(shifted, (*_DAYS[1:], _DAYS[0]))
    if len(days) == 31:
        return f"on {named}" if named else ""
    dates = f"day {_listed(days)} of the month"
    return f"on {named} that is {dates}" if named else f"on {dates}"


def _step(numbers: Sequence[int], whole: int) -> int:
    """Return the step of numbers that begin at 0 and divide `whole` evenly; 0 if they are no such."""
    step = numbers[1] if len(numbers) > 1 and numbers[0] == 0 else 0
    return step if step > 1 and whole % step == 0 and [*numbers] == [*range(0, whole, step)] else 0


def _is_run(numbers: Sequence[int]) -> bool:
    return numbers[-1] - numbers[0] == len(numbers) - 1


def _listed(numbers: Sequence[int], names: Sequence[str] | None = None) -> str:
    """Return numbers, or what they are the index of, as "1 to 5, 7 and 9": three and more in a row are a range."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])

    def word(number: int) -> str:
        return names[number] if names else str(number)

    parts = []
    for run in runs:
        parts += [f"{word(run[0])} to {word(run[-1])}"] if len(run) > 2 else [word(number) for number in run]
    return _joined(parts)


def _joined(parts: Collection[str]) -> str:
    *most, last = parts
    return f"{', '.join(most)} and {last}" if most else last
