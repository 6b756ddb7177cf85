"""Ask all workers at once, by remote control: a broadcast for each command, and one queue for all replies."""

from __future__ import annotations

import contextlib
import math
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from kombu.exceptions import ContentDisallowed, DecodeError

from tasktools.brokers import broker_of
from tasktools.brokers.reach import connect, reach
from tasktools.brokers.timeouts import within_thread
from tasktools.celery_compat import MAILBOX
from tasktools.control import broadcast
from tasktools.control.names import leaves

if TYPE_CHECKING:
    from celery import Celery

    from tasktools.control.replies import Replies

#: How long workers have to answer, in seconds.
LIMIT = 1.0

#: Nobody is waited for when no reply has come for so many seconds, and for so many times what the latest reply has taken: where
#: the machines are busy, replies come late. Who gives more time than LIMIT waits for all that listen, if the broker knows them.
QUIET, TIMES = 0.25, 3.0

#: How long the broker itself may take to connect, and to do the rest beyond the limit, in seconds.
CONNECTING, BEYOND = 2.5, 1.5

#: How long to wait when there is no reply, in seconds, and how long the connection may take to be closed.
_PAUSE, _RELEASE = 0.01, 0.2


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What the workers have answered."""

    #: By the name of the worker and the command. What failed there is left out.
    said: Mapping[str, Mapping[str, Any]]
    #: By the name of the worker and the command: the error that it has answered.
    failed: Mapping[str, Mapping[str, str]]
    #: How many workers listen; None if the broker does not say.
    listening: int | None
    #: How many of these have not answered; None if nobody knows.
    silent: int | None
    #: The names of those that have not answered, as far as the broker has them. A worker that was killed may be among them.
    absent: frozenset[str] = frozenset()
    #: By the name and the command, all answers with this name, errors too: several workers may have one.
    each: Mapping[str, Mapping[str, Sequence[Any]]] = field(default_factory=dict)

    @property
    def workers(self) -> list[str]:
        """The names of those that have answered anything."""
        return sorted({*self.said, *self.failed})

    def of(self, command: str, kind: type = object) -> dict[str, Any]:
        """Return by the name of the worker what it has answered to one command, if that is of this kind."""
        answers = {name: said[command] for name, said in self.said.items() if command in said}
        return {name: answer for name, answer in answers.items() if isinstance(answer, kind)}


def ask(
    app: Celery,
    commands: Mapping[str, Mapping[str, Any]],
    limit: float = LIMIT,
    destination: Collection[str] | None = None,
    *,
    only_bound: bool = False,
) -> Answers:
    """Ask the workers, or those named by `destination`, for all `commands` (each with its arguments) in one round.

    With `only_bound`, nobody is waited for whose name the broker does not have, if it says which ones it has.

    It ends as soon as everybody who listens has answered, and after `limit` seconds at the latest. Only Redis and Valkey know
    how many listen: elsewhere, and with a limit of LIMIT at the most, it also ends when the replies cease.

    Raises Unreachable when the broker does not answer.
    """
    broker = broker_of(app)
    broker.prepare()
    connection = connect(broker, CONNECTING)
    with leaving(connection):
        asked = _Round(MAILBOX.of(app.control)(connection), commands, destination, only_bound=only_bound)
        return reach(broker.name, limit + BEYOND, asked.run, limit)


def ask_over(
    app: Celery, connection: Any, commands: Mapping[str, Mapping[str, Any]], limit: float, own: Replies | None
) -> Answers:
    """Ask all workers over a connection that is there, as somebody does who asks again and again. Their replies come to `own`.

    It waits as long as the broker does, and as `own` says when it looks for replies.
    """
    return _Round(MAILBOX.of(app.control)(connection), commands, None, own).run(limit)


@contextlib.contextmanager
def leaving(connection: Any) -> Iterator[None]:
    """Release the connection at the end, in time: py-amqp waits without limit for the goodbye of a server that is silent."""
    try:
        yield
    finally:
        with contextlib.suppress(Exception):
            within_thread(_RELEASE, connection.release)


@dataclass
class _Round:
    """One round of questions and answers."""

    #: kombu's, bound to a connection of its own.
    mailbox: Any
    commands: Mapping[str, Mapping[str, Any]]
    destination: Collection[str] | None
    #: Where the replies come to, if not to a queue that is made for this round: the broker is asked less often then.
    own: Replies | None = None
    only_bound: bool = False
    each: dict[str, dict[str, list[Any]]] = field(default_factory=dict)
    said: dict[str, dict[str, Any]] = field(default_factory=dict)
    failed: dict[str, dict[str, str]] = field(default_factory=dict)
    replies: Counter[str] = field(default_factory=Counter)

    def run(self, limit: float) -> Answers:
        tickets = {str(uuid4()): command for command in self.commands}
        channel = self.mailbox.connection.default_channel
        sent = broadcast.send(self.mailbox, tickets, self.commands, self.destination, limit, self.own)
        patience = math.inf if sent.listening is not None and limit > LIMIT else QUIET
        if self.own is not None:
            self._collect_own(self.own, tickets, self._expected(sent), limit)
            return self._answers(sent)
        queue = self.mailbox.reply_queue(channel)
        try:
            self._collect(queue, tickets, self._expected(sent), limit, patience)
        finally:
            channel.after_reply_message_received(queue.name)
        return self._answers(sent)

    def _expected(self, sent: broadcast.Sent) -> int | None:
        if self.destination is None:
            return sent.listening
        if sent.listening is None:
            return len(self.destination)
        named = {*self.destination} & sent.bound if self.only_bound else self.destination
        return min(sent.listening, len(named))

    def _collect_own(self, own: Replies, tickets: Mapping[str, str], expected: int | None, limit: float) -> None:
        """Take the replies at a few times until everybody has answered everything, or the limit has come."""
        begun = time.monotonic()
        own.takes = 0
        for at in () if self._is_complete(expected) else own.times(limit):
            time.sleep(max(0.0, begun + at - time.monotonic()))
            for message in own.take(self.mailbox):
                self._take(message, tickets)
            if self._is_complete(expected):
                own.learn(at)
                return

    def _collect(
        self,
        queue: Any,
        tickets: Mapping[str, str],
        expected: int | None,
        limit: float,
        patience: float,
    ) -> None:
        """Take replies until everybody has answered everything, or nobody has answered for `patience` seconds.

        The queue is polled: kombu's consumer on Redis waits up to a second for its last read before it can be closed.
        """
        begun = latest = time.monotonic()
        while not self._is_complete(expected):
            message = queue.get(no_ack=True, accept=self.mailbox.accept)
            now = time.monotonic()
            if message is not None:
                latest = now
                self._take(message, tickets)
            elif now - begun >= limit or (self.replies and now - latest >= max(patience, TIMES * (latest - begun))):
                return
            else:
                time.sleep(_PAUSE)

    def _is_complete(self, expected: int | None) -> bool:
        return expected is not None and all(self.replies[command] >= expected for command in self.commands)

    def _take(self, message: Any, tickets: Mapping[str, str]) -> None:
        command = tickets.get(message.headers.get("ticket"))
        if command is None:
            return  # of an earlier round
        self.replies[command] += 1
        try:
            reply = message.payload
        except (ContentDisallowed, DecodeError):
            return
        for name, answer in reply.items() if isinstance(reply, Mapping) else ():
            self.each.setdefault(str(name), {}).setdefault(command, []).append(answer)
            if isinstance(answer, Mapping) and set(answer) == {"error"}:
                self.failed.setdefault(str(name), {})[command] = str(answer["error"])
            else:
                known = self.said.setdefault(str(name), {})
                known[command] = _merged(known[command], answer) if command in known else answer

    def _answers(self, sent: broadcast.Sent) -> Answers:
        answered = {*self.said, *self.failed}
        absent = sent.bound if self.destination is None else sent.bound & {*self.destination}
        if self.destination is not None:
            silent = None if sent.listening is None else len(absent - answered)
        else:
            most = max(self.replies.values(), default=0)
            silent = None if sent.listening is None else max(0, sent.listening - most)
        return Answers(
            said=self.said,
            failed=self.failed,
            listening=sent.listening,
            silent=silent,
            absent=absent - answered,
            each=self.each,
        )


def _merged(first: Any, second: Any) -> Any:
    """Return one answer for those of two workers with one name: while one takes the place of the other, both answer."""
    if leaves(first) or leaves(second):
        return second if leaves(first) else first
    if isinstance(first, list) and isinstance(second, list):
        return [*first, *(each for each in second if each not in first)]
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        return {**first, **second}
    return second
