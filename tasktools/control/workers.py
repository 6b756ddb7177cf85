"""What each worker is and does, as it says itself; of one that does not answer, what the broker knows."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from tasktools.control.answers import LIMIT, Answers, ask
from tasktools.control.comparison import Difference, difference, task_names
from tasktools.control.names import ADDED
from tasktools.control.namesakes import number_of, queues_of, queues_of_all
from tasktools.control.numbers import moment, number, whole
from tasktools.control.presence import Presence, presence
from tasktools.queues.pauses import Pause

if TYPE_CHECKING:
    from celery import Celery

#: It answers.
ONLINE = "online"
#: It listens and does not answer: it is busy (a solo pool that runs a task) or stopped.
SILENT = "silent"
#: The broker has its name, and does not say whether it is silent or was killed.
UNKNOWN = "unknown"

#: The unit of ru_maxrss, in bytes; a worker does not say its system, which is mostly that of this process.
_UNIT = 1 if sys.platform == "darwin" else 1024

#: What a worker is asked for.
COMMANDS: Mapping[str, Mapping[str, Any]] = {
    "stats": {},
    "active_queues": {},
    "active": {"safe": True},  # its arguments as text, as the sender has shortened it
    "registered": {},
}

#: What only those are asked for that do not give the numbers with their stats: the lists may have thousands of tasks.
LISTS: Mapping[str, Mapping[str, Any]] = {"reserved": {}, "scheduled": {}}


@dataclass(frozen=True, kw_only=True)
class RunningTask:
    """A task that a worker runs."""

    #: None for what the worker has not said.
    id: str | None
    name: str | None
    #: As text.
    args: str
    kwargs: str
    since: datetime | None = None
    #: How long it runs, by the clock of this process.
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Worker:
    """A worker. What is not known of it is None."""

    name: str
    #: ONLINE, SILENT or UNKNOWN.
    state: str
    #: How many workers that answer have this name. They are shown as one, and more than one is a mistake.
    same_name: int | None = None
    pid: int | None = None
    #: "prefork", "threads", "solo", "gevent", "eventlet", or the module of another class.
    pool: str | None = None
    #: How many tasks it runs at once.
    concurrency: int | None = None
    queues: list[str] | None = None
    #: Those of them that are paused.
    paused: list[str] | None = None
    running: int | None = None
    reserved: int | None = None
    #: How many it holds until their time has come.
    scheduled: int | None = None
    #: How many tasks it has begun since it started.
    processed: int | None = None
    #: What it and its processes have in memory now, in bytes; only a worker of runworker says it.
    memory: int | None = None
    #: The most that its main process has ever had, in bytes.
    peak_memory: int | None = None
    #: When it started.
    up_since: datetime | None = None
    #: Whether it has said that itself. A worker of plain Celery says for how many whole seconds it runs: each call of the same
    #: worker gives another time, up to a second apart.
    is_exact: bool = field(default=False, metadata={"json": False})
    #: Versions of Celery, and a digest of the project's code that it has loaded; only a worker of runworker says them.
    celery: str | None = None
    code: str | None = None
    #: What it runs.
    tasks: list[RunningTask] | None = None
    #: Tasks of this process that it would get and does not know, and tasks that this process does not know.
    lacks: list[str] | None = None
    has_more: list[str] | None = None


@dataclass(frozen=True, kw_only=True)
class Look:
    """One look at the workers."""

    #: In the order of their names.
    workers: list[Worker] = field(default_factory=list)
    #: How many more listen and do not answer, whose names the broker has not or cannot tell from those of killed workers;
    #: None if it does not say.
    more_silent: int | None = None
    #: By queue, how many more consumers there are than workers that answer; None if the broker does not say.
    more_consumers: Mapping[str, int] | None = None
    #: The queues and tasks that are paused; None if that cannot be known.
    paused: list[Pause] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known of any worker that lives."""
        lives = any(each.state != UNKNOWN for each in self.workers)
        return not (lives or self.more_silent or self.more_consumers)


def look(app: Celery, here: Mapping[str, str] | None, limit: float = LIMIT) -> Look:
    """Ask all workers of `app`, for `limit` seconds at the most. `here` has the queue of each task of this process.

    Raises Unreachable when the broker does not answer.
    """
    answers = ask(app, COMMANDS, limit)
    said = _with_lists(app, answers, limit)
    now = datetime.now(timezone.utc)
    found = [online(name, said.get(name, {}), here, now, number_of(answers, name)) for name in answers.workers]
    taken = [queue for queues in queues_of_all(answers) for queue in queues or ()]
    other = presence(app, answers, taken, [queue for queue in (here or {}).values() if queue])
    found += [Worker(name=name, state=SILENT) for name in other.silent]
    found += [Worker(name=name, state=UNKNOWN) for name in other.unknown]
    return looked(found, other)


