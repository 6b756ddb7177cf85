"""Many calls at once.

On Redis and Valkey, a batch of messages is one transaction, which includes the mark of a run (`checkpoint`). Celery makes the
first message of a kind, and the others are made from it (`message_maker`). On other brokers, `apply_async` sends each call, in
batches where kombu can (kombu 5.7: Producer.batch).
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from celery.result import denied_join_result
from kombu.exceptions import EncodeError
from redis.exceptions import ResponseError

from tasktools.arguments.call import Call
from tasktools.arguments.names import shown
from tasktools.brokers.keys import Keys
from tasktools.brokers.portable import queue_length
from tasktools.brokers.reach import HINT, chain, reason_at_end, remedy
from tasktools.brokers.recording import Outgoing, Stored
from tasktools.brokers.transactions import Mark, NotBegun, SentInPart, announce, read_mark, transact
from tasktools.exceptions import InDoubt, TasktoolsError, Unreachable
from tasktools.publishing.message_maker import MessageMaker
from tasktools.publishing.message_template import random_ids
from tasktools.publishing.one_by_one import Applier, Tally, require_fit
from tasktools.publishing.session import Session

if TYPE_CHECKING:
    from celery import Celery

#: Calls in one batch unless another number is given.
BATCH_SIZE = 500

#: How long connecting may take, and how long one answer of the broker, in seconds.
LIMIT = 4.0


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Calls that have been sent together."""

    #: The tasks' ids, in the order of the calls.
    ids: list[str]
    #: The tasks whose calls took Celery's own path, and why: {"shop.tasks.add": "receivers of before_task_publish"}.
    slow: Mapping[str, str]


def enqueue_many(app: Celery, calls: Iterable[Call], *, batch_size: int = BATCH_SIZE) -> Iterator[Batch]:
    """Send `calls` as `apply_async` would, `batch_size` of them at a time, and yield each batch when it has been sent.

    This is lazy: nothing is sent before you ask for the first batch, and `calls` may be endless. Arguments are checked as in
    `apply_async`. On Redis and Valkey, a batch is sent as a whole or not at all.

        for batch in enqueue_many(app, (Call(task="shop.tasks.add", args=(n, n)) for n in range(1_000_000))):
            print(len(batch.ids))

    Raises TypeError for a call that its task does not take, TooDeep for one that no worker could read, Unreachable when there
    is no broker (nothing of the batch was sent), InDoubt when the broker broke off in the middle of a batch, and what
    receivers of signals raise.
    """
    left = iter(calls)
    with Publisher(app) as publisher:
        while some := list(islice(left, batch_size)):
            for call in some:
                require_fit(app.tasks.get(call.task), call)
            yield publisher.send(some)


