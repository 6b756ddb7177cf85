"""One beat at a time, for a scheduler that the project has chosen: a lease around it.

The scheduler is made when this beat takes charge and dropped when another one does, so that a beat that stands by reads and
writes nothing of it. A tick that has begun is not broken off: if it lasts longer than the lease, another beat begins meanwhile.
"""

from __future__ import annotations

import contextlib
import shelve
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import celery.beat
from celery.utils.log import get_logger
from kombu.exceptions import KombuError
from redis.exceptions import NoPermissionError, RedisError

from tasktools.beat.choice import load
from tasktools.beat.clock import Clock
from tasktools.beat.leadership import Leadership
from tasktools.beat.records import Beat, lease_of
from tasktools.beat.state_file import set_damaged_aside
from tasktools.beat.trouble import Trouble
from tasktools.beat.version import schedule_digest
from tasktools.brokers import broker_of
from tasktools.brokers.file_lease import FileLease, refusal
from tasktools.brokers.lease import Lease
from tasktools.brokers.reach import reason
from tasktools.celery_compat import FINALIZE, STORE
from tasktools.exceptions import ConfigurationError, HeldElsewhere, TasktoolsError, is_of_signal
from tasktools.project import current_project
from tasktools.terminal import line
from tasktools.valkey.folders import make_private

if TYPE_CHECKING:
    from celery import Celery

logger = get_logger("celery.beat")

#: How long to wait before trying again if the broker is away, in seconds.
AGAIN = 0.5

#: What a broker that is away raises, besides the errors of tasktools.
_AWAY = (TasktoolsError, OSError, KombuError, RedisError)

#: What a tick of the chosen scheduler raises if the broker is away. Its other errors end beat, as with Celery.
_BROKER_AWAY = (TasktoolsError, ConnectionError, TimeoutError, KombuError, RedisError)


def scheduler(app: Celery, *, lazy: bool = False, **options: Any) -> Any:
    """Return what beat uses in place of the chosen scheduler; with `lazy`, the chosen one, of which beat shows the name."""
    chosen = load(current_project().beat.scheduler)
    if lazy:
        return chosen(app=app, lazy=True, **options)
    if app.conf.beat_schedule is None:
        app.conf.beat_schedule = {}  # the chosen one cannot do without
    guarded = Guarded(app, lambda: made(chosen, app, **options), **options)
    guarded.begin()
    return guarded


def made(chosen: Any, app: Celery, **options: Any) -> Any:
    """Make the chosen scheduler. If the file of its schedule is damaged, it begins with a new one."""
    try:
        return chosen(app=app, **options)
    except Exception as error:
        path = options.get("schedule_filename")
        keeps_file = isinstance(chosen, type) and issubclass(chosen, celery.beat.PersistentScheduler)
        aside = set_damaged_aside(path) if path and keeps_file else None
        if aside is None:
            raise
        what = f'the schedule "{path}" cannot be read, and is now at "{aside}": all entries start as new ones'
        logger.error("beat: %s: %s: %s.", line(what), type(error).__name__, reason(error))
    return chosen(app=app, **options)


def lease_for(app: Celery, token: str) -> Lease:
    """Return the lease of the beats of `app`: of its broker, or a file if the broker has none.

    Raises what the broker raises.
    """
    broker = broker_of(app)
    if broker.supports_leases:
        broker.prepare()
        return broker.lease(lease_of(app), token)
    return FileLease(current_project().beat.lock)


def file_lease() -> FileLease:
    """Return the lease of this machine, for a broker that gives its user none. Raises OSError and PrivateServerError."""
    path = Path(current_project().beat.lock)
    make_private(path.parent)
    return FileLease(str(path))


@contextlib.contextmanager
def _leaving_is_said() -> Iterator[None]:
    """Report code of the project that ends beat inside the block as exit() does: without a word, and even with 0."""
    try:
        yield
    except BaseException as error:
        if not isinstance(error, Exception) and not is_of_signal(error):
            logger.critical(
                "beat: code that the scheduler calls ends beat: %s", line(f"{type(error).__name__}: {error}")
            )
        raise


