"""What a beat leaves in the broker: who it is, when each entry last ran, and where that is kept.

On Redis and Valkey, NAME being the name of the app and its default queue:

    tasktools:beat:NAME         a hash: "charge" is the token of the beat that may send; "entry:..." is a LastRun as JSON
    tasktools:beat:NAME:lease   who is in charge: see brokers/redis_lease.py
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from celery import Celery

#: The field of the hash that holds the token of the beat in charge; the beginning of those that hold entries, and of those whose
#: entry has a name that is no text, or no Unicode.
CHARGE, ENTRY, OTHER = "charge", "entry:", "entry-repr:"

#: What reading something else than our own JSON raises.
UNREADABLE = (ValueError, TypeError, KeyError, OverflowError, RecursionError)

#: The years of a last run with which schedules can calculate in every time zone.
YEARS = range(1970, 9999)


def key_of(app: Celery) -> str:
    """Return the name of the hash. The key of the lease begins with it."""
    return f"tasktools:beat:{app.main or 'celery'}:{app.conf.task_default_queue}"


def lease_of(app: Celery) -> str:
    """Return the name of the lease."""
    return f"{key_of(app)}:lease"


def field_of(name: object) -> str:
    """Return the field of the hash for an entry by its name, which may be anything that can be a key of a dictionary."""
    try:
        return f"{ENTRY}{name.encode().decode()}" if isinstance(name, str) else _other_field(name)
    except UnicodeEncodeError:  # it has half of a surrogate pair
        return _other_field(name)


def _other_field(name: object) -> str:
    return f"{OTHER}{repr(name).encode(errors='backslashreplace').decode()}"


def titles(names: Iterable[Any]) -> dict[Any, str]:
    """Return what each entry is called, by its name. No two are called the same: if there is "5", 5 is called "(5)"."""
    names = list(names)
    found = {name: name for name in names if isinstance(name, str)}
    taken = set(found)
    for name in names:
        if not isinstance(name, str):
            title = str(name)
            while title in taken:
                title = f"({title})"
            taken.add(title)
            found[name] = title
    return {name: found[name] for name in names}


@dataclass(frozen=True, kw_only=True)
class LastRun:
    """When an entry last ran."""

    #: Aware.
    at: datetime
    #: How often the entry has run.
    count: int
    #: The id of the task that was sent last; "" if none was: `at` is then when the entry was first seen.
    task_id: str = ""

    def text(self) -> str:
        """Return it as it is kept."""
        return json.dumps({"at": self.at.isoformat(), "count": self.count, "id": self.task_id})

    @classmethod
    def of(cls, text: str) -> LastRun | None:
        """Read what is kept; None if something else is there, such as the format of another version."""
        try:
            found: Any = json.loads(text)
            at = datetime.fromisoformat(found["at"])
            count, task_id = int(found["count"]), str(found["id"])
        except UNREADABLE:
            return None
        is_sane = at.tzinfo is not None and at.year in YEARS and count >= 0
        return cls(at=at, count=count, task_id=task_id) if is_sane else None


@dataclass(frozen=True, kw_only=True)
class Beat:
    """A beat as it introduces itself to others."""

    host: str
    pid: int
    #: When it took charge, or began to stand by (aware); None if the broker does not know.
    since: datetime | None
    #: Digests of the project's code that it has loaded, and of its schedule: what differs between two versions of a deploy.
    code: str = ""
    schedule: str = ""
    #: The dotted name of its scheduler.
    scheduler: str = ""

    @classmethod
    def here(cls, code: str, schedule: str, scheduler: str) -> Beat:
        """Return the beat of this process."""
        host = socket.gethostname()
        return cls(host=host, pid=os.getpid(), since=None, code=code, schedule=schedule, scheduler=scheduler)

    def text(self) -> str:
        """Return it as it is kept."""
        return json.dumps({**asdict(self), "since": self.since.isoformat() if self.since else None})

    @classmethod
    def of(cls, text: str) -> Beat | None:
        """Read what is kept; None if something else is there."""
        try:
            found: Any = json.loads(text)
            since = datetime.fromisoformat(found["since"]) if found["since"] else None
            texts = {name: str(found[name]) for name in ("host", "code", "schedule", "scheduler")}
            return cls(pid=int(found["pid"]), since=since, **texts)
        except UNREADABLE:
            return None

    def __str__(self) -> str:
        return f"{self.host or 'an unnamed host'} (pid {self.pid})"


def is_introduction(text: str) -> bool:
    """Whether a beat may have written this of itself: one of another version, with other fields, counts too."""
    try:
        return isinstance(json.loads(text), dict)
    except UNREADABLE:
        return False
