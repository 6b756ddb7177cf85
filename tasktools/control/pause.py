"""Pause queues and resume them: keep it, and tell all workers."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from tasktools.brokers import broker_of
from tasktools.brokers.portable import PortableBroker
from tasktools.brokers.reach import connect, reach
from tasktools.control.answers import BEYOND, CONNECTING, Answers, ask, leaving
from tasktools.control.names import LOOK_AT_PAUSES
from tasktools.control.presence import Presence, presence
from tasktools.control.workers import Look
from tasktools.exceptions import ConfigurationError, TasktoolsError
from tasktools.queues.kept import pauses_of
from tasktools.queues.pauses import QUEUE, TASK, Pause, Pauses, moment, utc_now

if TYPE_CHECKING:
    from celery import Celery

T = TypeVar("T")

#: How long the place where the pauses are kept may take to answer, and how long workers have to confirm, in seconds.
LIMIT, CONFIRM = 4.5, 2.0

#: How long lies between two counts of the consumers of paused queues, and how long they go on if the workers' answers have
#: taken the time to confirm, in seconds.
_AGAIN, _LEAVING = 0.1, 0.5

#: How far the clock of a worker may be off before it is said, in seconds.
_NEARLY = 5.0

_DATABASE = "The database, which keeps what is paused,"


@dataclass(frozen=True, kw_only=True)
class Heard:
    """Which workers have taken note."""

    confirmed: list[str] = field(default_factory=list)
    #: The error of each that cannot: it runs without tasktools.
    failed: Mapping[str, str] = field(default_factory=dict)
    #: The names of those that do not answer, and how many more listen; None if the broker does not say.
    silent: list[str] = field(default_factory=list)
    more_silent: int | None = None
    #: By queue, how many more consumers it has than workers that have answered; None if the broker does not say.
    more_consumers: Mapping[str, int] | None = None
    #: The queues that the workers which answer take from, paused or not.
    queues: frozenset[str] = frozenset()
    #: The same of those that know pauses.
    caretakers: frozenset[str] = frozenset()
    #: By the name of a worker, how many seconds its clock is ahead (below 0: behind), if it is far off: it ends a pause by that.
    clocks: Mapping[str, float] = field(default_factory=dict)
    #: The same of those for which a pause is over that is not: they have not confirmed.
    over: Mapping[str, float] = field(default_factory=dict)
    #: Whether workers could be asked: some transports have no remote control.
    is_asked: bool = True

    @property
    def knows_others(self) -> bool:
        """Whether the broker tells if more workers listen than have answered."""
        return self.more_silent is not None or self.more_consumers is not None


def read(app: Celery, now: datetime) -> list[Pause]:
    """Return what is paused. Raises Unreachable, and ConfigurationError if that cannot be kept here."""
    return _kept(app, lambda kept: kept.read(now))


def left_aside(app: Celery, paused: Sequence[Pause]) -> list[Pause]:
    """Return a pause, from now on, for each task that is not among `paused` and of which messages are still aside.

    To resume it brings them back. Nobody does so if a worker was silent, or the pause ended by itself, and no worker is left
    that takes from their queue.
    """
    try:
        places = _kept(app, lambda kept: kept.places_aside())
    except TasktoolsError:  # its user may not see that
        return []
    names = {task for _, task in places} - {each.name for each in paused if each.what == TASK}
    return [Pause(what=TASK, name=name, since=utc_now()) for name in sorted(names)]


def pause(app: Celery, pauses: Sequence[Pause]) -> Heard:
    """Keep these pauses and tell the workers. Raises as `read`; the workers learn of it later if they cannot be told."""
    _kept(app, lambda kept: _put(kept, pauses))
    return tell(app, put=pauses)


def _put(kept: Pauses, pauses: Sequence[Pause]) -> None:
    if any(each.what == TASK for each in pauses) and not kept.supports_tasks:
        sentence = "This broker cannot keep the messages of one task apart."
        raise ConfigurationError(
            sentence, hint="pause its queue; --task needs Redis or Valkey, and a user that may use scripts (EVAL)"
        )
    kept.put(pauses)


def _bring_back(kept: Pauses, caretakers: Collection[str]) -> None:
    """Bring back what no worker does: one that takes from the queue may hold newer messages, which go after these."""
    places = kept.places_aside()
    paused = {each.name for each in kept.read(utc_now()) if each.what == TASK}
    kept.bring_back([each for each in places if each[0] not in caretakers and each[1] not in paused])


def resume(app: Celery, pauses: Sequence[Pause]) -> Heard:
    """Forget these pauses and tell the workers. Raises as `read`."""
    _kept(app, lambda kept: kept.remove(pauses))
    heard = tell(app, removed=pauses)
    if any(each.what == TASK for each in pauses) and heard.is_asked and not (heard.silent or heard.more_silent):
        _kept(app, lambda kept: _bring_back(kept, heard.caretakers))
    return heard


def tell(app: Celery, put: Sequence[Pause] = (), removed: Sequence[Pause] = ()) -> Heard:
    """Tell all workers, and wait for those that answer."""
    command = {"put": [each.plain() for each in put], "removed": [each.plain() for each in removed]}
    asked_at, begun = utc_now(), time.monotonic()
    try:
        answers = ask(app, {LOOK_AT_PAUSES: command, "active_queues": {}}, CONFIRM)
    except TasktoolsError:  # this transport has no remote control, or its user may not use it
        return Heard(is_asked=False)
    said = answers.of(LOOK_AT_PAUSES, dict)
    ahead = _ahead(said, asked_at, utc_now())
    clocks = {name: seconds for name, seconds in ahead.items() if abs(seconds) > _NEARLY}
    over = {name: seconds for name, seconds in ahead.items() if _is_over(put, seconds)}
    confirmed = sorted(said.keys() - over.keys())
    failed = {name: said[LOOK_AT_PAUSES] for name, said in answers.failed.items() if LOOK_AT_PAUSES in said}
    taken = {
        name: [str(each.get("name")) for each in queues if _is_queue(each)]
        for name, queues in answers.of("active_queues", list).items()
    }
    caretakers = frozenset(queue for name in said for queue in taken.get(name, ()))
    heard = Heard(confirmed=confirmed, failed=failed, clocks=clocks, over=over, caretakers=caretakers)
    every = [queue for queues in taken.values() for queue in queues]
    paused = {each.name for each in put if each.what == QUEUE}
    left = [queue for name, queues in taken.items() for queue in queues if not (queue in paused and name in confirmed)]
    try:
        other = _others(app, answers, left, paused, begun + CONFIRM)
    except TasktoolsError:  # nobody knows
        return replace(heard, queues=frozenset(every))
    return replace(
        heard,
        silent=sorted({*other.silent, *other.unknown}),
        more_silent=other.unnamed,
        more_consumers=other.consumers,
        queues=frozenset(every),
    )


def _others(app: Celery, answers: Answers, left: Sequence[str], paused: AbstractSet[str], until: float) -> Presence:
    """Return who else is there. `left` has the queues of the workers that answer, but not those that these have left.

    A worker leaves a paused queue a moment after it has confirmed the pause. So consumers that are too many are counted again,
    up to the time `until`. Raises Unreachable if they cannot be counted at all.
    """
    other = presence(app, answers, left, paused)
    if paused.isdisjoint(other.consumers or ()):
        return other
    until = max(until, time.monotonic() + _LEAVING)
    broker = broker_of(app)
    with contextlib.suppress(TasktoolsError), leaving(opened := connect(broker, CONNECTING)):  # the last count holds
        while not paused.isdisjoint(other.consumers or ()) and time.monotonic() < until:
            time.sleep(_AGAIN)
            other = reach(broker.name, BEYOND, presence, app, answers, left, paused, opened)
    return other


def marked(app: Celery, seen: Look) -> Look:
    """Return a look at the workers that says what is paused, and which of their queues, as far as that can be known."""
    try:
        paused = read(app, utc_now())
    except TasktoolsError:  # a site need not have a place for it
        return seen
    names = {each.name for each in paused if each.what == QUEUE}
    workers = [
        each if each.queues is None else replace(each, paused=[name for name in each.queues if name in names])
        for each in seen.workers
    ]
    return replace(seen, workers=workers, paused=paused)


def _ahead(said: Mapping[str, Mapping[str, Any]], asked: datetime, heard: datetime) -> dict[str, float]:
    """Return how many seconds the clocks of workers are ahead (below 0: behind) that show no time between these two."""
    found: dict[str, float] = {}
    for name, answer in said.items():
        now = moment(answer.get("now"))
        if now is not None and not asked <= now <= heard:
            found[name] = (now - (heard if now > heard else asked)).total_seconds()
    return found


def _is_over(pauses: Sequence[Pause], ahead: float) -> bool:
    now = utc_now()
    return any(not each.is_over(now) and each.is_over(now + timedelta(seconds=ahead)) for each in pauses)


def _is_queue(value: Any) -> bool:
    return isinstance(value, Mapping) and "name" in value


def _kept(app: Celery, call: Callable[[Pauses], T]) -> T:
    broker = broker_of(app)
    broker.prepare()
    connection = PortableBroker.connection(app, reads=True)
    if connection.transport.driver_type != "redis":  # it need not be opened
        return reach(_DATABASE, LIMIT, lambda: call(pauses_of(connection)))
    with leaving(opened := connect(broker, CONNECTING)):
        return reach(broker.name, LIMIT, lambda: call(pauses_of(opened)))
