"""What kombu cannot do: one adapter for each kind of broker. Only this module chooses the adapter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasktools.brokers.base import Broker

if TYPE_CHECKING:
    from celery import Celery


def broker_of(app: Celery) -> Broker:
    """Return the adapter for the broker that `app` (a Celery app) is configured for.

    Raises ConfigurationError when kombu does not know the transport, or its library is missing.
    """
    from tasktools.brokers.portable import PortableBroker

    connection = PortableBroker.connection(app)
    if connection.transport.driver_type == "redis":
        from tasktools.brokers.redis import RedisBroker

        return RedisBroker(app)
    if connection.transport.driver_name == "py-amqp":
        from tasktools.brokers.amqp import AmqpBroker

        return AmqpBroker(app)
    return PortableBroker(app)
