"""Watch the tasks of a site: what ends, and what the watcher has to know about workers and broker."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING

from tasktools.brokers import broker_of
from tasktools.events.attempts import Attempt, Attempts
from tasktools.events.follow import Connected, Lost, Unreadable, follow
from tasktools.events.nodes import Node, Nodes
from tasktools.events.switch import Switch
from tasktools.exceptions import TasktoolsError
from tasktools.render import ended

if TYPE_CHECKING:
    from celery import Celery

#: How long events are gathered, in seconds.
PAUSE = 0.1

#: How often all workers are told to send events, in seconds: one may be new, or another watcher may have turned them off.
AGAIN = 10.0

#: After so many seconds without a worker this is said.
PATIENCE = 3.0

#: So many heartbeats that tell of tasks, and no event of one, show that a worker sends none. One that is told to needs a while.
MOST_SILENT = 2
MOST_SILENT_TOLD = 6


@dataclass(frozen=True, kw_only=True)
class Notice:
    """What a person who watches has to know. `is_trouble` says that something is not seen."""

    text: str
    is_trouble: bool = False
    #: What to show in its place where only one notice is shown, and whether that stays until there is another one.
    in_short: str = ""
    stays: bool = False


class Watch:
    """Follows the events of an app. Iterate over it, and close it at the end."""

    def __init__(self, app: Celery, *, enables: bool, held: Callable[[], Mapping[str, str]] = dict) -> None:
        """`enables` says whether workers that send no events of tasks are told to.

        `held` asks the workers for the names of the tasks that they have, by id. It may block, and raise TasktoolsError.
        """
        self.app, self.enables = app, enables
        self.nodes = Nodes()
        self._switch = Switch(app)
        self._attempts = Attempts()
        self._held, self._names = held, SimpleQueue[Mapping[str, str]]()
        self._told: set[str] = set()
        #: The workers that were told to send events.
        self._asked: set[str] = set()
        self._lost = False
        self._last = self._began = time.monotonic()

    def __iter__(self) -> Iterator[Notice | list[Attempt]]:
        """Yield the attempts that have ended, some ten times a second, and notices.

        Raises Unreachable if the broker does not answer at first.
        """
        for step in follow(self.app, PAUSE):
            if isinstance(step, Connected):
                yield from self._connected(step)
            elif isinstance(step, Lost):
                yield from self._disconnected(step)
            elif isinstance(step, Unreadable):
                text = f"An event cannot be read, so its task may not be shown: {ended(step.why)} More of them are passed over."
                yield Notice(text=text, is_trouble=True)
            else:
                yield self._ended(step)
                yield from self._notices()

    def close(self) -> None:
        """Leave the workers as they were."""
        self._switch.turn_off()

    def _connected(self, step: Connected) -> Iterator[Notice]:
        if not step.again:
            yield Notice(text=f"Watching the events of {broker_of(self.app).uri()}.")
        else:
            yield Notice(text="Connected again. What happened in between is not shown.", is_trouble=True)
        self._lost = False
        self._turn_on()
        threading.Thread(target=self._ask_names, daemon=True, name="names of tasks").start()

    def _ask_names(self) -> None:
        """Ask for the tasks that were received before events were heard: no event says their names."""
        with contextlib.suppress(TasktoolsError):  # what is wrong with the broker is noticed elsewhere
            self._names.put(self._held())

    def _disconnected(self, step: Lost) -> Iterator[Notice]:
        if not self._lost:
            yield Notice(text=f"{step.why} Trying again.", is_trouble=True, stays=True)
        self._lost = True

    def _ended(self, events: list[dict[str, object]]) -> list[Attempt]:
        now, found = time.monotonic(), []
        while not self._names.empty():
            for task_id, name in self._names.get().items():
                self._attempts.name(task_id, name)
        for event in events:
            new = self.nodes.notice(event, now)
            if new is not None and now - self._last > PATIENCE:
                self._turn_on([new.name])
            if self.enables:
                self._switch.notice(event)
            attempt = self._attempts.ended(event)
            if attempt is not None:
                found.append(attempt)
        if now - self._last > AGAIN and not self._lost:
            self._turn_on()
        return found

    def _turn_on(self, names: list[str] | None = None) -> None:
        self._last = time.monotonic() if names is None else self._last
        if self.enables:
            self._switch.turn_on(names)

    def _notices(self) -> Iterator[Notice]:
        for name in self._switch.news():
            text = f"{name} sends no events of tasks: it is told to, for as long as this runs."
            self._asked.add(name)
            yield Notice(text=text, in_short=self._number(text))
        for node in self.nodes.known.values():
            if node.silent >= (MOST_SILENT_TOLD if self.enables else MOST_SILENT) and node.name not in self._told:
                self._told.add(node.name)
                yield Notice(text=self._silence(node), is_trouble=True)
        if "" not in self._told and time.monotonic() - self._began > PATIENCE:
            self._told.add("")
            if not (any(each.is_online for each in self.nodes.known.values()) or self._switch.answers):
                yield Notice(text="No worker answers so far. manage.py runworker starts one.", is_trouble=True)

    def _number(self, text: str) -> str:
        number = len(self._asked)
        return (
            text
            if number == 1
            else f"{number:,} workers send no events of tasks: they are told to, for as long as this runs."
        )

    def _silence(self, node: Node) -> str:
        remedy = "start it with -E" if self.enables else "start it with -E, or leave out --no-enable"
        return f"{node.name} runs tasks and sends no events of them, so they are not shown: {remedy}."
