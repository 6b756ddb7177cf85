"""Run a task in this process, with the tracer that a worker uses, without broker and result backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from celery.exceptions import Reject, Retry
from celery.result import denied_join_result
from celery.states import FAILURE, REJECTED, RETRY, SUCCESS
from celery.utils.nodenames import gethostname
from kombu.exceptions import EncodeError

from tasktools.arguments.call import Call
from tasktools.arguments.names import shown
from tasktools.brokers.reach import reason
from tasktools.celery_compat import BUILD_TRACER
from tasktools.exceptions import ArgumentError, TaskFailed
from tasktools.execution.events import Changed, NotingBackend, NotingInfo, Progress, Raised, lent, unheard_log
from tasktools.execution.tracebacks import own_frames, traceback_text
from tasktools.registry import serialization
from tasktools.registry.request import call_of, request_of, seconds_until

if TYPE_CHECKING:
    from celery import Celery, Signature, Task


@dataclass(frozen=True, kw_only=True)
class Again:
    """The task asks to be tried again."""

    #: Which retry it would be; the first is 1.
    number: int
    #: How many there may be; None for no limit.
    most: int | None
    #: Seconds until then.
    seconds: float
    call: Call


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """How one run of the task has ended."""

    id: str
    #: Celery's state: SUCCESS, FAILURE, RETRY, IGNORED or REJECTED.
    state: str
    retries: int
    #: The value that was returned.
    result: object = None
    #: The exception that the task raised; for RETRY, the one that led to it.
    error: BaseException | None = None
    traceback: str | None = None
    #: A sentence without its full stop: which returned value the result serializer cannot carry, and why.
    unsendable: str | None = None
    again: Again | None = None


Report = Callable[[Progress | Changed | Raised], None]


def attempts(app: Celery, call: Call, *, serialize: bool, report: Report) -> Iterator[Attempt]:
    """Run `call`, and run it again at each step as long as it asks for a retry. The caller decides whether to wait before a step.

    With `serialize`, arguments, progress and result go through the serializers. `report` is called for each event.

    Raises ArgumentError when the serializer cannot carry the arguments, TaskFailed when they are a retry's arguments.
    """
    hostname = f"runtask@{gethostname()}"
    carried = _through(app, call, report) if serialize else call
    request: dict[str, Any] = request_of(app, carried, hostname=hostname)
    while True:
        attempt = _Run(app, request, serialize, report).trace(app.tasks[call.task])
        if attempt.again is None:
            yield attempt
            return
        try:
            carried = _through(app, attempt.again.call, report) if serialize else attempt.again.call
        except ArgumentError as error:
            raise TaskFailed(f"It asks to be tried again. {error.sentence}", hint=error.hint) from error
        request = request_of(app, carried, hostname=hostname)  # now: its eta counts from now
        yield attempt


def time_limits(app: Celery, name: str) -> list[str]:
    """Return a task's own time limits as text for a person: a worker's pool enforces them, but nothing here does."""
    task = app.tasks[name]
    limits = {"time_limit": task.time_limit, "soft_time_limit": task.soft_time_limit}
    return [f"{kind} {seconds:g} s" for kind, seconds in limits.items() if seconds]


class _Run:
    """One run, and what it notes while the task runs."""

    def __init__(self, app: Celery, request: Mapping[str, Any], serialize: bool, report: Report) -> None:
        self.app, self.request, self.serialize, self.report = app, request, serialize, report
        self.raised: Raised | None = None
        self.unsendable: str | None = None
        self.carried: object = None

    def trace(self, task: Task[..., object]) -> Attempt:
        request = self.request
        backend = NotingBackend(self.app, request["id"], on_progress=self.progress, on_done=self.done)
        with lent(task, backend), unheard_log(), denied_join_result():
            tracer = BUILD_TRACER.here()(
                task.name,
                task,
                app=self.app,
                hostname=request["hostname"],
                Info=lambda state, error: NotingInfo(state, error, self.note),
            )
            try:
                ended = tracer(request["id"], request["args"], request["kwargs"], dict(request))
            except Reject as error:  # of on_success or after_return
                return self._attempt(state=REJECTED, error=error)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 - on_failure may raise anything; a task may exit or be cancelled
                self.note(error)
                return self._attempt(state=FAILURE, error=error)
        if ended.info is None:
            return self._attempt(state=SUCCESS, result=self.carried)
        state, raised = ended.info.state, ended.info.retval
        again = _again(self.app, task, raised.sig) if state == RETRY and raised.sig else None
        return self._attempt(state=state, error=self.raised.error if self.raised else raised, again=again)

    def _attempt(self, **ended: Any) -> Attempt:
        text = self.raised.text if self.raised else None
        common = {"id": self.request["id"], "retries": self.request["retries"], "unsendable": self.unsendable}
        return Attempt(traceback=text, **common, **ended)

    def note(self, error: BaseException) -> None:
        """Report an exception before the tracer clears the variables of its frames."""
        if self.unsendable:
            return  # the task itself has raised nothing
        cause = (error.__context__ or error.exc or error) if isinstance(error, Retry) else error
        trace = own_frames(cause.__traceback__ or error.__traceback__)
        text, retry = traceback_text(cause, trace), isinstance(error, Retry)
        self.raised = Raised(error=cause, traceback=trace, text=text, retry=retry)
        self.report(self.raised)

    def progress(self, state: str, meta: object) -> object:
        meta = self._through("progress", meta)
        self.report(Progress(state=state, meta=meta))
        return meta

    def done(self, result: object, kept: bool) -> None:
        """Take the result; one that a worker would keep goes through the serializer."""
        self.carried = result
        try:
            self.carried = self._through("result", result) if kept else result
        except Exception as error:  # of any serializer; the tracer only knows EncodeError
            serializer = self.app.conf.result_serializer
            what = f'the result {shown(repr(result))} cannot be sent by the serializer "{serializer}"'
            self.unsendable = f"{what}: {reason(error)}"
            raise EncodeError(self.unsendable) from error

    def _through(self, what: str, value: object) -> object:
        if not self.serialize:
            return value
        after = serialization.result_through(self.app, value)
        _report_changed(self.report, {what: (value, after)})
        return after


def _again(app: Celery, task: Task[..., object], signature: Signature) -> Again:
    """Return the retry that self.retry has made: its signature with the same id, its arguments, and when to run it."""
    call = call_of(signature)
    own = getattr(task, "override_max_retries", None)  # self.retry(max_retries=...)
    if own is None:
        own = (getattr(task, "retry_kwargs", None) or {}).get("max_retries", task.max_retries)
    return Again(number=call.options["retries"], most=own, seconds=seconds_until(app, call), call=call)


def _through(app: Celery, call: Call, report: Report) -> Call:
    args, kwargs = serialization.arguments_through(app, app.tasks.get(call.task), call.task, call.args, call.kwargs)
    places = {f"argument {number}": pair for number, pair in enumerate(zip(call.args, args, strict=True), 1)}
    names = {f'argument "{name}"': (call.kwargs[name], kwargs[name]) for name in call.kwargs}
    _report_changed(report, {**places, **names})
    return call._replace(args=tuple(args), kwargs=kwargs)


def _report_changed(report: Report, pairs: Mapping[str, tuple[object, object]]) -> None:
    for what, (before, after) in pairs.items():
        if not serialization.same(before, after):
            report(Changed(what=what, before=before, after=after))
