"""One beat is in charge, the others stand by: what a beat does about the lease, and what it says of that."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from celery.utils.log import get_logger

from tasktools.beat.clock import Clock
from tasktools.beat.records import Beat, is_introduction
from tasktools.brokers.lease import Holder, Lease
from tasktools.brokers.timeouts import TimedOut, within_thread
from tasktools.brokers.transactions import Overtaken
from tasktools.exceptions import HeldElsewhere
from tasktools.project import current_project
from tasktools.terminal import line

logger = get_logger("celery.beat")

#: The part of the lease after which the beat in charge says that it still is.
RENEWAL = 0.6

#: How many times as long as the longest piece of work the lease lasts at least: when one begins, 0.4 of it may be left.
MARGIN = 3

#: What is left of the longest piece of work after another round that works.
FORGOTTEN = 0.97

#: How long a beat that ends tries to give up its lease, in seconds.
FAREWELL = 0.4

#: A difference of the clocks that is reported, in seconds.
WRONG = 5.0


class Leadership:
    """Whether this beat is in charge. `lease` is None while there is no connection."""

    def __init__(self, me: Beat, clock: Clock, *, seconds: float, stands_by: bool) -> None:
        """`seconds` is how long the lease lasts."""
        self.me = me
        self.clock = clock
        self.seconds = seconds
        self.stands_by = stands_by
        self.lease: Lease | None = None
        self.in_charge = False
        #: How often this beat has taken charge: in between, another one may have been.
        self.terms = 0
        #: By how much the clock has changed at the last look at the lease, in seconds.
        self.jump = 0.0
        #: How long a piece of work between two looks at the lease may take, in seconds, by those before. The lease outlasts it.
        self.busy = 0.0
        #: Until when this beat waits for the lease of another one, as time.monotonic().
        self.waits_until = 0.0
        #: What is entered while nothing is being done that must not be interrupted.
        self.idle: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext
        #: When the lease is to be kept, when it ends unless that happens, and when this piece of work began (time.monotonic()).
        self._renew_at = self._ends_at = self._piece_began = 0.0
        #: The longest piece of this round, in seconds.
        self._longest = 0.0
        self._term = 0
        self._other: str | None = None
        self._standby_text = ""
        self._reported = 0.0

    def is_due(self) -> bool:
        """Whether the lease is to be taken or kept before anything is sent."""
        return not self.in_charge or time.monotonic() >= self._renew_at

    def pause(self) -> float:
        """Return in how many seconds the lease is to be kept again."""
        return max(0.0, self._renew_at - time.monotonic())

    def ask_again(self) -> None:
        """Look at the lease before anything is sent again."""
        self._renew_at = 0.0

    def ensure(self, lease: Lease) -> bool:
        """Take or keep the lease; return False after a while of standing by.

        Raises HeldElsewhere if this beat must not stand by, and what the lease raises.
        """
        if self.lease is not lease:
            self._term = 0
            lease.recognizes = is_introduction
            lease.ask_time()
            self.clock.adopt(lease.server_time)
        self.lease = lease
        other = self._hold(lease)
        self._adopt(lease)
        if lease.foreign:
            logger.error("beat: %s.", line(lease.foreign))
            lease.foreign = ""
        if other is not None:
            self._stand_by(lease, other)
            return False
        if not self.in_charge:
            self._take_charge(lease)
        if lease.terms != self._term:
            self._term = lease.terms
            self.terms += 1
        return True

    def keep(self) -> None:
        """Keep the lease in the middle of a round if it is time. This is called between two pieces of work.

        Raises Overtaken when another beat is in charge, and what the lease raises.
        """
        self._end_piece()
        if self.lease is not None and self.is_due() and self._hold(self.lease) is not None:
            raise Overtaken("Another beat is in charge.")

    def _hold(self, lease: Lease) -> Holder | None:
        """Take or keep the lease. If that has ended meanwhile, this beat is in charge since now."""
        seconds = max(self.seconds, MARGIN * self.busy)
        began = time.monotonic()
        other = lease.hold(replace(self.me, since=self.clock.now()).text(), seconds)
        if other is None:
            self._ends_at = began + seconds
            self._renew_at = began + min(RENEWAL * seconds, lease.longest_pause)
        return other

    def _take_charge(self, lease: Lease) -> None:
        if self._other is not None:
            logger.warning("beat: in charge now, after %s.", _named(self._other))
        else:
            logger.info("beat: in charge.")
        self.in_charge, self._other, self._standby_text = True, None, ""

    def _stand_by(self, lease: Lease, other: Holder) -> None:
        if not self._standby_text:
            self._standby_text = replace(self.me, since=self.clock.now()).text()
        if not self.stands_by:
            error = HeldElsewhere(
                f"Another beat is in charge: {_introduced(other.text, self.me)}.",
                hint="leave out --no-standby to wait for it",
            )
            current_project().beat_end = error
            raise error
        if self.in_charge or self._other != other.text:
            logger.warning("beat: standing by. In charge: %s.", _introduced(other.text, self.me))
        self.in_charge, self._other = False, other.text
        self.waits_until = time.monotonic() + other.seconds
        lease.wait(self._standby_text, other.seconds + 0.005)

    def _adopt(self, lease: Lease) -> None:
        self.jump = self.clock.adopt(lease.server_time)
        ahead = self.clock.ahead() if lease.server_time else 0.0
        if abs(ahead) > WRONG and abs(ahead - self._reported) > WRONG:
            side = "ahead of" if ahead > 0 else "behind"
            logger.warning(
                "beat: the clock of this machine is %.0f s %s that of the broker, which beat goes by.", abs(ahead), side
            )
            self._reported = ahead
        elif abs(ahead) <= WRONG:
            self._reported = 0.0

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Measure how long a round works without a look at the lease. The longest counts, and is forgotten slowly."""
        left = self.busy * FORGOTTEN
        self._piece_began, self._longest = time.monotonic(), 0.0
        try:
            yield
        finally:
            self._end_piece()
            self.busy = max(self._longest, left)

    def _end_piece(self) -> None:
        now = time.monotonic()
        self._longest = max(self._longest, now - self._piece_began)
        self.busy = max(self.busy, self._longest)
        self._piece_began = now

    def overtaken(self) -> None:
        """Report why a round was in vain, and look at the lease before the next one."""
        if time.monotonic() > self._ends_at:
            logger.warning(
                "beat: its work took longer than its lease lasts. It starts again and asks for a longer lease."
            )
        else:
            logger.warning("beat: another beat has taken charge, or the broker has lost what beat keeps there.")
        self.ask_again()

    def lost(self) -> None:
        """Note that the connection is gone: the lease may end before there is another."""
        self.lease = None
        self.ask_again()

    def give_up(self) -> None:
        """Let another beat take charge at once, if the broker answers."""
        if self.lease is not None:
            with contextlib.suppress(Exception, TimedOut):
                within_thread(FAREWELL, self.lease.give_up, self._standby_text)
        self.in_charge, self.lease = False, None


def _named(text: str) -> str:
    beat = Beat.of(text)
    return line(str(beat)) if beat else "another one"


def _introduced(text: str, me: Beat) -> str:
    """Return who that is, since when, and how it differs."""
    beat = Beat.of(text)
    if beat is None:
        return "one that cannot be read" if text else "another one"
    since = f" since {beat.since.isoformat(sep=' ', timespec='seconds')}" if beat.since else ""
    names = {"code": "other code", "schedule": "another schedule", "scheduler": "another scheduler"}
    differs = [said for name, said in names.items() if getattr(beat, name) != getattr(me, name)]
    return line(f"{beat}{since}{', with ' if differs else ''}{' and '.join(differs)}")
