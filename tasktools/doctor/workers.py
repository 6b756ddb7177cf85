"""What the workers say of themselves by remote control, compared with this process.

They are not asked for their settings (inspect conf): a worker sends those of Django too, and hides only some of the secrets.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tasktools.brokers.base import with_stock_urls
from tasktools.control.answers import ask as ask_all
from tasktools.control.comparison import difference, task_names
from tasktools.control.namesakes import REMEDY, number_of, sentence
from tasktools.doctor.findings import Line, error, listed, ok, warning
from tasktools.doctor.settings import without_secrets

if TYPE_CHECKING:
    from celery import Celery

#: How long workers have to answer, in seconds.
PATIENCE = 1.0

_COMMANDS: Mapping[str, Mapping[str, Any]] = {"ping": {}, "active_queues": {}, "registered": {}, "stats": {}}


@dataclass(kw_only=True)
class Worker:
    """A worker that has answered. What it has not said is None."""

    name: str
    #: Its connection to the broker: `transport`, `hostname`, `port`, `virtual_host`.
    broker: Mapping[str, Any] | None = None
    tasks: set[str] | None = None
    queues: list[str] | None = None
    processes: int | None = None
    #: How many workers have answered with this name.
    same_name: int = 1


@dataclass(frozen=True, kw_only=True)
class Here:
    """What this process has, for the comparison."""

    #: The broker as it is shown.
    broker: str
    #: The queue of each task; "" if its router needs arguments.
    tasks: Mapping[str, str]


def ask(app: Celery, into: dict[str, Worker]) -> None:
    """Ask all workers, and put what they answer into `into`. Raises Unreachable."""
    answers = ask_all(app, _COMMANDS, PATIENCE)
    into.update({name: Worker(name=name, same_name=number_of(answers, name)) for name in answers.workers})
    for name, queues in answers.of("active_queues", list).items():
        into[name].queues = [str(each.get("name")) for each in queues if isinstance(each, Mapping)]
    for name, tasks in answers.of("registered", list).items():
        into[name].tasks = task_names(tasks)
    for name, stats in answers.of("stats", dict).items():
        address_of = stats.get("broker")
        into[name].broker = address_of if isinstance(address_of, Mapping) else None
        into[name].processes = _processes(stats.get("pool"))


def _processes(pool: Any) -> int | None:
    found = pool.get("max-concurrency") if isinstance(pool, Mapping) else None
    return found if isinstance(found, int) else None


def lines(workers: Collection[Worker], here: Here) -> Iterator[Line]:
    """Yield what there is to say about the workers that have answered."""
    for worker in workers:
        yield ok(worker.name, _introduced(worker))
        if worker.same_name > 1:
            yield warning(f"{worker.name} name", sentence(worker.same_name, worker.name), REMEDY)
        yield from _brokers(worker, here)
        yield from _tasks(worker, here)


def _introduced(worker: Worker) -> str:
    queues = f"takes from {listed(worker.queues)}" if worker.queues else "takes from no queue"
    if worker.queues is None:
        queues = "has answered a ping and nothing else"
    return f"{queues}, {worker.processes} at once" if worker.processes else queues


def _brokers(worker: Worker, here: Here) -> Iterator[Line]:
    """Yield both names of the broker. They are one broker, or the worker would not have answered."""
    if worker.broker is not None:
        yield ok(f"{worker.name} broker", f"{address(worker.broker)}; this process: {here.broker}")


def address(broker: Mapping[str, Any]) -> str:
    """Return the broker of a worker, as far as its answer has it without a password."""
    host, port = broker.get("hostname") or "localhost", broker.get("port")
    shown = with_stock_urls(str(without_secrets("broker", str(host))))
    if "://" in shown:  # that of a unix socket
        return shown
    where = shown if port is None else f"{shown}:{port}"
    return f"{broker.get('transport')}://{where}/{str(broker.get('virtual_host') or '').removeprefix('/')}"


def _tasks(worker: Worker, here: Here) -> Iterator[Line]:
    if worker.tasks is None:
        return
    found = difference(worker.tasks, worker.queues or (), here.tasks)
    if found.lacks:
        text = f"The worker {worker.name} does not know {listed(found.lacks)}, and throws such messages away."
        yield error(f"{worker.name} tasks", text, "start it again with the code of this process, or import them there")
    if found.has_more:
        text = f"The worker {worker.name} knows tasks that this process does not: {listed(found.has_more)}."
        remedy = "give both the same code; if it is a worker of another site, give that another broker or queue"
        yield warning(f"{worker.name} tasks", text, remedy)
    if found.is_none:
        yield ok(f"{worker.name} tasks", f"the same {len(worker.tasks)} as here")


def nobody(*, listens: bool = False, has_run: bool | None = None, control: bool = True) -> Line:
    """Return the line for the case that no worker has answered.

    `listens` says that somebody seems to take messages; `has_run` whether a message was taken, None if nobody knows;
    `control` whether the settings have remote control.
    """
    if not listens:
        text = f"No worker answers within {PATIENCE:g} s: what is sent waits until one starts."
        return error("workers", text, "manage.py runworker; if one runs, give it the CELERY_BROKER_URL of this process")
    if has_run or (has_run is None and not control):
        text = "No worker answers, but somebody takes messages from this broker."
        remedy = (
            "leave remote control on in the workers (CELERY_WORKER_ENABLE_REMOTE_CONTROL), or look for another program"
        )
        return warning("workers", text, remedy)
    text = "No worker answers, although somebody is connected to take messages."
    if has_run is False:
        text = "No worker answers or takes a message, although somebody is connected to do so: a worker is frozen, or busy."
    return error("workers", text, "look whether the processes of the workers run (ps: T is stopped); start them again")