def looked(found: Sequence[Worker], other: Presence) -> Look:
    """Return a look at these workers, and at the others as far as the broker knows."""
    ordered = sorted(found, key=lambda each: each.name)
    return Look(workers=ordered, more_silent=other.unnamed, more_consumers=other.consumers)


def _with_lists(app: Celery, answers: Answers, limit: float) -> Mapping[str, Mapping[str, Any]]:
    """Return by its name what each worker has said, with the lists of those that do not count."""
    stats = answers.of("stats", dict)
    without = [name for name, said in stats.items() if not _mapping(said.get(ADDED)).keys() >= LISTS.keys()]
    if not without:
        return answers.said
    more = ask(app, LISTS, limit, without).said
    return {name: {**said, **more.get(name, {})} for name, said in answers.said.items()}


def online(
    name: str, said: Mapping[str, Any], here: Mapping[str, str] | None, now: datetime, same_name: int = 1
) -> Worker:
    """Return a worker as it says itself, or the `same_name` workers of this name as one."""
    stats = _mapping(said.get("stats"))
    pool, usage, added = (_mapping(stats.get(key)) for key in ("pool", "rusage", ADDED))
    queues = queues_of(said.get("active_queues"))
    tasks = None if "active" not in said else list(_running(said["active"], now))
    found = None if here is None else _difference(said.get("registered"), queues, here)
    peak = number(usage.get("maxrss"))
    total = stats.get("total")
    return Worker(
        name=name,
        state=ONLINE,
        same_name=same_name,
        pid=whole(stats.get("pid")),
        pool=_pool(pool.get("implementation")),
        concurrency=whole(pool.get("max-concurrency")),
        queues=queues,
        running=None if tasks is None or not isinstance(said["active"], list) else len(tasks),
        reserved=_count("reserved", said, added),
        scheduled=_count("scheduled", said, added),
        processed=sum(whole(each) or 0 for each in total.values()) if isinstance(total, Mapping) else None,
        memory=whole(added.get("memory")),
        peak_memory=None if peak is None else int(peak * _UNIT),
        up_since=_start(stats, added, now),
        is_exact=number(added.get("since")) is not None,
        celery=_text(added.get("celery")),
        code=_text(added.get("code")),
        tasks=tasks,
        lacks=None if found is None else found.lacks,
        has_more=None if found is None else found.has_more,
    )


def _start(stats: Mapping[str, Any], added: Mapping[str, Any], now: datetime) -> datetime | None:
    said, uptime = number(added.get("since")), number(stats.get("uptime"))
    if said is not None:
        return moment(said)
    return None if uptime is None else moment(now.timestamp() - uptime)


def _difference(registered: Any, queues: list[str] | None, here: Mapping[str, str]) -> Difference | None:
    return difference(task_names(registered), queues or (), here) if isinstance(registered, list) else None


def _running(active: Any, now: datetime) -> Iterator[RunningTask]:
    for info in active if isinstance(active, list) else ():
        if not isinstance(info, Mapping):
            continue  # anybody may answer anything
        since = moment(number(info.get("time_start")))
        yield RunningTask(
            id=_text(info.get("id")),
            name=_text(info.get("name")),
            args=_arguments(info.get("args")),
            kwargs=_arguments(info.get("kwargs")),
            since=since,
            seconds=None if since is None else max(0.0, (now - since).total_seconds()),
        )


def _arguments(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else repr(value)


def _pool(implementation: Any) -> str | None:
    """Return the name that -P takes for the class of a pool; another class keeps its name."""
    if not isinstance(implementation, str):
        return None
    module = implementation.partition(":")[0]
    name = module.removeprefix("celery.concurrency.")
    return {"thread": "threads"}.get(name, name) if name != module else implementation


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _count(what: str, said: Mapping[str, Any], added: Mapping[str, Any]) -> int | None:
    """Return how many tasks a worker has reserved, or holds for later: as it has counted them, or else as it has listed them."""
    counted = whole(added.get(what))
    return _length(said.get(what)) if counted is None else counted


def _length(value: Any) -> int | None:
    return len(value) if isinstance(value, list) else None
