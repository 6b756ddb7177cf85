"""Clocks that differ: a countdown, an expiry and a schedule are times, and each machine reads its own clock. Pure."""

from __future__ import annotations

from datetime import timedelta

from tasktools.beat.words import span
from tasktools.doctor.findings import Line, error, ok, warning

#: From how many seconds on a difference is a warning, and an error. Messages between the two clocks take a while.
DOUBTFUL, WRONG = 5.0, 60.0

_REMEDY = "set both clocks by NTP (timedatectl set-ntp true)"


def line(whose: str, ahead: float) -> Line:
    """Return the line of a clock, which is `ahead` seconds ahead of that of this process. `whose` has its article."""
    if abs(ahead) < DOUBTFUL:
        return ok("clock", f"that of {whose} is as here")
    length = span(timedelta(seconds=round(abs(ahead))))
    text = f"The clock of {whose} is {length} {'ahead of' if ahead > 0 else 'behind'} that of this machine."
    consequence = "Calls with a countdown or an expiry run at the wrong time, or never."
    return (error if abs(ahead) >= WRONG else warning)("clock", f"{text} {consequence}", _REMEDY)
