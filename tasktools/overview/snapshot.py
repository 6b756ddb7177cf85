"""One look at the broker and the workers, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from tasktools.beat.state import State
from tasktools.control.workers import Worker
from tasktools.health.minutes import Minute
from tasktools.queues.pauses import Pause


@dataclass(frozen=True, kw_only=True)
class Queue:
    """A queue. What is not known of it is None."""

    name: str
    ready: int | None
    #: How long the message at its front has waited, in seconds.
    oldest: float | None = None
    #: How many workers take from it.
    consumers: int | None = None
    paused: Pause | None = None
    #: Whether a key of its name holds no list: it is another program's.
    is_other_type: bool = False


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """What could not be seen, and what to do about it."""

    sentence: str
    hint: str = ""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    #: When it was taken.
    at: datetime
    queues: list[Queue] = field(default_factory=list)
    #: Whether the broker says which other queues there are, and when their messages were sent.
    knows_all: bool = True
    #: How many more queues anybody has made, which are not looked at.
    more_queues: int = 0
    workers: list[Worker] = field(default_factory=list)
    #: How many more listen and do not answer; None if nobody knows.
    more_silent: int | None = None
    #: How many more consumers a queue has than workers that answer, by its name.
    more_consumers: Mapping[str, int] = field(default_factory=dict)
    #: The tasks that are paused.
    paused_tasks: list[Pause] = field(default_factory=list)
    #: How many messages workers have taken and not acknowledged; None if the broker does not say.
    unacked: int | None = None
    #: The last 60 minutes; None if this broker keeps no numbers.
    minutes: list[Minute] | None = None
    #: What beat has left in the broker.
    beat: State = field(default_factory=lambda: State(is_known=False))
    #: Why nothing could be seen; the rest is empty then.
    trouble: Trouble | None = None
