"""Any broker that kombu has a transport for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from tasktools.brokers.base import Broker, with_stock_urls
from tasktools.brokers.masking import masked
from tasktools.brokers.opening import open_store
from tasktools.brokers.urls import flaw
from tasktools.environment.shadowing import explained
from tasktools.exceptions import ConfigurationError, TasktoolsError
from tasktools.render import ended

if TYPE_CHECKING:
    from celery import Celery


class PortableBroker(Broker):
    """What works with every transport of kombu."""

    @staticmethod
    def connection(app: Celery, *, reads: bool = False, **options: Any) -> Any:
        """Return an unconnected kombu Connection, after a look-up of its transport. With `reads`, it is that of a worker.

        Raises ConfigurationError when the transport is unknown, its library is missing, or the URL cannot be used.
        """
        special = "broker_read_url" if reads else "broker_write_url"
        is_own = os.environ.get(f"CELERY_{special.upper()}") or app.conf[special]
        setting = special if is_own else "broker_url"
        url = app.conf.broker_read_url if reads else app.conf.broker_write_url  # with the variables that Celery reads
        try:
            connection = (app.connection_for_read if reads else app.connection_for_write)(**options)
            connection.transport  # noqa: B018 - looks the transport up
        except TasktoolsError:
            raise
        except ImportError as error:
            raise explained(error) or ConfigurationError(
                f'The broker "{masked(url)}" needs a library that is not installed: {ended(str(error))}',
                hint="install it; Celery names it as an extra: pip install 'celery[redis]', 'celery[sqs]', ...",
            ) from error
        except Exception as error:  # a transport without its library may also raise NameError or RuntimeError
            why, hint = flaw(url, error, f"CELERY_{setting.upper()}")
            raise ConfigurationError(f'The broker "{masked(url)}" {why}.', hint=hint) from error
        return connection

    def uri(self) -> str:
        url = self.app.conf.broker_write_url or self.app.conf.broker_url
        shown = masked(url) if url else str(self.connection(self.app).as_uri())
        return with_stock_urls(shown)

    @property
    def is_in_process(self) -> bool:
        return str(self.connection(self.app).transport.driver_type) == "memory"

    def ping(self, limit: float) -> None:
        self.publishing_connection(limit).release()

    def publishing_connection(self, limit: float, **more: Any) -> Any:
        options = {**self.options(limit), **more.pop("transport_options", {})}
        connection = self.connection(self.app, connect_timeout=limit, transport_options=options, **more)
        connection.ensure_connection(max_retries=0, timeout=limit, reraise_as_library_errors=False)
        connection.default_channel  # noqa: B018 - opens it: only then do some transports talk to the broker
        open_store(connection)
        return connection

    def options(self, limit: float) -> dict[str, Any]:
        """Return the transport options for which a publish fails when it should: it does not hang or seem to succeed."""
        return {}


#: What AMQP, and kombu in its name, answers for a queue that does not exist. kombu's own transports say it as text.
NO_QUEUE = "404"


def queue_length(connection: Any, name: str) -> int:
    """Return how many messages wait in a queue; 0 for one that does not exist. `connection` is kombu's.

    Raises what the transport raises for a queue that this user may not read, or that another connection has to itself.
    """
    with connection.channel() as channel:  # a new one: an error closes a channel
        if connection.transport.driver_type == "redis":  # kombu asks EXISTS, without the keys' prefix
            from tasktools.brokers.keys import Keys

            return Keys(channel).length(name)
        try:
            return int(channel.queue_declare(name, passive=True).message_count)
        except connection.channel_errors as error:
            if str(getattr(error, "reply_code", "")) != NO_QUEUE:
                raise
            return 0
