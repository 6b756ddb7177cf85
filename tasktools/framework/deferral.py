"""A time of `run_after` that the broker does not wait for: it gives the message to a second worker before."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from celery import Celery

logger = logging.getLogger("tasktools")

#: The visibility timeouts of the brokers that have one, in seconds, if nobody sets it.
_USUAL = {"redis": 3600, "sqs": 1800}

#: The tasks of which the log was told.
_told: set[str] = set()


def warn(app: Celery, name: str, after: datetime) -> None:
    """Log, once for each task, that a call which is to run at `after` runs twice."""
    if name in _told:
        return
    seconds = (after - datetime.now(after.tzinfo)).total_seconds()  # as it is: without USE_TZ, Django takes both kinds
    limit = _limit(app)
    if limit is not None and seconds > limit:
        _told.add(name)
        hours = (int(seconds) // 3600 + 1) * 3600
        logger.warning(
            "%s is to run in %d s, and after %g s the broker gives its message to another worker as well: it runs twice. "
            'Hint: CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": %d}',
            *(name, seconds, limit, hours),
        )


def _limit(app: Any) -> float | None:
    """Return the visibility timeout of the broker, in seconds; None if it has none, or if somebody else sets it."""
    options = app.conf.broker_transport_options
    options = options if isinstance(options, dict) else {}
    usual = _USUAL.get(app.connection_for_write().transport.driver_type)
    if usual is None or options.get("predefined_queues") or not options.get("ack_emulation", True):
        return None
    chosen = options.get("visibility_timeout") or usual
    return float(chosen) if isinstance(chosen, (int, float)) else None
