"""Messages of failed tasks -> the broker: each once on Redis and Valkey, else as safely as the broker can."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from kombu.exceptions import KombuError
from redis.exceptions import ResponseError

from tasktools.brokers.once import Contended, Late, Once, forget_soon, keep_on, send_once
from tasktools.brokers.reach import reach, reason, unreachable
from tasktools.brokers.recording import Command
from tasktools.brokers.transactions import NotBegun
from tasktools.exceptions import TasktoolsError, Unreachable
from tasktools.failures.destination import Destination
from tasktools.failures.remade import Remade, Unsendable
from tasktools.failures.sent import KEPT, KEPT_AFTER, MARK, Message, Sent
from tasktools.publishing.session import Session

if TYPE_CHECKING:
    from celery import Celery

#: How long connecting may take, and how long one batch, in seconds.
LIMIT = 4.0
BATCH_LIMIT = 20.0


class Sender(Session):
    """Sends batch after batch over one connection. Use it as a context manager."""

    def __init__(self, app: Celery) -> None:
        super().__init__(app)
        #: Whether some of the last batch may be with the broker.
        self.has_begun = False

    def open(self) -> None:
        """Connect. Raises Unreachable."""
        if self._connection is not None:
            return
        connection = self._connect(LIMIT, " Nothing more was sent.")
        self._channel: Any = connection.default_channel
        self._is_amqp = connection.transport.driver_type == "amqp"
        self._destination = Destination(self.app, connection)

    def send(self, messages: Sequence[Message], is_late: Callable[[], bool] = lambda: False) -> Sent:
        """Send a batch. `is_late` says whether it has been claimed for so long that it must not be sent any more.

        Raises Unreachable when there is no connection; other errors of the broker are in what is returned.
        """
        self.has_begun = False
        self.open()
        done = Sent()
        places = self._placed(messages, done)
        if done.error is None:
            send = self._send_once if self.is_atomic else self._send_each
            send(messages, places, done, is_late)
        return done

    def keep(self, new_ids: Sequence[str]) -> None:
        """Let the keys that say that these were sent stay as long as new ones. Raises Unreachable."""
        if self.is_atomic:
            self.open()
            marks = [MARK.format(each) for each in new_ids]
            reach(self.broker.name, LIMIT, keep_on, self._keys, marks, KEPT)

    def forget(self, new_ids: Sequence[str]) -> None:
        """Note that the table says that these were sent."""
        if self.is_atomic:
            forget_soon(self._keys, [MARK.format(each) for each in new_ids], KEPT_AFTER)

    def _placed(self, messages: Sequence[Message], done: Sent) -> dict[int, tuple[str, str]]:
        """Return where each message goes: exchange and routing key."""
        places: dict[int, tuple[str, str]] = {}
        for place, each in enumerate(messages):
            found = self._destination.known(each.message, each.queue)
            try:
                found = found or reach(self.broker.name, LIMIT, self._destination.of, each.message, each.queue)
            except TasktoolsError as error:
                done.error = error
                done.unsent = [other for other in range(len(messages)) if other not in done.refused]
                break
            except Exception as error:  # noqa: BLE001 - a message may hold anything
                found = Unsendable(_unprepared(error))
            if isinstance(found, Unsendable):
                done.refused[place] = str(found)
            else:
                places[place] = found
        return places

    def _send_once(
        self,
        messages: Sequence[Message],
        places: dict[int, tuple[str, str]],
        done: Sent,
        is_late: Callable[[], bool],
    ) -> None:
        numbers, onces = self._recorded(messages, places, done)
        if not onces:
            return
        self.has_begun = True
        try:
            sent = send_once(self._keys, onces, keep=KEPT, is_late=is_late)
        except Late:
            done.late = numbers
        except Contended:
            done.doubtful = numbers
        except (NotBegun, ResponseError) as error:
            done.unsent, done.error = numbers, self._failed(error)
        except self._errors as error:
            done.doubtful, done.error = numbers, self._failed(error)
        else:
            done.sent = [numbers[each] for each in sent.sent]
            done.before = [numbers[each] for each in sent.before]
            done.refused |= {
                numbers[each]: f"the broker refuses it: {reason(why)}" for each, why in sent.refused.items()
            }

    def _recorded(
        self, messages: Sequence[Message], places: dict[int, tuple[str, str]], done: Sent
    ) -> tuple[list[int], list[Once]]:
        """Return what sends these messages, and their places. If the broker fails meanwhile, nothing is to be sent."""
        numbers, onces = [], []
        for place, where in places.items():
            try:
                commands = self._commands(messages[place].message, where)
            except Exception as error:  # noqa: BLE001 - a message may hold anything
                if isinstance(error, self._errors) and not isinstance(error, KombuError):
                    done.unsent, done.error = [each for each in places if each not in done.refused], self._failed(error)
                    return [], []
                done.refused[place] = _unprepared(error)
                continue
            if commands:
                numbers.append(place)
                onces.append(Once(mark=MARK.format(messages[place].new_id), commands=commands))
            else:
                done.refused[place] = f'its exchange "{where[0]}" leads to no queue'
        return numbers, onces

    def _commands(self, message: Remade, where: tuple[str, str]) -> list[Command]:
        assert self._recorder is not None
        commands: list[Command] = []
        with self._recorder.recording(commands.append):
            self._publish(self._prepared(message), where)
        return commands

    def _send_each(
        self, messages: Sequence[Message], places: dict[int, tuple[str, str]], done: Sent, is_late: Callable[[], bool]
    ) -> None:
        if is_late():
            done.late = list(places)
            return
        confirms = self.broker.supports_confirms
        begun: list[int] = []
        ready: dict[int, Any] = {}
        for place in places:
            try:
                ready[place] = self._prepared(messages[place].message)
            except Exception as error:  # noqa: BLE001 - a message may hold anything
                done.refused[place] = _unprepared(error)
        # Where the limit runs out, a thread may go on with what it does: it must not begin another message then.
        lock, is_over = threading.Lock(), threading.Event()

        def publish() -> None:
            with self.broker.confirms(self._channel, LIMIT) if confirms else contextlib.nullcontext():
                for place, prepared in ready.items():
                    with lock:
                        if is_over.is_set():
                            return
                        begun.append(place)
                    self._publish(prepared, places[place])

        self.has_begun = True
        try:
            reach(self.broker.name, BATCH_LIMIT, publish)
        except TasktoolsError as error:
            with lock:
                is_over.set()
            # Without confirms a message counts as sent when the next one was begun.
            done.sent = [] if confirms else begun[:-1]
            done.doubtful = begun if confirms else begun[-1:]
            done.unsent = [each for each in ready if each not in set(begun)]
            done.error = error
        else:
            done.sent = begun

    def _prepared(self, message: Remade) -> Any:
        """Prepare a message as kombu's Producer does, which would write some headers and properties itself."""
        properties = dict(message.properties)
        return self._channel.prepare_message(
            message.body,
            priority=properties.pop("priority", None) if self._is_amqp else properties.get("priority"),
            content_type=message.content_type,
            content_encoding=message.content_encoding,
            headers=dict(message.headers),
            properties=properties,
        )

    def _publish(self, prepared: Any, where: tuple[str, str]) -> None:
        self._channel.basic_publish(prepared, exchange=where[0], routing_key=where[1])

    def _failed(self, error: BaseException) -> Unreachable:
        return unreachable(self.broker.name, error)


def _unprepared(error: BaseException) -> str:
    return f"its message cannot be prepared: {type(error).__name__}: {reason(error)}"
