"""What purgequeue does: count, and remove in steps between which a signal may end it."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from tasktools import render
from tasktools.arguments.names import close_matches, is_known, resolve, shown, unknown
from tasktools.brokers import broker_of
from tasktools.brokers.reach import connect, is_barred, is_refused, reach
from tasktools.environment.interrupts import postponed
from tasktools.exceptions import NoTrace, TasktoolsError, Unreachable
from tasktools.queues.found import is_internal
from tasktools.queues.purge import Purged, Purger, purger_of
from tasktools.registry import registry
from tasktools.registry.candidates import queue_names
from tasktools.startup import require_broker

if TYPE_CHECKING:
    from tasktools.discovery.celery_app import Found
    from tasktools.management.base import TasktoolsCommand

#: How long connecting, and each step, may take, in seconds.
LIMIT = 4.5

_UNKNOWN = "What the last step has removed is not known."

#: Seconds between two lines that say how far it is.
PERIOD = 5.0

#: How many names of tasks that nobody knows here are kept while messages are counted.
_MOST_NAMES = 10_000


class Purge:
    """A purge of some queues. Use it as a context manager. Raises NoTrace, TaskNameError, Unreachable."""

    def __init__(self, command: TasktoolsCommand, found: Found, queues: Sequence[str], typed: str | None) -> None:
        """`typed` is what stands for the task; None for all messages."""
        require_broker(found)
        self.command, self.app, self.queues, self.typed = command, found.app, queues, typed
        self.broker = broker_of(found.app)
        #: The name of the task.
        self.task: str | None = None
        #: How many messages workers have.
        self.taken: int | None = None
        #: The queues that others changed so much that messages of the task may be left in them.
        self.unsure: list[str] = []
        #: Whether a signal has ended it.
        self.interrupted = False
        self._said = time.monotonic()
        #: Whether it removes messages at this moment.
        self._removes = False

    def __enter__(self) -> Purge:
        self.broker.prepare()
        self.connection = connect(self.broker, LIMIT)
        self.purger: Purger = self._ask(purger_of, self.connection)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        is_lost = kind is not None and issubclass(kind, Unreachable)  # then it would not answer a farewell either
        with contextlib.suppress(Exception):
            self.connection.collect() if is_lost else reach(self.broker.name, LIMIT, self.connection.release)

    def count(self) -> list[Purged]:
        """Return what the purge would do."""
        declared = queue_names(self.app)
        lengths = {queue: self._length(queue, declared) for queue in self.queues}
        self.taken = self._ask(self.purger.taken)
        if self.typed is None:
            return [Purged(queue=queue, waiting=n, chosen=n, left=n) for queue, n in lengths.items()]
        self.purger.require_remove()
        counts = {queue: self._tasks(queue) for queue in self.queues}
        self.task = self._task(self.typed, set().union(*filter(None, counts.values())))
        chosen = {queue: None if of is None else of[self.task] for queue, of in counts.items()}
        chosen |= {queue: 0 for queue, length in lengths.items() if not length}
        return [Purged(queue=queue, waiting=n, chosen=chosen[queue], left=n) for queue, n in lengths.items()]

    def act(self, planned: Sequence[Purged]) -> list[Purged]:
        """Remove the messages, and return what was done."""
        done = list(planned)
        self._removes = True
        ours = self.command.is_own_process
        try:
            with postponed(self._note_interruption, is_ours=ours, give_up=self._note_the_last):
                self._remove(planned, done)
        except KeyboardInterrupt:
            self._note_the_last()
            raise
        self._removes = False
        return [replace(each, left=self._left(each.queue)) for each in done]

    def _remove(self, planned: Sequence[Purged], done: list[Purged]) -> None:
        for place, each in enumerate(planned):
            for removed in self._steps(each):
                done[place] = replace(done[place], removed=done[place].removed + removed)
                self.command.done = _sentence(sum(each.removed for each in done))
                if self._is_due():
                    self.command.note(f'Removing from "{shown(each.queue)}". {self.command.done}')
                if self.interrupted:
                    return
            if self.interrupted:
                return
            if not self.purger.is_sure:
                self.unsure.append(each.queue)

    def _note_the_last(self) -> None:
        """Say what was removed when a second signal has ended it in the middle of a step."""
        self.command.note(" ".join(filter(None, (self.command.done, _UNKNOWN))))

    def _is_due(self) -> bool:
        """Whether it has not said for some seconds how far it is."""
        is_due = time.monotonic() - self._said >= PERIOD
        if is_due:
            self._said = time.monotonic()
        return is_due

    def _left(self, queue: str) -> int | None:
        found: int | None = self._ask(partial(self.purger.length, queue, is_declared=True))
        return found

    def _steps(self, planned: Purged) -> Iterator[int]:
        if planned.chosen == 0:  # the queue may not have come into being yet
            return
        queue, task = planned.queue, self.task
        steps = self.purger.empty(queue) if task is None else self.purger.remove(queue, task)
        with contextlib.closing(steps):  # type: ignore[type-var]
            while (removed := self._ask(next, steps, None)) is not None:
                yield removed

    def _ask(self, call: Any, *args: Any) -> Any:
        """Return what a call to the broker returns. Raises Unreachable, which says what was done before."""
        try:
            return reach(self.broker.name, LIMIT, call, *args)
        except TasktoolsError as error:
            before = f"Before that, {self.command.done[0].lower()}{self.command.done[1:]}" if self.command.done else ""
            doubt = "" if not self._removes or _is_without_effect(error) else _UNKNOWN
            error.more = (*error.more, *filter(None, (before, doubt)))
            raise

    def _length(self, queue: str, declared: Iterable[str]) -> int:
        if render.printable(queue) == queue:  # else no broker can have it: it is not UTF-8
            found: int | None = self._ask(partial(self.purger.length, queue, is_declared=queue in declared))
            if found is not None:
                return found
            kind = self._ask(self.purger.other_kind, queue)
            if kind:
                raise NoTrace(f'The key "{shown(queue)}" at {self.broker.uri()} is a {kind}, not a queue.')
        bound: set[str] = self._ask(self.purger.bound)
        names = {*declared, *(name for name in bound if _may_be_meant(name) and name != queue)}
        close = close_matches(queue, names)
        hint = f"did you mean {' or '.join(close)}?" if close else f"there are: {', '.join(sorted(names)[:10])}"
        raise NoTrace(f'There is no queue "{shown(queue)}" at {self.broker.uri()}.', hint=hint)

    def _tasks(self, queue: str) -> Counter[str] | None:
        """Return how many messages of each task wait in a queue; None if that cannot be read."""
        found: Counter[str] | None = None
        slices = self.purger.tasks(queue)
        while (some := self._ask(next, slices, None)) is not None:
            found = Counter() if found is None else found
            for name, number in some.items():
                if name in found or len(found) < _MOST_NAMES or is_known(self.typed or "", [name]):
                    found[name] += number
            if self._is_due():
                self.command.note(f'Counting what waits in "{shown(queue)}": {sum(found.values()):,} so far.')
        return Counter() if found is None and self.purger.reads_tasks else found

    def _task(self, typed: str, seen: set[str]) -> str:
        """Return the name of the task: of a registered one, or of one that only messages have."""
        names = {*registry.names(self.app, builtin=True), *seen}
        if is_known(typed, names):
            return resolve(typed, names)
        if "." in typed and not self.purger.reads_tasks:  # messages of a task that the project no longer has
            return typed
        raise unknown(typed, names, "is called")

    def _note_interruption(self) -> None:
        """Let a signal end the purge between two steps, so that the count stays true."""
        self.interrupted = True


def _is_without_effect(error: TasktoolsError) -> bool:
    """Whether the step that failed has surely removed nothing: the purge has declined it, or the server has refused it."""
    cause = error.__cause__
    return not isinstance(error, Unreachable) or (cause is not None and (is_refused(cause) or is_barred(cause)))


def _may_be_meant(name: str) -> bool:
    """Whether a name is worth a hint: not garbage, and not a queue that Celery has for itself."""
    return bool(name) and name.isprintable() and not is_internal(name)


def _sentence(removed: int) -> str:
    if not removed:
        return ""
    return f"{render.counted(removed, 'message')} {'has' if removed == 1 else 'have'} been removed."
