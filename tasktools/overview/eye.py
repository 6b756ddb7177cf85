"""What looks at the broker and the workers. It keeps its connection: a look costs few commands."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from tasktools.beat.state import state_of
from tasktools.brokers import broker_of
from tasktools.brokers.keys import Keys
from tasktools.brokers.reach import connect, reach
from tasktools.brokers.timeouts import within_thread
from tasktools.control import workers
from tasktools.control.answers import Answers
from tasktools.control.brief import look_over
from tasktools.control.namesakes import queues_of_all
from tasktools.exceptions import TasktoolsError
from tasktools.health.minutes import minutes_of
from tasktools.overview import redis_look
from tasktools.overview.depths import Depths
from tasktools.overview.questions import Questions, Refused
from tasktools.overview.redis_bound import Bound
from tasktools.overview.snapshot import Queue, Snapshot, Trouble
from tasktools.queues import depth
from tasktools.queues.consumers import Readers, consumers, listeners
from tasktools.queues.kept import paused_now
from tasktools.queues.messages import sent_of
from tasktools.queues.pauses import QUEUE, TASK, Pause, pauses_in
from tasktools.registry.candidates import queue_names

if TYPE_CHECKING:
    from celery import Celery

#: How long connecting may take, and how long all else of a look may take, in seconds.
CONNECTING, LIMIT = 1.2, 2.5

#: When a broker that is asked for one queue after the other is asked for no more, in seconds after the beginning of a look.
ENOUGH = 2.0

#: How many commands at a Redis or Valkey one look may cost. What is not needed at each look waits for one that has room.
MOST_COMMANDS = 10

#: How often queues are looked for that no setting names and no worker reads, in seconds; how many of them are looked at.
FINDING, MOST_FOUND = 30.0, 300

#: How often the clients are counted that wait for messages, in seconds: workers may be among them that hear no question.
COUNTING = 10.0


class Eye:
    """Looks. One thread at a time uses it."""

    def __init__(self, app: Celery, clock: Callable[[], float] = time.monotonic) -> None:
        self.app = app
        self._clock = clock
        self._connection: Any = None
        self._questions = Questions(app, clock)
        self._scripts = redis_look.Scripts()
        self._bound = Bound()
        self._found_at: float | None = None
        #: How many clients wait for messages, and when that was counted.
        self._waiting: int | None = None
        self._counted_at: float | None = None

    def look(self) -> Snapshot:
        """Return what is there now; what could not be seen is said in it. Raises nothing of the broker."""
        was_kept = self._connection is not None
        try:
            broker = broker_of(self.app)
            broker.prepare()
            if self._connection is None:
                self._connection = connect(broker, CONNECTING, transport_options=broker.unchecked)
            seen: Snapshot = reach(broker.name, LIMIT, self._look, self._connection)
        except TasktoolsError as error:
            self._disconnect()
            # The connection may have died since the last look, and a refusal may have closed its channel.
            if was_kept or isinstance(error, Refused):
                return self.look()
            return Snapshot(at=_now(), trouble=Trouble(sentence=error.sentence, hint=error.hint))
        return seen

    def close(self) -> None:
        """Leave nothing at the broker."""
        if self._connection is not None:
            with contextlib.suppress(Exception):
                within_thread(0.2, self._questions.close, self._connection)
        self._disconnect()

    def _disconnect(self) -> None:
        """Forget the connection; a server that is silent gets no goodbye."""
        connection, self._connection = self._connection, None
        self._scripts = redis_look.Scripts()
        if connection is not None:
            with contextlib.suppress(Exception):
                within_thread(0.2, connection.release)

    def _look(self, connection: Any) -> Snapshot:
        """Look. After the limit this goes on in a thread of its own, so it does not use the connection of the object."""
        until = time.monotonic() + ENOUGH
        if depth.is_redis(connection):
            answers = self._questions.answers(connection)
            look = None if answers is None else look_over(self.app, connection, answers)
            readers = _readers(answers)
            names = queue_names(self.app) | set(readers.taken)
            return Snapshot(at=_now(), **_of_workers(look), **self._of_redis(connection, names, readers))
        return self._look_at_others(connection, until)

    def _of_redis(self, connection: Any, names: Collection[str], readers: Readers) -> dict[str, Any]:
        keys, now = Keys(connection.default_channel), time.time()
        finds, counts = self._due()
        if finds:
            self._found_at = self._clock()
            self._bound.step(keys)
        more = sorted(self._bound.queues - {*names})
        chosen = _ordered(names, more[:MOST_FOUND])
        seen = redis_look.look(self.app, keys, chosen, now, self._scripts)
        pauses = [each for each in pauses_in(seen.paused) if not each.is_over(_now())]
        taken_by = consumers(chosen, readers, self._listeners(keys, counts))
        paused = {each.name: each for each in pauses if each.what == QUEUE}
        queues = [
            Queue(
                name=name,
                ready=None if name in seen.other_type else sum(length for length, _ in seen.fronts[name]),
                oldest=_oldest([front for _, front in seen.fronts[name]], now),
                consumers=taken_by[name],
                paused=paused.pop(name, None),
                is_other_type=name in seen.other_type,
            )
            for name in chosen
        ]
        return {
            "queues": [*queues, *_unseen(paused.values())],
            "more_queues": len(more[MOST_FOUND:]),
            "paused_tasks": [each for each in pauses if each.what == TASK],
            "unacked": seen.unacked,
            "minutes": minutes_of(seen.hours, now),
            "beat": state_of(seen.lease, seen.runs, is_foreign=seen.is_foreign),
        }

    def _due(self) -> tuple[bool, bool]:
        """Return whether it is time to look for queues, and to count clients: one of them at a look, but for the first."""
        if self._found_at is None or self._counted_at is None:
            return True, True
        now, room = self._clock(), MOST_COMMANDS - self._questions.cost - 1
        finds, counts = now - self._found_at >= FINDING, now - self._counted_at >= COUNTING
        if room < 1:
            return False, False
        if finds and counts:  # the one that has waited longer
            finds = self._found_at <= self._counted_at
        return finds, counts and not finds

    def _listeners(self, keys: Keys, counts: bool) -> int | None:
        """Return how many clients wait for messages. The server lists all its clients for that: it is asked now and then."""
        if counts:
            self._counted_at, self._waiting = self._clock(), listeners(keys)
        return self._waiting

    def _look_at_others(self, connection: Any, until: float) -> Snapshot:
        """Ask as this broker allows: RabbitMQ is asked for one queue after the other. What takes too long stays unknown."""
        answers = self._questions.answers(connection)
        pauses = paused_now(connection)
        paused = {each.name: each for each in pauses if each.what == QUEUE}
        depths = Depths(connection, until)
        count = depths.consumers if depth.is_amqp(connection) else None
        look = None if answers is None else look_over(self.app, connection, answers, count)
        readers = _readers(answers)
        names = queue_names(self.app) | set(readers.taken)
        depths.read(names)
        if not depths.is_complete and self._connection is connection:
            self._disconnect()
        counted = consumers(names, readers, None)
        queues = [
            Queue(
                name=name,
                ready=depths.of(name).waiting,
                consumers=counted[name] if depths.of(name).consumers is None else depths.of(name).consumers,
                paused=paused.pop(name, None),
            )
            for name in sorted(names)
        ]
        shown = [*queues, *_unseen(paused.values())]
        return Snapshot(at=_now(), **_of_workers(look), queues=shown, knows_all=False)


def _ordered(names: Collection[str], found: Collection[str]) -> list[str]:
    """Return the queues by name; where there are too many to read all, those first that somebody has named or takes from."""
    chosen = [*sorted(names), *sorted(found)]
    return sorted(chosen) if len(chosen) <= redis_look.MOST_FRONTS else chosen


def _of_workers(look: workers.Look | None) -> dict[str, Any]:
    if look is None:
        return {}
    return {
        "workers": look.workers,
        "more_silent": look.more_silent,
        "more_consumers": look.more_consumers or {},
    }


def _readers(answers: Answers | None) -> Readers:
    return Readers() if answers is None else Readers(queues=queues_of_all(answers), silent=answers.silent)


def _unseen(paused: Collection[Pause]) -> list[Queue]:
    """Return the queues that are paused and of which nothing else is known, so that they can be resumed."""
    return [Queue(name=each.name, ready=None, paused=each) for each in paused]


def _oldest(fronts: Collection[bytes], now: float) -> float | None:
    """Return for how long the oldest of these messages has waited; None if one of them does not say it."""
    times = [sent_of(each) for each in fronts]
    known = [each.timestamp() for each in times if each is not None]
    return max(0.0, now - min(known)) if known and len(known) == len(times) else None


def _now() -> datetime:
    return datetime.now(timezone.utc)
