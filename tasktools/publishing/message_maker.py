"""The calls of a batch -> their messages: recorded for one transaction, or sent."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tasktools.arguments.call import Call
from tasktools.brokers.recording import Command, Outgoing, Recorder
from tasktools.publishing.fast_path import Plan, Plans, overrides_send_task
from tasktools.publishing.handing_on import handed_on
from tasktools.publishing.message_kind import DIFFERS, Handed, Kind
from tasktools.publishing.message_template import new_tags, random_ids
from tasktools.publishing.one_by_one import Applier, Tally
from tasktools.publishing.seen import Seen

if TYPE_CHECKING:
    from celery import Celery


#: Why a call is not in the transaction of its batch.
ELSEWHERE = "its apply_async sends over a connection of its own"


class MessageMaker:
    """Makes messages. Celery makes the first of each kind, and all of which it is not certain that they can be made here.

    Where code of the project belongs to the task's `apply_async`, this is called for each call. What it hands on to
    `app.send_task` then comes here.
    """

    def __init__(self, app: Celery, applier: Applier, recorder: Recorder | None = None) -> None:
        """Without a recorder, the producer of `applier` sends each message at once."""
        self._app = app
        self._applier = applier
        self._recorder = recorder
        self._plans = Plans(app)
        self._celerys = type(app).send_task
        self._is_overridden = overrides_send_task(app)
        self._commands: list[Command] = []
        #: How many messages of the batch have been made.
        self._made = 0
        self._plan: Plan | None = None
        self._options: Any = None

    def make(
        self,
        calls: Sequence[Call],
        ids: Sequence[str],
        tally: Tally,
        skip: Callable[[int, Exception], bool] | None = None,
    ) -> Outgoing:
        """Return what the calls send. Raises what `one` does; `tally` then says which call failed.

        `skip` gets the number of a call and its error, and says whether the others are made nevertheless.
        """
        with self.batch():
            for number, call in enumerate(calls):
                try:
                    self.one(call, ids[number])
                except Exception as error:
                    tally.failed = number
                    if skip is None or not skip(number, error):
                        raise
        return self._outgoing

    @contextlib.contextmanager
    def batch(self) -> Iterator[None]:
        """`one` may be called inside the block."""
        self._outgoing, self._tags = Outgoing(), new_tags()
        self._plans.forget_moment()
        self._plan, self._task, self._options = None, "", None
        with self._recorder.recording(self._take) if self._recorder else contextlib.nullcontext(), self._handed_on():
            yield

    def one(self, call: Call, task_id: str) -> None:
        """Make the messages of one call. Raises what `Applier.apply` does."""
        if self._plan is None or call.options is not self._options or call.task != self._task:
            self._plan, self._task, self._options = self._plans.of(call), call.task, call.options
        kind = self._plan.kind
        if kind is None or not kind.is_known:
            self._apply(call, task_id, self._plan)
            return
        try:
            self._add(kind, Handed(call.args or (), dict(call.kwargs), task_id))
        except BaseException as error:  # noqa: BLE001 - it is raised again
            self._applier.blame(error, call.task)

    def _take(self, command: Command) -> None:
        self._commands.append(command)
        self._made += 1
        self._outgoing.add(command, command.value)

    def _handed_on(self) -> contextlib.AbstractContextManager[None]:
        if self._is_overridden:
            return contextlib.nullcontext()
        return handed_on(self._app, self._applier.producer, self._send_task)

    def _add(self, kind: Kind, handed: Handed) -> None:
        self._made += 1
        kind.add(handed, self._applier.producer, self._outgoing, self._tags)

    def _apply(self, call: Call, task_id: str, plan: Plan) -> None:
        self._kind: Kind | None = None
        made, declined = self._made, self._applier.declined[call.task]
        self._applier.apply(call, task_id)
        if self._recorder and self._made == made and self._applier.declined[call.task] == declined:
            self._outgoing.slow[call.task] = ELSEWHERE
        elif self._is_overridden:
            self._outgoing.slow[call.task] = "the app overrides send_task"
        elif plan.is_direct:
            plan.kind = self._kind
            if plan.kind is None:  # Celery has not come to send_task
                self._outgoing.slow[call.task] = DIFFERS

    def _send_task(self, name: str, args: Any = None, kwargs: Any = None, *rest: Any, **options: Any) -> Any:
        """Do what Celery.send_task does, by the kind of the message."""
        task_id = options["task_id"] = options.get("task_id") or random_ids(1)[0]
        handed = Handed(args or (), kwargs or {}, task_id, options.get("headers"), options.get("shadow"))
        if rest or not handed.is_plain():
            self._outgoing.slow[name] = DIFFERS
            return self._celerys(self._app, name, args, kwargs, *rest, **options)
        kind = self._kind = self._plans.kind_of(name, options)
        if not kind.is_known:
            return self._learn(kind, handed, options)
        self._add(kind, handed)
        result = (options.get("result_cls") or self._app.AsyncResult)(task_id)
        result.ignored = options.get("ignore_result")
        return result

    def _learn(self, kind: Kind, handed: Handed, options: dict[str, Any]) -> Any:
        """Have Celery make a message, and learn from it."""
        if kind.why:
            result = self._celerys(self._app, kind.name, handed.args, handed.kwargs, **options)
        else:
            seen, texts, self._commands = Seen(), kind.texts(handed), []
            result = self._celerys(seen.overlay(self._app), kind.name, handed.args, handed.kwargs, **options)
            kind.learn(handed, texts, seen, self._commands if self._recorder else None)
        if kind.why:
            self._outgoing.slow[kind.name] = kind.why
        return result
