"""One look at the queues: what each of them holds, for whom, and since when."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from tasktools.brokers.keys import Keys
from tasktools.queues import depth
from tasktools.queues.consumers import Readers, consumers, listeners
from tasktools.queues.depth import Depth
from tasktools.queues.found import Found, finding
from tasktools.queues.kept import paused_now
from tasktools.queues.messages import Message, read
from tasktools.queues.pauses import QUEUE, TASK, Pause
from tasktools.queues.unacked import Taken, Unacked, unacked

if TYPE_CHECKING:
    from celery import Celery

#: Of how many queues the fronts are read in one round trip: whole messages come over the network.
_AT_ONCE = 50


@dataclass(frozen=True, kw_only=True)
class TaskCount:
    #: None for messages that are not of Celery's tasks.
    task: str | None
    count: int


@dataclass(frozen=True, kw_only=True)
class QueueInfo:
    """What is known of a queue; None for what the broker does not tell."""

    name: str
    #: How many messages wait for a worker.
    ready: int | None
    #: How many messages workers have taken and not acknowledged, and how many of these they hold until their eta.
    unacked: int | None
    later: int | None
    #: How many workers take from it.
    consumers: int | None
    #: Since when the message waits that waits longest, in seconds. None also if the messages do not say when they were sent.
    oldest: float | None
    #: How long ago the oldest message that is not acknowledged was taken, in seconds.
    oldest_taken: float | None
    #: Whether the settings or the route of a task name it.
    is_declared: bool
    #: Whether the broker has it; None where an empty queue leaves no trace.
    exists: bool | None
    #: Whether a key of its name holds no list: it is another program's, and nothing is known of the queue.
    is_other_type: bool = False
    #: Messages a second that were added and taken, and by which `ready` grew; only where that was measured.
    added: float | None = None
    taken: float | None = None
    growth: float | None = None
    #: How many messages of each task wait, how many of further tasks, and how many were not read.
    tasks: list[TaskCount] | None = None
    others: int | None = None
    unread: int | None = None
    #: Since when, by whom and why it is paused; None if it is not.
    paused: Pause | None = None
    #: The next messages.
    messages: list[Message] | None = None


@dataclass(frozen=True, kw_only=True)
class Look:
    queues: list[QueueInfo] = field(default_factory=list)
    #: Names that were asked for and that nobody knows.
    unknown: list[str] = field(default_factory=list)
    #: Whether all queues of the broker were found; None where it cannot list them.
    is_complete: bool | None = None
    #: The tasks that are paused.
    paused_tasks: list[Pause] = field(default_factory=list)
    #: Other keys of kombu's that hold something else than it puts there: what they would say is not known.
    other_type: list[str] = field(default_factory=list)


def look(
    app: Celery,
    connection: Any,
    readers: Readers,
    *,
    names: Collection[str] = (),
    deep: bool = False,
) -> Look:
    """Look at the queues of these names, or at all that can be found.

    `connection` is kombu's.
    """
    *_, seen = looking(app, connection, readers, names=names, deep=deep)
    assert isinstance(seen, Look)
    return seen


def looking(
    app: Celery, connection: Any, readers: Readers, *, names: Collection[str] = (), deep: bool = False
) -> Iterator[Look | None]:
    """Yield None after each step, none of which takes long, and what was seen at the end (see `look`)."""
    keys = Keys(connection.default_channel) if depth.is_redis(connection) else None
    found, held = Found(), None
    for step in finding(app, keys, deep=deep):
        found = step
        yield None
    for taken in () if keys is None or not keys.has_unacked() else unacked(keys, found.bindings, deep=deep):
        held = taken
        yield None
    known = found.names | set(readers.taken) | set(held.by_queue if held else ())
    chosen = sorted(set(names) or known)
    depths: dict[str, Depth] = {}
    depth.read(connection, chosen, depths)
    yield None
    taken_by = consumers(chosen, readers, None if keys is None else listeners(keys))
    ages: dict[str, float | None] = {}
    filled = [name for name in chosen if depths[name].waiting]
    for start in range(0, 0 if keys is None else len(filled), _AT_ONCE):
        ages |= oldest(Keys(connection.default_channel), filled[start : start + _AT_ONCE])
        yield None
    queues = [_info(name, depths[name], taken_by[name], ages.get(name), held, found) for name in chosen]
    pauses = paused_now(connection)
    paused = {each.name: each for each in pauses if each.what == QUEUE}
    queues = [replace(each, paused=paused.get(each.name)) for each in queues]
    yield None
    unknown = [each.name for each in queues if each.name not in known and not each.ready and each.exists is not True]
    yield Look(
        queues=queues,
        unknown=unknown,
        is_complete=found.is_complete,
        paused_tasks=[each for each in pauses if each.what == TASK],
        other_type=[] if keys is None else sorted(keys.other_type),
    )


def _info(
    name: str, depth: Depth, workers: int | None, age: float | None, held: Unacked | None, found: Found
) -> QueueInfo:
    is_known = held is not None and name not in held.doubtful
    taken = held.by_queue.get(name, Taken()) if held is not None and is_known else None
    now = datetime.now(timezone.utc).timestamp()
    return QueueInfo(
        name=name,
        ready=depth.waiting,
        unacked=taken.count if taken else None,
        later=taken.later if taken else None,
        consumers=workers if depth.consumers is None else depth.consumers,
        oldest=age,
        oldest_taken=max(0.0, now - taken.since) if taken and taken.since is not None else None,
        is_declared=name in found.declared,
        exists=depth.exists,
        is_other_type=depth.is_other_type,
    )


def oldest(keys: Keys, queues: Collection[str]) -> dict[str, float | None]:
    """Return for how long the messages at the front of these queues have waited, in seconds.

    It is None if any of them does not say when it was sent: that one may be the oldest.
    """
    lists = [(queue, key) for queue in queues for key in keys.lists(queue)]
    with keys.client.pipeline(transaction=False) as pipeline:
        for _, key in lists:
            pipeline.lindex(key, -1)
        fronts = pipeline.execute()
    now = datetime.now(timezone.utc)
    found: dict[str, float | None] = {}
    for (queue, _), front in zip(lists, fronts, strict=True):
        if front is not None:
            sent = read(front).sent
            age = None if sent is None else max(0.0, (now - sent).total_seconds())
            before = found.get(queue, age)
            found[queue] = None if age is None or before is None else max(before, age)
    return found
