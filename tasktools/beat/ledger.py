"""The hash in the broker that says when each entry last ran, and the transactions that send ticks and write it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from celery.utils.log import get_logger
from kombu.exceptions import EncodeError
from redis.exceptions import ResponseError

from tasktools.arguments.call import Call
from tasktools.beat.records import CHARGE, LastRun, field_of, key_of, lease_of
from tasktools.brokers.reach import chain, reason
from tasktools.brokers.redis_lease import RedisLease
from tasktools.brokers.transactions import Mark
from tasktools.exceptions import TasktoolsError, Unreachable
from tasktools.publishing.batch import Publisher
from tasktools.publishing.message_maker import ELSEWHERE
from tasktools.terminal import line

if TYPE_CHECKING:
    from celery import Celery

logger = get_logger("celery.beat")


@dataclass(frozen=True, kw_only=True)
class Tick:
    """An entry that is due."""

    #: The entry (celery.beat.ScheduleEntry) as it will be afterwards: its last run is this one.
    after: Any
    #: What is sent; None if only the entry's last run is written.
    call: Call | None = None
    task_id: str = ""


class Ledger:
    """The hash of an app's beats, over one connection. Ask `open` first."""

    def __init__(self, app: Celery, token: str) -> None:
        self.app = app
        self.token = token
        self.key = key_of(app)
        #: What the hash holds for each entry, as it was read or written last.
        self.kept: dict[str, str] = {}
        self._publisher: Publisher | None = None
        self._lease: RedisLease | None = None
        self._said: set[str] = set()

    def open(self) -> RedisLease:
        """Return the lease over the connection, which is made if there is none. Raises Unreachable."""
        if self._lease is None:
            self._publisher = publisher = Publisher(self.app, listen=False, is_run=False)
            publisher.open()
            self._lease = RedisLease(publisher.keys, lease_of(self.app), self.token)
        return self._lease

    def close(self) -> None:
        """Drop the connection."""
        if self._publisher is not None:
            self._publisher.__exit__()
        self._publisher = self._lease = None

    def take_charge(
        self, begin: Callable[[str, LastRun | None], LastRun], entries: Iterable[str]
    ) -> dict[str, LastRun]:
        """Make this beat the only one that may send, and return the last run of each of the entries.

        `begin` gets the name of an entry and what is kept of it, and returns its last run. What is kept of other entries is
        removed.

        Raises Overtaken when another process holds the lease, and what the broker raises.
        """
        texts = self._read()
        runs = {name: begin(name, self._kept_run(name, texts)) for name in entries}
        wanted = {field_of(name): run.text() for name, run in runs.items()}
        values = {name: text for name, text in wanted.items() if texts.get(name) != text} | {CHARGE: self.token}
        mark = Mark(
            key=self.key,
            values=values,
            expected={CHARGE: texts.get(CHARGE, "")},
            removed=[name for name in texts if name != CHARGE and name not in wanted],
            lease=(self._opened().keys.full(lease_of(self.app)), self.token),
        )
        self._opened().write(mark)
        self.kept = {name: wanted[field_of(name)] for name in runs}
        return runs

    def _opened(self) -> Publisher:
        assert self._publisher is not None
        return self._publisher

    def _read(self) -> dict[str, str]:
        publisher = self._opened()
        purpose = "beat keeps when each entry last ran"
        try:
            return publisher.read(self.key, purpose)
        except Unreachable as error:
            if not any(str(each).startswith("WRONGTYPE") for each in chain(error)):
                raise
        aside = publisher.keys.move_aside(publisher.keys.full(self.key))
        logger.error('beat: the key "%s" held something else, which is now at "%s".', line(self.key), line(aside))
        return {}

    def _kept_run(self, name: str, texts: Mapping[str, str]) -> LastRun | None:
        text = texts.get(field_of(name))
        run = LastRun.of(text) if text else None
        if text and run is None:
            logger.error(
                'beat: what the broker keeps of the entry "%s" cannot be read, and is written new: %s',
                line(str(name)),
                line(text[:100]),
            )
        return run

    def send(self, ticks: Sequence[Tick]) -> None:
        """Send what is due and note it in one transaction.

        A tick that cannot be sent, because of the project's code or because the server refuses its queue, is reported, and noted
        as if it had been sent: so does Celery. It is not noted if the server refuses all of them, as one without memory does.

        Raises Overtaken when another beat has sent one of the ticks or taken charge, and what `Publisher.send` raises for the
        broker.
        """
        sent = [tick for tick in ticks if tick.call is not None]
        failed: dict[int, Exception] = {}
        texts: dict[str, str] = {}

        def skip(number: int, error: Exception) -> bool:
            if _concerns_one(error):
                failed[number] = error
            return number in failed

        def mark() -> Mark:
            if failed and len(failed) == len(sent) and all(_is_refused(each) for each in failed.values()):
                raise failed[0]
            lost = {id(sent[number]) for number in failed}
            for tick in ticks:
                texts[tick.after.name] = _last_run(tick, "" if id(tick) in lost else tick.task_id).text()
            return self._mark(texts)

        self._send(sent, mark, skip) if sent else self._opened().write(mark())
        for number, error in failed.items():
            logger.error(
                'beat: the entry "%s" could not be sent: %s', line(str(sent[number].after.name)), reason(error)
            )
        self.kept |= texts

    def _send(self, ticks: Sequence[Tick], mark: Callable[[], Mark], skip: Callable[[int, Exception], bool]) -> None:
        calls = [tick.call for tick in ticks if tick.call is not None]
        batch = self._opened().send(calls, mark, ids=[tick.task_id for tick in ticks], skip=skip)
        self._report(batch.slow)

    def _mark(self, texts: Mapping[str, str]) -> Mark:
        expected = {field_of(name): self.kept.get(name, "") for name in texts}
        values = {field_of(name): text for name, text in texts.items()}
        return Mark(key=self.key, values=values, expected={**expected, CHARGE: self.token})

    def _report(self, slow: Mapping[str, str]) -> None:
        """Report once for each task what keeps its ticks out of the transaction."""
        declined: Counter[str] = self._opened().declined
        for task in declined:
            self._once(task, 'beat: the apply_async of the task "%s" has sent nothing.')
        for task, why in slow.items():
            if why == ELSEWHERE:
                self._once(
                    task,
                    'beat: the apply_async of the task "%s" sends over a connection of its own: after a failover, its '
                    "tick may be sent twice.",
                )

    def _once(self, task: str, sentence: str) -> None:
        if f"{task} {sentence}" not in self._said:
            self._said.add(f"{task} {sentence}")
            logger.warning(sentence, line(task))


def _is_refused(error: Exception) -> bool:
    return any(isinstance(each, ResponseError) for each in chain(error))


def _concerns_one(error: Exception) -> bool:
    """Whether what was raised when a message was made need not keep other messages from being sent."""
    is_ours = isinstance(error, (EncodeError, TasktoolsError)) and not isinstance(error, Unreachable)
    return is_ours or _is_refused(error)


def _last_run(tick: Tick, task_id: str = "") -> LastRun:
    return LastRun(at=aware(tick.after), count=tick.after.total_run_count, task_id=task_id)


def aware(entry: Any) -> datetime:
    """Return when an entry ran last, with its time zone."""
    at: datetime = entry.last_run_at
    return at if at.tzinfo is not None else entry.schedule.maybe_make_aware(at)
