"""What showqueues reads: each question to the broker has a limit."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from redis.backoff import NoBackoff
from redis.retry import Retry

from tasktools.arguments.names import shown
from tasktools.brokers import broker_of
from tasktools.brokers.keys import Keys
from tasktools.brokers.reach import connect, is_silence, reach
from tasktools.control.answers import ask
from tasktools.control.namesakes import queues_of_all
from tasktools.exceptions import ConfigurationError, NoTrace, TasktoolsError, Unreachable
from tasktools.management.queue_options import Asked
from tasktools.queues import depth
from tasktools.queues.by_task import MOST, ByTask, by_task
from tasktools.queues.consumers import Readers
from tasktools.queues.look import Look, QueueInfo, TaskCount, looking
from tasktools.queues.peek import peek
from tasktools.queues.rates import Sampler
from tasktools.startup import require_broker

if TYPE_CHECKING:
    from celery import Celery

    from tasktools.discovery.celery_app import Found
    from tasktools.management.base import TasktoolsCommand

T = TypeVar("T")

pause = time.sleep

#: How long the broker may take for one answer, in seconds.
LIMIT = 4.5

#: How long it may take to give up a connection that is lost, in seconds.
_GOODBYE = 0.5

#: The same with --watch, which says within 5 seconds that the broker has fallen silent.
_WATCH_LIMIT = 2.5

#: How long lies between two looks at what comes in and leaves, in seconds; and between two questions whether the broker is
#: still there, if there is nothing to look at.
_PAUSE, _PROBE = 0.1, 1.0

#: How often it is said how far the count is, in seconds.
_PERIOD = 5.0


PARTIAL = "There may be more queues: not all keys were looked at."
PARTIAL_HINT = "--deep looks at all; a user of the broker that may not SCAN sees only the declared ones"
_OTHER_HINT = "another program has written there: give Celery a database of its own"


class Reading:
    """The queues of an app whose tasks the command has loaded. Use it as a context manager.

    Raises ConfigurationError, NoTrace for a queue that nobody knows, and Unreachable when the broker does not answer.
    """

    def __init__(self, command: TasktoolsCommand, found: Found, asked: Asked) -> None:
        require_broker(found)
        self.command = command
        self.app = found.app
        self.asked = asked
        self.broker = broker_of(found.app)
        self.broker.prepare()
        self.connection: Any = None

    def __enter__(self) -> Reading:
        self.connect()
        return self

    def connect(self) -> None:
        """Connect to the broker, again if the connection is lost."""
        if self.connection is not None:
            with contextlib.suppress(TasktoolsError):
                reach(self.broker.name, _GOODBYE, self.connection.release)
        self.connection = connect(self.broker, LIMIT)
        self.keys: Keys | None = None
        if depth.is_redis(self.connection):
            self.keys = Keys(self.connection.default_channel)
            self.keys.client.set_retry(Retry(NoBackoff(), 0))  # or a server that is silent is asked four times
        elif self.asked.peek or self.asked.by_task:
            self.connection.release()
            sentence = f"{self.broker.name} cannot show a message without handing it out."
            raise ConfigurationError(sentence, hint="--peek and --by-task need Redis or Valkey; leave them out")

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if kind is None:  # a server that has fallen silent says no goodbye
            reach(self.broker.name, LIMIT, self.connection.release)

    def look(self) -> Look:
        """Look at the queues once."""
        if self.asked.watch:
            self._probe()
        readers = _readers(self.app)
        first = self._look(readers)
        if not self.asked.watch:
            self.command.warn(*self.notes(first))
        if first.unknown and not self.asked.watch:
            raise _unknown(first.unknown, self.app)
        if self.asked.interval is None:
            return replace(first, queues=list(map(self._detailed, first.queues)))
        return replace(first, queues=list(map(self._detailed, self._measured(first, readers, self.asked.interval))))

    def notes(self, seen: Look) -> list[TasktoolsError]:
        """Return what could not be looked at: queues that were asked for may be missing, or what is known of them."""
        found = []
        if not self.asked.queues and seen.is_complete is False:
            found.append(TasktoolsError(PARTIAL, hint=PARTIAL_HINT))
        if seen.other_type:
            keys = ", ".join(f'"{shown(each)}"' for each in seen.other_type)
            found.append(TasktoolsError(f"Not what kombu puts there, so not read: {keys}.", hint=_OTHER_HINT))
        return found

    def _look(self, readers: Readers) -> Look:
        steps = looking(self.app, self.connection, readers, names=self.asked.queues, deep=self.asked.deep)
        seen = None
        while seen is None:  # each step has a limit of its own: with --deep there may be many
            seen = self._ask(lambda: next(steps))
        return seen

    def _ask(self, call: Callable[[], T]) -> T:
        return reach(self.broker.name, _WATCH_LIMIT if self.asked.watch else LIMIT, call)

    def _probe(self) -> None:
        """Have the broker answer something. Raises Unreachable."""
        self._ask(lambda: depth.read(self.connection, list(self.app.amqp.queues)[:1], {}))

    def _measured(self, first: Look, readers: Readers, interval: float) -> list[QueueInfo]:
        """Return the queues as they are after an interval, with what came in and left each second."""
        before = {each.name: each.ready for each in first.queues}
        began = time.monotonic()
        sampler = (
            Sampler(keys=self.keys, queues=[name for name in before if before[name] is not None]) if self.keys else None
        )
        while (left := began + interval - time.monotonic()) > 0:
            if sampler is not None and sampler.open:
                self._ask(sampler.sample)
                pause(min(_PAUSE, left))
            else:
                self._probe()
                pause(min(_PROBE, left))
        if sampler is not None:
            self._ask(sampler.sample)
        seconds = time.monotonic() - began
        found = []
        for each in self._look(readers).queues:
            flow = sampler.flows.get(each.name) if sampler else None
            grown = None if each.ready is None else _less(each.ready, before.get(each.name))
            added, taken = (flow.added, flow.taken) if flow else (None, None)
            rates = [None if count is None else round(count / seconds, 3) for count in (added, taken, grown)]
            found.append(replace(each, added=rates[0], taken=rates[1], growth=rates[2]))
        return found

    def _detailed(self, info: QueueInfo) -> QueueInfo:
        """Return a queue with its tasks and its next messages, if these are asked for."""
        keys, asked = None if info.is_other_type else self.keys, self.asked
        if keys is not None and asked.by_task:
            counted = self._counted(keys, info.name)
            tasks = [TaskCount(task=task, count=count) for task, count in counted.counts.most_common()]
            info = replace(info, tasks=tasks, others=counted.others, unread=counted.unread)
        if keys is not None and asked.peek:
            info = replace(info, messages=self._ask(lambda: peek(keys, info.name, asked.peek)))
        return info

    def _counted(self, keys: Keys, queue: str) -> ByTask:
        steps = by_task(keys, queue, most=None if self.asked.deep else MOST)
        counted, said = ByTask(), time.monotonic()
        while (step := self._ask(lambda: next(steps, None))) is not None:
            counted = step
            if time.monotonic() - said >= _PERIOD and not self.asked.watch:  # its page would be written over
                said = time.monotonic()
                self.command.note(f'"{queue}": {counted.read:,} messages read.')
        return counted


def _less(after: int, before: int | None) -> int | None:
    return None if before is None else after - before


def _readers(app: Celery) -> Readers:
    """Return what the workers take from. Nobody knows it if this transport has no remote control, or its user may not use it.

    Raises Unreachable when the broker does not answer.
    """
    try:
        answers = ask(app, {"active_queues": {}})
    except TasktoolsError as error:
        if isinstance(error, Unreachable) and is_silence(error):  # it answers nothing else either
            raise
        return Readers()
    return Readers(queues=queues_of_all(answers), silent=answers.silent)


def _unknown(names: list[str], app: Celery) -> NoTrace:
    from tasktools.arguments.names import close_matches
    from tasktools.registry.candidates import queue_names

    close = close_matches(names[0], queue_names(app))
    hint = f"did you mean {' or '.join(close)}?" if close else "manage.py showqueues lists all that can be found"
    more = [
        f'Nobody knows the queue "{shown(name)}": it is not declared, not read, and holds nothing.' for name in names
    ]
    return NoTrace(more[0], hint=hint, more=more[1:])
