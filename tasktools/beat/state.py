"""What the beats of an app have left in the broker, as somebody else reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from redis.exceptions import ResponseError

from tasktools.beat.records import CHARGE, Beat, LastRun, key_of, lease_of
from tasktools.brokers import broker_of
from tasktools.brokers.reach import connect, reach

if TYPE_CHECKING:
    from celery import Celery

    from tasktools.brokers.lease import Holder

T = TypeVar("T")

#: How long connecting, and each answer, may take, in seconds.
LIMIT = 4.0


@dataclass(frozen=True, kw_only=True)
class State:
    """The beats of an app, and when its entries last ran."""

    #: Whether the broker knows: Redis and Valkey do.
    is_known: bool = True
    in_charge: Beat | None = None
    #: Whether something is at the key of the lease, or of the last runs, that no beat has written.
    is_foreign: bool = False
    standing_by: list[Beat] = field(default_factory=list)
    #: By the field of the entry (field_of).
    runs: Mapping[str, LastRun] = field(default_factory=dict)


def read_state(app: Celery) -> State:
    """Return what the broker of `app` knows.

    Raises Unreachable when it does not answer within LIMIT, and ConfigurationError when it cannot be used.
    """
    broker = broker_of(app)
    if not broker.supports_transactions:
        return State(is_known=False)
    broker.prepare()
    connection = connect(broker, LIMIT)
    try:
        return reach(broker.name, LIMIT, _read, app, connection)
    finally:
        connection.release()


def _read(app: Celery, connection: object) -> State:
    from tasktools.brokers.keys import Keys
    from tasktools.brokers.redis_lease import holder_of, standing_by

    keys = Keys(connection.default_channel)  # type: ignore[attr-defined]
    foreign: list[str] = []
    holder = _unless_foreign(foreign, None, holder_of, keys, lease_of(app))
    standing: list[Holder] = _unless_foreign(foreign, [], standing_by, keys, lease_of(app))
    runs: dict[bytes, bytes] = _unless_foreign(foreign, {}, keys.client.hgetall, keys.full(key_of(app)))
    return state_of(holder, runs, standing_by=standing, is_foreign=bool(foreign))


def state_of(
    holder: Holder | None,
    runs: Mapping[bytes, bytes],
    *,
    standing_by: Iterable[Holder] = (),
    is_foreign: bool = False,
) -> State:
    """Return the state that the lease and the hash `key_of` say; `is_foreign` if something of another type is there."""
    fields = {name.decode(errors="replace"): value.decode(errors="replace") for name, value in runs.items()}
    last = {name: LastRun.of(text) for name, text in fields.items() if name != CHARGE}
    in_charge = Beat.of(holder.text) if holder else None
    return State(
        in_charge=in_charge,
        is_foreign=is_foreign or (holder is not None and in_charge is None),
        standing_by=[beat for each in standing_by if (beat := Beat.of(each.text))],
        runs={name: run for name, run in last.items() if run},
    )


def _unless_foreign(foreign: list[str], otherwise: T, call: Callable[..., T], *args: Any) -> T:
    """Return `call(*args)`; if a key holds another type, note that in `foreign` and return `otherwise`."""
    try:
        return call(*args)
    except ResponseError as error:  # that of a pipeline says first which command failed
        if "WRONGTYPE" not in str(error):
            raise
        foreign.append(str(error))
        return otherwise
