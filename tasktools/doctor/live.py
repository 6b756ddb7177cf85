"""Ask everything that a site talks to, in three rounds. Each round has a limit, so that the whole ends in time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from tasktools.brokers.keys import Keys
from tasktools.brokers.reach import connect, reason_at_end
from tasktools.brokers.timeouts import TimedOut
from tasktools.doctor import backend, broker, redis_server, site, workers
from tasktools.doctor.findings import Line, Section, error, of_error, tried, warning
from tasktools.doctor.last_round import LastRound
from tasktools.doctor.together import together
from tasktools.doctor.workers import Here, Worker
from tasktools.exceptions import TasktoolsError
from tasktools.registry import registry
from tasktools.registry.routes import usual_queue

if TYPE_CHECKING:
    from celery import Celery

    from tasktools.doctor.broker import Opened

#: How long each round may take, in seconds: connect; ask the server, the workers and beat; send a message to each queue.
ROUNDS = (2.0, 2.5, 2.0)

#: A server gets less than its round, so that its own error is reported and not only that the time is over.
_MARGIN = 0.2

#: How long the last round itself takes at most, in seconds.
_LAST = ROUNDS[2] - _MARGIN

#: How long the connection may take to be closed, in seconds: a server that has fallen silent says no goodbye.
_RELEASE = 0.2

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
        #: That routers have not said them in time.
        self.routers: list[Line] = []

    def sections(self) -> Iterator[Section]:
        """Yield what there is to say."""
        if self.app.conf.task_always_eager:
            yield Section(name="broker", lines=[warning("eager", _EAGER, "unset it outside tests")])
            return
        self.tasks = dict.fromkeys(registry.names(self.app), "")
        limit = ROUNDS[0] - _MARGIN
        calls: dict[str, Callable[[], Any]] = {
            "routers": self._ask_routers,
            "broker": partial(broker.opened, self.app, limit),
            "backend": partial(backend.lines, self.app, limit),
        }
        first = together(calls, ROUNDS[0])
        results = _lines("backend", "The result backend", first["backend"])
        routed, found = first["routers"], first["broker"]
        self.tasks = routed if isinstance(routed, dict) else self.tasks
        self.routers = [] if isinstance(routed, dict) else [warning("routers", *site.SLOW_ROUTERS)]
        if isinstance(found, BaseException):
            yield Section(name="broker", lines=_lines("connected", "The broker", found))
            yield Section(name="backend", lines=results)
            return
        has_results = all(line.status == "ok" for line in results) and backend.is_kept(self.app)
        yield from self._asked(found, results, has_results=has_results)

    def _asked(self, found: Opened, results: list[Line], *, has_results: bool) -> Iterator[Section]:
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
        last = LastRound(self.app, self.tasks, self.workers, second["workers"])
        # If the broker has not answered, a thread still uses the connection.
        usable = found if is_taken else None
        third = together({"last": partial(last.run, usable, _LAST, has_results=has_results)}, ROUNDS[2])["last"]
        last.clean_up()
        if is_taken:  # else nobody can ask the workers
            asked = second["workers"]
            failed = [] if isinstance(asked, TimedOut) else _lines("workers", "Remote control", asked)
            yield Section(name="workers", lines=[*failed, *self._worker_lines(found), *last.absent])
        known = last.lines(third, ROUNDS[2])
        failed = _lines("queues", found.broker.name, third or ()) if not isinstance(third, TimedOut) else []
        yield Section(name="queues", lines=[*self.routers, *known, *failed])
        yield Section(name="beat", lines=_lines("beat", "Beat's state", second["beat"]))
        if is_taken and not isinstance(third, TimedOut):  # else a thread still uses it
            together({"release": found.connection.release}, _RELEASE)

    def _server(self) -> list[Line]:
        with self._connection() as connection:
            return list(redis_server.lines(redis_server.facts_of(Keys(connection.default_channel).client)))

    def _connection(self) -> Any:
        """Return a connection of its own: one is not for several threads."""
        from tasktools.brokers import broker_of

        return connect(broker_of(self.app), ROUNDS[0] - _MARGIN)

    def _ask_workers(self) -> list[Line]:
        workers.ask(self.app, self.workers)
        return []

    def _worker_lines(self, found: Opened) -> Iterator[Line]:
        here = Here(broker=found.broker.uri(), tasks=self.tasks)
        for name, worker in sorted(self.workers.items()):
            yield from tried(name, partial(workers.lines, [worker], here))

    def _ask_routers(self) -> dict[str, str]:
        """Return the queue of each task. Routers are code of the project."""
        return {name: usual_queue(self.app, name)[0] for name in self.tasks}


def _lines(name: str, subject: str, outcome: Any) -> list[Line]:
    """Return the lines that a call has returned, or one for what it has raised."""
    if isinstance(outcome, TasktoolsError):
        return [of_error(name, outcome)]
    if isinstance(outcome, TimedOut):
        return [error(name, f"{subject} does not answer in time.", "start it, or fix its address in the settings")]
    if isinstance(outcome, BaseException):
        return [
            error(name, f"{subject} failed: {type(outcome).__name__}: {reason_at_end(outcome)}", "its log says why")
        ]
    return list(outcome)
