"""W014: a RedBeat that stands by takes over soon."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning

from tasktools.celery_compat import DEFAULTS
from tasktools.discovery.celery_app import Found

#: The ids that this module can give.
IDS = ("tasktools.W014",)

#: A time without any beat that is reported, in seconds.
LONG = 60.0

#: What RedBeat and Celery take if nothing is set: a lock of five looks, and a look every 300 s.
_LOCK, _LOOK = 5, 300.0


def check(found: Found) -> list[CheckMessage]:
    """Check the lock of RedBeat against the pause in which a beat that stands by looks at it."""
    conf: Any = found.app.conf
    if conf.beat_scheduler == DEFAULTS.here()["beat_scheduler"]:
        return []
    from tasktools.beat.choice import is_redbeat, redbeat_setting  # imports celery.beat

    if not is_redbeat(str(conf.beat_scheduler)) or redbeat_setting(found.app, "lock_key", "redbeat::lock") is None:
        return []
    try:
        look = float(conf.beat_max_loop_interval or _LOOK)
        lock = float(redbeat_setting(found.app, "lock_timeout", 0) or _LOCK * look)
    except (TypeError, ValueError):  # RedBeat itself reports it
        return []
    if lock + look <= LONG:
        return []
    return [
        CheckWarning(
            f"If the RedBeat in charge is killed, nobody sends anything for up to {lock + look:g} s: its lock lasts {lock:g} s, "
            f"and one that stands by looks every {look:g} s.",
            hint="CELERY_BEAT_MAX_LOOP_INTERVAL = 1 and CELERY_REDBEAT_LOCK_TIMEOUT = 5, for example",
            id="tasktools.W014",
        )
    ]
