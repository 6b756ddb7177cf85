"""Where what is paused is kept, for each broker, and what is paused now."""

from __future__ import annotations

from typing import Any

from tasktools.brokers.keys import Keys
from tasktools.queues.database_pauses import DatabasePauses
from tasktools.queues.pauses import Pause, Pauses, RedisPauses, utc_now


def pauses_of(connection: Any) -> Pauses:
    """Return where the pauses are kept of the broker to which `connection` (kombu's) leads."""
    if connection.transport.driver_type == "redis":
        return RedisPauses(Keys(connection.default_channel))
    return DatabasePauses()


def paused_now(connection: Any) -> list[Pause]:
    """Return what is paused, as far as that can be read: a site need not have a place for it. `connection` is kombu's."""
    try:
        return pauses_of(connection).read(utc_now())
    except Exception:  # noqa: BLE001 - what the broker itself has, another question tells
        return []
