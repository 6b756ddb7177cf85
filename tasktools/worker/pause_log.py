"""What the log of a worker says of pauses: which it learns of, and which end."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timezone

from tasktools.arguments.names import shown
from tasktools.queues.pauses import Pause, words

logger = logging.getLogger(__name__)

Pauses = Mapping[tuple[str, str], Pause]


def log_changes(before: Pauses, after: Pauses, now: datetime, *, is_told: bool) -> None:
    """Log what has become paused, and what no longer is. `is_told` if a command said so, and not a look at what is kept.

    Warnings: a worker that does nothing must say why, and at the usual level of a worker of Celery nothing less is logged.
    """
    for key in sorted(after.keys() - before.keys()):
        if not after[key].is_over(now):
            logger.warning("Paused: %s %s, %s (times in UTC).", key[0], shown(key[1]), words(after[key], timezone.utc))
    for key in sorted(before.keys() - after.keys()):
        logger.warning("No longer paused: %s %s: %s.", key[0], shown(key[1]), _why(before[key], now, is_told=is_told))


def _why(pause: Pause, now: datetime, *, is_told: bool) -> str:
    if is_told:
        return "it was resumed"
    if pause.is_over(now):
        return "its time is over"
    return "its pause is no longer kept; if nobody has run resumequeue, the data of the broker or the database is lost"
