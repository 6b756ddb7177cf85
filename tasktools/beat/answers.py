"""What schedules answer when beat asks whether they are due. They may be code of the project."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from celery.utils.log import get_logger

from tasktools.beat import doubled_hour
from tasktools.beat.trouble import Trouble
from tasktools.exceptions import is_of_signal
from tasktools.terminal import line

logger = get_logger("celery.beat")

#: How long to wait before a schedule that fails is asked again, in seconds.
FAILED = 60.0

#: How long to wait at least before a schedule that is not due is asked again, in seconds.
SOON = 0.005

#: So many answers in a row may say "due" without a pause: a schedule of the project may make up for runs that were missed.
IN_A_ROW = 20

#: How long to wait then before the schedule is asked again, in seconds.
RESTLESS = 1.0


class Answers:
    """Asks the schedules of entries, and keeps those within bounds that do not answer as they should."""

    def __init__(self, trouble: Trouble, is_due: Callable[[Any], Any]) -> None:
        """`is_due` is the scheduler's own method, which a class of a project may override."""
        self._trouble = trouble
        self._is_due = is_due
        #: By the entry's name: how many of its last answers said "due" without a pause.
        self._restless: Counter[Any] = Counter()
        self._said: set[Any] = set()

    def ask(self, entry: Any) -> tuple[bool, float]:
        """Return whether an entry is due, and the seconds to its next run."""
        try:
            is_due, seconds = doubled_hour.ask(entry, self._is_due)
            pause = float(seconds)
            if pause != pause:
                raise ValueError("it answers NaN")
            return bool(is_due), self._pause(entry.name, bool(is_due), min(max(pause, 0.0), 1e9))
        except BaseException as error:  # one schedule that fails must not stop the others
            if is_of_signal(error):
                raise
            self._trouble.report(error, f'the schedule of "{entry.name}" cannot say when it is due')
            return False, FAILED

    def _pause(self, name: Any, is_due: bool, seconds: float) -> float:
        """Return how long to wait: as the schedule says, unless it would send without end."""
        if not is_due or seconds > 0:
            self._restless.pop(name, None)
            return seconds
        self._restless[name] += 1
        if self._restless[name] <= IN_A_ROW:
            return seconds
        if name not in self._said:
            self._said.add(name)
            logger.warning(
                'beat: the schedule of "%s" is due again and again without a pause. From now on it is asked once a second.',
                line(str(name)),
            )
        return RESTLESS
