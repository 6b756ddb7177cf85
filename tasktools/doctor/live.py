"""Ask everything that a site talks to, in three rounds. Each round has a limit, so that the whole ends in time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from tasktools.brokers.keys import Keys
from tasktools.brokers.reach import connect, reason
from tasktools.brokers.timeouts import TimedOut
from tasktools.doctor import backend, broker, databases, messages, queues, redis_server, workers
from tasktools.doctor.findings import Line, Section, error, of_error, ok, warning
from tasktools.doctor.together import together
from tasktools.doctor.workers import Here, Worker
from tasktools.exceptions import TasktoolsError
from tasktools.registry import registry
from tasktools.registry.routes import usual_queue
from tasktools.results.backend import backend_name

if TYPE_CHECKING:
    from celery import Celery

    from tasktools.doctor.broker import Opened

#: How long each round may take, in seconds: connect; ask the server, the workers and beat; send a message to each queue.
ROUNDS = (2.0, 2.5, 2.0)

#: A server gets less than its round, so that its own error is reported and not only that the time is over.
_MARGIN = 0.2

_EAGER = (
    "CELERY_TASK_ALWAYS_EAGER is set: .delay() runs each task in the process that calls it, and no worker is asked."
)


class Examination:
    """One look at a running site."""

    def __init__(self, app: Celery, beat: Callable[[], list[Line]]) -> None:
        """`beat` returns the lines about beat; it may block and raise."""
        self.app = app
        self.beat = beat
        self.workers: dict[str, Worker] = {}
        #: The queue of each task.
        self.tasks: dict[str, str] = {}

    def sections(self) -> Iterator[Section]:
        """Yield what there is to say."""
        if self.app.conf.task_always_eager:
            yield Section(name="broker", lines=[warning("eager", _EAGER, "unset it outside tests")])
            return
        limit = ROUNDS[0] - _MARGIN
        calls: dict[str, Callable[[], Any]] = {
            "broker": partial(broker.opened, self.app, limit),
            "backend": partial(backend.lines, self.app, limit),
        }
        first = together(calls, ROUNDS[0])
        results = _lines("backend", "The result backend", first["backend"])
        found = first["broker"]
        if isinstance(found, BaseException):
            yield Section(name="broker", lines=_lines("connected", "The broker", found))
            yield Section(name="backend", lines=results)
            return
        has_results = all(line.status == "ok" for line in results) and backend.is_kept(self.app)
        yield from self._asked(found, results, has_results=has_results)

    def _asked(self, found: Opened, results: list[Line], *, has_results: bool) -> Iterator[Section]:
        self.tasks = {name: usual_queue(self.app, name)[0] for name in registry.names(self.app)}
        calls: dict[str, Callable[[], list[Line]]] = {
            "broker": partial(broker.lines, found, ROUNDS[1] - _MARGIN),
            "workers": self._ask_workers,
            "beat": self.beat,
        }
        if found.is_redis:
            calls["server"] = self._server
        second = together(calls, ROUNDS[1])
        taken = _lines("message", found.broker.name, second["broker"])
        yield Section(name="broker", lines=taken)
        if found.is_redis:
            yield Section(name="server", lines=_lines("server", "The broker's server", second["server"]))
        yield Section(name="backend", lines=results)
        is_taken = all(line.status == "ok" for line in taken)
        third = together({"rest": partial(self._rest, has_results=has_results)}, ROUNDS[2])["rest"]
        if not isinstance(third, dict):
            third = {"workers": [], "queues": _lines("queues", found.broker.name, third)}
        if is_taken:  # else nobody can ask the workers
            asked = second["workers"]
            failed = [] if isinstance(asked, TimedOut) else _lines("workers", "Remote control", asked)
            yield Section(name="workers", lines=[*failed, *self._worker_lines(found), *third["workers"]])
        yield Section(name="queues", lines=third["queues"])
        yield Section(name="beat", lines=_lines("beat", "Beat's state", second["beat"]))
        if not isinstance(second["broker"], TimedOut):  # else a thread still uses it
            found.connection.release()

    def _server(self) -> list[Line]:
        with self._connection() as connection:
            return list(redis_server.lines(redis_server.facts_of(Keys(connection.default_channel).client)))

    def _connection(self) -> Any:
        """Return a connection of its own: one is not for several threads."""
        from tasktools.brokers import broker_of

        return connect(broker_of(self.app), ROUNDS[0] - _MARGIN)

    def _ask_workers(self) -> list[Line]:
        with self._connection() as connection:
            workers.ask(self.app, connection, self.workers)
        return []

    def _worker_lines(self, found: Opened) -> Iterator[Line]:
        return workers.lines(self.workers.values(), Here(broker=found.broker.uri(), tasks=self.tasks))

    def _rest(self, *, has_results: bool) -> dict[str, list[Line]]:
        """Look at the queues and send the messages; if no worker has answered, look for some elsewhere."""
        found = broker.opened(self.app, ROUNDS[2] / 2)
        names = queues.names(self.app, self.tasks)
        depths = {name: queues.depth_of(found, name) for name in names}
        consumers = self._consumers()
        lines = list(queues.lines(names, set(self.tasks.values()), depths, consumers))
        about_workers = [] if self.workers else [self._absent(found, depths)]
        if found.is_redis:
            taken = queues.oldest_taken(Keys(found.connection.default_channel), self._visibility(found), queues.now())
            lines += [taken] if taken else []
        if consumers and has_results:
            lines += self._stopwatch(found, [name for name in names if consumers.get(name)])
        elif consumers:
            lines.append(ok("stopwatch", "not measured: it needs a result backend"))
        found.connection.release()
        return {"workers": about_workers, "queues": lines}

    def _consumers(self) -> dict[str, int] | None:
        """Return how many workers take from each queue; None if no worker has answered."""
        if not self.workers:
            return None
        taken = [queue for worker in self.workers.values() for queue in worker.queues or ()]
        return {queue: taken.count(queue) for queue in taken}

    def _absent(self, found: Opened, depths: dict[str, queues.Depth]) -> Line:
        """Return the line for the case that no worker has answered."""
        listening = any(depth.consumers for depth in depths.values())
        if found.is_redis:
            keys = Keys(found.connection.default_channel)
            here = int(keys.client.connection_pool.connection_kwargs.get("db") or 0)
            control = f"{self.app.conf.control_exchange}.pidbox"
            elsewhere = databases.elsewhere(keys, control)
            if elsewhere:
                return databases.line(here, elsewhere)
            listening = here in (databases.listening(databases.clients(keys.client)) or ())
        return workers.nobody(listening)

    def _visibility(self, found: Opened) -> float:
        return float(getattr(found.connection.default_channel, "visibility_timeout", 3600))

    def _stopwatch(self, found: Opened, names: list[str]) -> list[Line]:
        sent = messages.send(self.app, found, names)
        messages.collect(self.app, sent, ROUNDS[2] * 0.6)
        messages.clean(self.app, found, sent)
        where = backend_name(self.app)
        ignored = bool(self.app.conf.task_ignore_result)
        told = messages.lines(sent, where[:1].lower() + where[1:], ignored=ignored)
        return [*told, *messages.clock_lines(sent, self.app.timezone)]


def _lines(name: str, subject: str, outcome: Any) -> list[Line]:
    """Return the lines that a call has returned, or one for what it has raised."""
    if isinstance(outcome, TasktoolsError):
        return [of_error(name, outcome)]
    if isinstance(outcome, TimedOut):
        return [error(name, f"{subject} does not answer in time.", "start it, or fix its address in the settings")]
    if isinstance(outcome, BaseException):
        return [error(name, f"{subject} failed: {type(outcome).__name__}: {reason(outcome)}.", "its log says why")]
    return list(outcome)
