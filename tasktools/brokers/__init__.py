"""What kombu does not know or do: one adapter for each kind of broker, chosen here and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasktools.brokers.base import Broker

if TYPE_CHECKING:
    from celery import Celery


def broker_of(app: Celery) -> Broker:
    """Return the adapter for the broker that `app` (a Celery app) is configured for.

    Raises ConfigurationError when kombu knows no such transport, or lacks the library for it.
    """
    from tasktools.brokers.portable import PortableBroker
    from tasktools.brokers.redis import RedisBroker

    connection = PortableBroker.connection(app)
    kind = RedisBroker if connection.transport.driver_type == "redis" else PortableBroker
    return kind(app)
