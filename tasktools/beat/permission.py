"""Whether the broker's user may do what our scheduler does: a Redis may allow a user some keys and commands only (ACL)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redis.exceptions import NoPermissionError

from tasktools.beat.records import key_of, lease_of
from tasktools.brokers import broker_of
from tasktools.brokers.keys import Keys
from tasktools.brokers.reach import connect, reach, reason_at_end
from tasktools.exceptions import ConfigurationError, TasktoolsError

if TYPE_CHECKING:
    from celery import Celery

#: How long connecting, and the answers, may take, in seconds.
LIMIT = 2.5


def refusal(app: Celery) -> ConfigurationError | None:
    """Return why the broker of `app` lets its user keep no state of beat; None if it does, or does not answer now."""
    try:
        broker = broker_of(app)
        broker.prepare()
        connection = connect(broker, LIMIT)
    except TasktoolsError:  # beat itself waits for it, and reports it
        return None
    try:
        return reach(broker.name, LIMIT, _refused, app, connection)
    except TasktoolsError:
        return None
    finally:
        connection.release()


def _refused(app: Celery, connection: Any) -> ConfigurationError | None:
    """Use the commands of a beat in charge on a key that expires at once."""
    keys = Keys(connection.default_channel)
    name = keys.full(f"{key_of(app)}:permission")
    try:
        keys.client.get(keys.full(lease_of(app)))
        with keys.client.pipeline(transaction=True) as pipe:
            pipe.watch(name)
            pipe.hgetall(name)
            pipe.multi()
            pipe.hset(name, "may", "1")
            pipe.hdel(name, "may")
            pipe.set(name, "1", px=1)
            pipe.pexpire(name, 1)
            pipe.execute()
    except NoPermissionError as error:
        prefix = f"{keys.prefix}tasktools:beat:"
        return ConfigurationError(
            f"Beat cannot keep its state in the broker, so it uses Celery's scheduler and a file: {reason_at_end(error)}",
            hint=f"allow the broker's user the keys {prefix}* and what beat does with them: ACL SETUSER ... ~{prefix}*",
        )
    return None