class Guarded:
    """Looks like a scheduler to celery.beat.Service, and ticks only while this beat is in charge."""

    def __init__(self, app: Celery, make: Callable[[], Any], *, max_interval: float | None = None, **_: Any) -> None:
        plan = current_project().beat
        self.app = app
        self.max_interval = max_interval or app.conf.beat_max_loop_interval or celery.beat.Scheduler.max_interval
        self.inner: Any = None
        self.trouble = Trouble(lambda: broker_of(app).name)
        self._make = make
        self._token = uuid4().hex
        self._term = 0
        self._lease: Lease | None = None
        me = Beat.here(plan.code, schedule_digest(app.conf.beat_schedule), plan.scheduler)
        self.leadership = Leadership(me, Clock(app.timezone), seconds=plan.lease, stands_by=plan.stands_by)

    def tick(self, *args: Any, **options: Any) -> float:
        """Tick if this beat is in charge; return how long nothing is to be done, in seconds."""
        try:
            if not self._is_in_charge():
                self._forget()
                return 0
        except HeldElsewhere as error:
            raise SystemExit(error.exit_code) from error
        except _AWAY as error:
            if isinstance(error, OSError) and isinstance(self._lease, FileLease):
                return self._lose(refusal(error))
            return self._lose(error)
        if self.inner is None or self._term != self.leadership.terms:
            self._begin()
            return 0
        began, busy = time.monotonic(), self.leadership.busy
        try:
            with self.leadership.at_work(), _leaving_is_said():
                interval = self.inner.tick(*args, **options)
        except Exception as error:
            lasted = time.monotonic() - began
            if isinstance(error, _BROKER_AWAY) or lasted > self.leadership.seconds:  # another beat may have begun
                return self._lose(error)
            raise
        if interval:  # it has sent nothing, and so nothing is forgotten
            self.leadership.busy = max(self.leadership.busy, busy)
        self.trouble.over()
        return float(min(interval or 0, self.leadership.pause()))

    def begin(self) -> None:
        """Make the scheduler now if no other beat is in charge: receivers of beat_init may ask for it."""
        with contextlib.suppress(*_AWAY, HeldElsewhere):
            if self._is_in_charge():
                self._begin()

    def _begin(self) -> None:
        """Make the scheduler. That may take longer than the lease: the next tick looks first whether this beat is in charge."""
        self._forget()
        self._term = self.leadership.terms
        with self.leadership.at_work():
            self.inner = self._make()
        self.inner.sync_every_tasks = 1  # else the next beat would send again what was sent since the last sync
        self.max_interval = self.inner.max_interval
        self.leadership.ask_again()

    def _lose(self, error: Exception) -> float:
        self.trouble.report(error)
        self._drop()
        return AGAIN

    def _is_in_charge(self) -> bool:
        if not self.leadership.is_due():
            return True
        with self.leadership.idle():
            try:
                if self._lease is None:
                    self._lease = lease_for(self.app, self._token)
                return self.leadership.ensure(self._lease)
            except (ConfigurationError, NoPermissionError) as error:
                if isinstance(self._lease, FileLease):
                    raise
                self.trouble.report(
                    error,
                    "one beat at a time on this machine only: the broker's user gets no lease",
                )
                if self._lease is not None:
                    self._lease.close()
                self._lease = file_lease()
                return self.leadership.ensure(self._lease)

    def _forget(self) -> None:
        """Drop the scheduler without saving its schedule: that of another beat may be in its file by now."""
        if self.inner is not None:
            store, finalize = STORE.get(self.inner), FINALIZE.get(self.inner)
            if isinstance(store, shelve.Shelf):
                store.cache.clear()  # type: ignore[attr-defined]
            if finalize is not None:
                finalize.cancel()
        self.inner = None

    def _drop(self) -> None:
        self._forget()
        self.leadership.lost()
        if self._lease is not None:
            self._lease.close()
            self._lease = None

    def should_sync(self) -> bool:
        return self.inner is not None and bool(self.inner.should_sync())

    def close(self) -> None:
        """Close the scheduler, which saves its schedule, and then let another beat take charge."""
        try:
            if self.inner is not None:
                self.inner.close()
        finally:
            self.leadership.give_up()
            if self._lease is not None:
                self._lease.close()

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the scheduler, such as its schedule, while this beat is in charge."""
        inner = self.__dict__.get("inner")
        if inner is None:
            raise AttributeError(f"this beat stands by, and has no {name}")
        return getattr(inner, name)