class Publisher(Session):
    """Sends batch after batch over one connection. Use it as a context manager."""

    def __init__(self, app: Celery, *, listen: bool = True, is_run: bool = True) -> None:
        """Without `listen`, no results are subscribed to. This uses a switch of Celery that applies to the whole process.

        With `is_run`, errors say what of a run of batches was not sent.
        """
        super().__init__(app)
        self.listen = listen
        self._is_run = is_run
        #: How many calls the tasks' own apply_async has declined: the ids of these calls belong to no message.
        self.declined: Counter[str] = Counter()

    def open(self) -> Any:
        """Return the connection, which the first call makes.

        Raises Unreachable when there is none within LIMIT.
        """
        if self._connection is None:
            connection = self._connect(LIMIT, self._of_run("Nothing more was sent."))
            producer = self.app.amqp.Producer(connection, auto_declare=False)
            self._applier = Applier(self.app, producer, self._errors, self.declined)
            if self.broker.supports_confirms:
                confirms = self.broker.confirms(connection.default_channel, LIMIT)
                self._applier.batch = lambda max_size: confirms
            self._maker = MessageMaker(self.app, self._applier, self._recorder)
        return self._connection

    @staticmethod
    def new_ids(calls: Sequence[Call]) -> list[str]:
        """Return the ids that the calls will have: their own, or random ones."""
        return [call.options.get("task_id") or new for call, new in zip(calls, random_ids(len(calls)), strict=True)]

    def send(
        self,
        calls: Sequence[Call],
        mark: Mark | Callable[[], Mark] | None = None,
        *,
        ids: list[str] | None = None,
        tally: Tally | None = None,
        skip: Callable[[int, Exception], bool] | None = None,
        stored: Stored | None = None,
    ) -> Batch:
        """Send one batch, and the mark with it. The ids are new ones unless given (`new_ids`).

        `stored` is stored in the same transaction, where batches are transactions.

        Raises Unreachable, InDoubt, ProjectError when the project's own code fails during that, and EncodeError. `tally` then
        says how many of the calls have been sent nevertheless: none, if batches are sent as a whole. There, `skip` gets the
        number of a call and the error that it raised, and says whether the others are sent; a mark that is made after that
        is a function.
        """
        self.open()
        ids = self.new_ids(calls) if ids is None else ids
        tally = tally or Tally()
        with contextlib.nullcontext() if self.listen else denied_join_result():
            if not self.is_atomic:
                return self._send_each(calls, ids, tally)
            try:
                outgoing = self._maker.make(calls, ids, tally, skip)
                mark = mark() if callable(mark) else mark
                outgoing.stored.update(stored or {})
            except (EncodeError, TasktoolsError):
                raise
            except self._errors as error:
                raise self._unsent(error) from error
            self._transact(outgoing, mark, tally, len(calls))
            announce(self._keys, outgoing.events)
            return Batch(ids=ids, slow=outgoing.slow)

    def _transact(self, outgoing: Outgoing, mark: Mark | None, tally: Tally, calls: int) -> None:
        tally.begun = calls
        try:
            transact(self._keys, outgoing, mark)
        except (NotBegun, ResponseError) as error:
            tally.begun = 0
            raise self._unsent(error, calls) from error
        except TasktoolsError:
            tally.begun = 0
            raise
        except SentInPart as error:
            raise self._sent_in_part(error) from error
        except self._errors as error:
            raise InDoubt(self._broke_off(error), hint=HINT, calls=calls) from error
        tally.sent = calls

    def _unsent(self, error: BaseException, calls: int = 1) -> Unreachable:
        consequence = "This batch was not sent." if calls else "How far the run has come was not written down."
        return Unreachable(f"{self._broke_off(error)}{self._of_run(consequence)}", hint=remedy(self.broker.name, error))

    def _of_run(self, sentence: str) -> str:
        return f" {sentence}" if self._is_run else ""

    def _sent_in_part(self, error: SentInPart) -> InDoubt:
        keys = ", ".join(f'"{shown(key)}"' for key in error.keys)
        rest = f"the rest{self._of_run('of this batch')} was."
        sentence = f"{self._broke_off(error.reason)} What was for {keys} was not sent, {rest}"
        more = ", and send what was for them from a file of its own" if self._is_run else ""
        hint = f"see what these keys of the broker hold{more}"
        return InDoubt(sentence, hint=hint, in_part=True)

    def _broke_off(self, error: BaseException) -> str:
        refuses = any(isinstance(each, ResponseError) for each in chain(error))  # kombu wraps some errors
        return f"{self.broker.name} {'refuses' if refuses else 'broke off'}: {reason_at_end(error)}"

    @property
    def keys(self) -> Keys:
        """The keys of a Redis or Valkey, for one that is open and atomic."""
        return self._keys

    def read(self, key: str, purpose: str) -> dict[str, str]:
        """Return a mark by its name (`Mark.key`); empty when there is none. `purpose` says in an error what is kept there."""
        found: dict[str, str] = self._guarded(lambda: read_mark(self._keys, key, purpose))
        return found

    def write(self, mark: Mark) -> None:
        """Write only a mark."""
        self.open()
        self._transact(Outgoing(), mark, Tally(), 0)

    def length(self, queue: str) -> int:
        """Return how many messages wait in a queue; 0 for one that does not exist."""
        return int(self._guarded(lambda: queue_length(self._connection, queue)))

    def _guarded(self, call: Callable[[], Any]) -> Any:
        self.open()
        try:
            return call()
        except self._errors as error:
            raise Unreachable(self._broke_off(error), hint=HINT) from error

    def _send_each(self, calls: Sequence[Call], ids: list[str], tally: Tally) -> Batch:
        try:
            with self._maker.batch():
                self._applier.each(calls, ids, tally, self._maker.one)
        except (EncodeError, TasktoolsError):
            raise
        except Exception as error:
            tally.sent = 0  # if the broker breaks off, nobody knows whether it has the calls before
            raise InDoubt(self._broke_off(error), hint=HINT, calls=tally.begun) from error
        how = "; its confirms come in batches" if self.broker.supports_confirms else "; batched by kombu"
        why = "this broker takes no transaction" + (how if self._applier.batch else "")
        return Batch(ids=ids, slow={call.task: why for call in calls})
