"""What is paused, and where that is kept: on Redis and Valkey in the broker, elsewhere in the database of the site."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timezone, tzinfo
from typing import Any

from tasktools.arguments.names import shown
from tasktools.brokers.keys import Keys
from tasktools.queues import aside
from tasktools.render import printable

#: What can be paused.
QUEUE, TASK = "queue", "task"

#: The hash in the broker; its fields are `queue:NAME` and `task:NAME`.
KEY = "tasktools:paused"

#: The longest text that is kept of why, in characters.
_LONGEST = 10_000

#: The years of times that each time zone can show: those at the ends of the calendar have a day that some zones do not.
_YEARS = range(2, 9999)


def utc_now() -> datetime:
    return datetime.now(timezone.utc)


@dataclass(frozen=True, kw_only=True)
class Pause:
    """A queue or a task that is paused."""

    #: QUEUE or TASK.
    what: str
    name: str
    since: datetime
    #: When it ends by itself; None for never.
    until: datetime | None = None
    by: str = ""
    reason: str = ""

    @property
    def key(self) -> tuple[str, str]:
        return self.what, self.name

    def is_over(self, now: datetime) -> bool:
        return self.until is not None and self.until <= now

    def plain(self) -> dict[str, Any]:
        """Return it as values of JSON."""
        return {**asdict(self), "since": self.since.isoformat(), "until": self.until and self.until.isoformat()}


def of_plain(value: Any) -> Pause | None:
    """Return what `plain` was made of; None for anything else."""
    if not isinstance(value, dict) or value.get("what") not in (QUEUE, TASK) or not _is_name(value.get("name")):
        return None
    since, until = moment(value.get("since")), moment(value.get("until"))
    if since is None or (until is None and value.get("until") is not None):
        return None
    by, reason = (cleaned(each) if isinstance(each, str) else "" for each in (value.get("by"), value.get("reason")))
    return Pause(what=value["what"], name=value["name"], since=since, until=until, by=by, reason=reason)


def cleaned(text: str, most: int = _LONGEST) -> str:
    """Return a text that each database takes: not too long, without NUL and without halves of characters."""
    return text[:most].replace("\0", "").encode("utf-8", "replace").decode()


class Pauses:
    """Where the pauses are kept."""

    @property
    def supports_tasks(self) -> bool:
        """Whether a task can be paused, and not only its queue."""
        return False

    def read(self, now: datetime) -> list[Pause]:
        """Return the pauses that are not over: the queues and then the tasks, in the order of their names."""
        return sorted((each for each in self._all() if not each.is_over(now)), key=lambda each: each.key)

    def put(self, pauses: Iterable[Pause]) -> None:
        """Keep these; what is paused already gets the new one."""
        raise NotImplementedError

    def remove(self, pauses: Collection[Pause]) -> None:
        """Forget these."""
        raise NotImplementedError

    def places_aside(self) -> frozenset[aside.Place]:
        """Return of which queues and tasks messages are aside; elsewhere than on Redis none are."""
        return frozenset()

    def bring_back(self, places: Collection[aside.Place]) -> None:
        """Put them back."""

    def _all(self) -> Iterable[Pause]:
        raise NotImplementedError


class RedisPauses(Pauses):
    """In a hash of the broker."""

    def __init__(self, keys: Keys) -> None:
        self._keys, self._client, self._key = keys, keys.client, keys.full(KEY)

    @property
    def supports_tasks(self) -> bool:
        return aside.may_use_scripts(self._keys)

    def put(self, pauses: Iterable[Pause]) -> None:
        self._client.hset(self._key, mapping={_field(each): json.dumps(each.plain()) for each in pauses})

    def remove(self, pauses: Collection[Pause]) -> None:
        if pauses:
            self._client.hdel(self._key, *map(_field, pauses))

    def places_aside(self) -> frozenset[aside.Place]:
        return aside.places(self._keys)

    def bring_back(self, places: Collection[aside.Place]) -> None:
        aside.bring_back(self._keys, places)

    def _all(self) -> Iterable[Pause]:
        return pauses_in(self._client.hgetall(self._key))


def pauses_in(fields: Mapping[bytes, bytes]) -> Iterator[Pause]:
    """Yield the pauses that the hash of the broker says."""
    for name, value in fields.items():
        pause = _of_json(value)
        if pause is not None and _field(pause).encode() == name:  # of another field: `remove` would not find it
            yield pause


def words(pause: Pause, zone: tzinfo) -> str:
    """Return since when, by whom and why, and until when, for a sentence."""
    by = f" by {shown(pause.by)}" if pause.by else ""
    until = "" if pause.until is None else f" until {_time(pause.until, zone)}"
    why = f": {shown(pause.reason, 80)}" if pause.reason else ""
    return f"since {_time(pause.since, zone)}{until}{by}{why}"


def sentence(pause: Pause, zone: tzinfo) -> str:
    """Return that it is paused, since when, by whom and why, and until when."""
    return f'The {pause.what} "{shown(pause.name)}" is paused {words(pause, zone)}.'


def _time(time: datetime, zone: tzinfo) -> str:
    return f"{time.astimezone(zone):%Y-%m-%d %H:%M:%S}"


def _field(pause: Pause) -> str:
    return f"{pause.what}:{pause.name}"


def _of_json(value: bytes) -> Pause | None:
    """Return the pause of a field; None for what somebody else has written there."""
    try:
        return of_plain(json.loads(value))
    except (ValueError, RecursionError):
        return None


def _is_name(value: Any) -> bool:
    """Whether it can be the name of a queue or a task: one with half a character cannot be sent to a broker."""
    return isinstance(value, str) and printable(value) == value


def moment(value: Any) -> datetime | None:
    """Return a time of JSON; None for anything else, and for what some time zone cannot show."""
    try:
        found = datetime.fromisoformat(value)
        found = (found if found.tzinfo else found.replace(tzinfo=timezone.utc)).astimezone(timezone.utc)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if found.year in _YEARS else None
