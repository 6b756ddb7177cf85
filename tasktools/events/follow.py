"""Events of workers as they arrive, from one connection after another: a broker that goes away and comes back is waited for."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kombu import Consumer
from kombu.exceptions import KombuError

from tasktools.brokers import broker_of
from tasktools.brokers.reach import check_broker, connect, is_refused, reason, reason_at_end, unreachable
from tasktools.exceptions import Unreachable

if TYPE_CHECKING:
    from celery import Celery

#: How long the broker may take to answer, in seconds.
LIMIT = 2.5

#: After so many seconds without an event the broker is asked whether it is still there: a frozen one ends no connection.
SILENCE = 5.0

#: The least time between two tries to connect, in seconds.
REST = 1.0


@dataclass(frozen=True, kw_only=True)
class Connected:
    """The connection is there: events arrive from now on. `again` says that there was one before."""

    again: bool


@dataclass(frozen=True, kw_only=True)
class Lost:
    """The connection is lost. It is tried again."""

    why: str


@dataclass(frozen=True, kw_only=True)
class Unreadable:
    """An event cannot be read, the first one of this kind. Others arrive all the same."""

    why: str


Step = Connected | Lost | Unreadable | list[dict[str, Any]]


def follow(app: Celery, pause: float) -> Iterator[Step]:
    """Yield the events of each `pause` seconds as a list, which may be empty, and what happens to the connection.

    They are read without celery.events.Receiver.capture: this one shifts the times of a worker in another time zone, and cannot
    say that the connection was lost.

    Raises Unreachable, but only if the broker does not answer at first, or refuses before the first events.
    """
    broker, again, is_heard, faults = broker_of(app), False, False, _Faults()
    broker.prepare()
    while True:
        began = time.monotonic()
        try:
            connection = connect(broker, LIMIT)
        except Unreachable as error:
            if not again:
                raise
            yield from _rest(pause)
            yield Lost(why=error.sentence)
            continue
        try:
            for step in read(app, connection, pause, faults.note):
                yield Connected(again=again) if step is None else step
                yield from faults.news()
                again, is_heard = True, is_heard or step is not None
        except Unreachable as error:
            yield Lost(why=error.sentence)
        except (*connection.connection_errors, *connection.channel_errors, KombuError, OSError) as error:
            found = unreachable(broker.name, error)
            if not again or (is_refused(error) and not is_heard):  # a Redis is told only now which channels are read
                raise found from error
            lost = f"The connection to the broker is lost: {reason_at_end(error)}"
            yield Lost(why=found.sentence if is_refused(error) else lost)
        finally:
            with contextlib.suppress(Exception):  # it is broken, perhaps
                connection.collect()
        if time.monotonic() - began < REST:
            yield from _rest(pause)


class _Faults:
    """The events that cannot be read: one of them is worth a word."""

    def __init__(self) -> None:
        self._first: Exception | None = None
        self._is_told = False

    def note(self, message: object, error: Exception) -> None:
        self._first = self._first or error

    def news(self) -> Iterator[Unreadable]:
        if self._first is not None and not self._is_told:
            self._is_told = True
            yield Unreadable(why=reason(self._first))


def _pass_over(message: object, error: Exception) -> None:
    """Do nothing about an event that cannot be read."""


def read(
    app: Celery, connection: Any, pause: float, on_fault: Callable[[object, Exception], None] = _pass_over
) -> Iterator[list[dict[str, Any]] | None]:
    """Yield None when events arrive, and then the events. `on_fault` gets each message that cannot be read, with the error."""
    arrived: list[dict[str, Any]] = []

    def take(body: Any, message: object) -> None:
        # Workers send several events of tasks as one list.
        arrived.extend(each for each in (body if isinstance(body, list) else [body]) if isinstance(each, dict))

    receiver = app.events.Receiver(connection, app=app)
    receiver.channel.Message = _lenient(receiver.channel.Message)
    heard = time.monotonic()
    options = {"no_ack": True, "accept": receiver.accept, "on_decode_error": on_fault}
    with Consumer(receiver.channel, [receiver.queue], callbacks=[take], **options):
        receiver.wakeup_workers(channel=receiver.channel)
        yield None
        while True:
            _drain(connection, pause, on_fault)
            if arrived:
                heard = time.monotonic()
            elif time.monotonic() - heard > SILENCE:
                check_broker(app, LIMIT)
                heard = time.monotonic()
            events, arrived[:] = arrived[:], []
            yield events


def _lenient(kind: Any) -> Any:
    """Return kombu's class of a message, for one that may lack what each message has: it is a message that cannot be decoded.

    Anybody may publish on the channel of events, and kombu makes the message before it looks for `on_decode_error`.
    """

    class Lenient(kind):  # type: ignore[misc]
        def __init__(self, *args: Any, **options: Any) -> None:
            try:
                super().__init__(*args, **options)
            except Exception:  # noqa: BLE001 - it depends on what it is
                self.errors = [sys.exc_info()]

    return Lenient


def _drain(connection: Any, pause: float, on_fault: Callable[[object, Exception], None] = _pass_over) -> None:
    until = time.monotonic() + pause
    while (left := until - time.monotonic()) > 0:
        try:
            connection.drain_events(timeout=left)
        except TimeoutError:
            return
        except RecursionError as error:  # JSON that is nested too deeply; kombu has taken it off the connection
            on_fault(None, error)


def _rest(pause: float) -> Iterator[list[dict[str, Any]]]:
    """Wait before the next try, and let the caller do what it does meanwhile."""
    until = time.monotonic() + REST
    while time.monotonic() < until:
        time.sleep(pause)
        yield []
