"""What showworkers prints: the workers as a table or as JSON, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING

from tasktools.arguments.names import listed, shown
from tasktools.beat.words import span
from tasktools.control import namesakes
from tasktools.control.workers import ONLINE, SILENT, UNKNOWN, Look, RunningTask, Worker
from tasktools.exceptions import ConfigurationError, Unreachable
from tasktools.management import watching
from tasktools.management.layout import Table
from tasktools.queues.pauses import sentence
from tasktools.render import counted

if TYPE_CHECKING:
    from tasktools.management.base import TasktoolsCommand

COLUMNS = (
    *("WORKER", "STATE", "POOL", "QUEUES", "RUNNING", "RESERVED", "LATER", "BEGUN", "MEMORY", "UP SINCE"),
    *("CELERY", "CODE"),
)

#: What a narrow terminal does without, the first one first.
SPARE = ("CODE", "CELERY", "UP SINCE", "BEGUN", "MEMORY", "LATER", "RESERVED", "POOL", "QUEUES")

TASK_COLUMNS = ("WORKER", "TASK", "RUNNING FOR", "ARGUMENTS", "ID")

#: What a narrow terminal has below each task.
TASK_SPARE = ("ID", "ARGUMENTS")

_STATES = {ONLINE: "online", SILENT: "silent", UNKNOWN: "gone?"}

#: What is shown for what nobody knows.
_UNKNOWN = "-"

#: How much of the arguments of a task is shown, in characters.
_LONGEST = 60

#: How many characters of the names of its queues a cell shows.
_WIDE = 24


def require_any(seen: Look, limit: float) -> None:
    """Raise Unreachable if there is no worker."""
    if not seen.is_empty:
        return
    hint = "manage.py runworker; if one runs, give it the CELERY_BROKER_URL of this process"
    gone = [each.name for each in seen.workers]
    more = [f"Of {listed(gone)} only the name is left: killed, or stopped in another place."] if gone else []
    raise Unreachable(f"No worker answers within {limit:g} s.", hint=hint, more=more)


def show(command: TasktoolsCommand, seen: Look, *, tasks: bool, no_color: bool) -> None:
    """Print the workers, and what they run if `tasks` is true. JSON always has both."""
    if command.as_json:
        command.print_json(seen)
        return
    for place, table in enumerate(tables(seen, command.find_app(None).app.timezone, tasks=tasks)):
        if place:
            command.print_line("")
        command.print_table(table.columns, table.rows, spare=table.spare, is_whole=table.is_whole, no_color=no_color)
    if tasks and not any(each.tasks for each in seen.workers):
        command.note("No worker that answers runs a task.")


def tables(seen: Look, zone: tzinfo, *, tasks: bool) -> Iterator[Table]:
    """Yield the workers, if there are any, and what they run if `tasks` is true."""
    now = datetime.now(timezone.utc)
    if seen.workers:
        yield Table(COLUMNS, [_row(each, now, zone) for each in seen.workers], SPARE)
    running = [(each.name, task) for each in seen.workers for task in each.tasks or () if tasks]
    running.sort(key=lambda each: -(each[1].seconds or 0))  # what has run longest is what is looked for
    if running:
        yield Table(TASK_COLUMNS, [_task_row(*each) for each in running], TASK_SPARE, is_whole=True)


def watch(command: TasktoolsCommand, look: Callable[[], Look], *, tasks: bool, no_color: bool) -> None:
    """Show the workers until Ctrl+C. Raises Unreachable only if no worker answers the first time."""
    watched = watching.Watched(
        look=look,
        connect=lambda: None,  # each look has a connection of its own
        show=lambda seen: show(command, seen, tasks=tasks, no_color=no_color),
        document=lambda seen: seen,
        tables=lambda seen: tables(seen, command.find_app(None).app.timezone, tasks=tasks),
        notes=lambda seen: _notes(seen, command.find_app(None).app.timezone),
    )
    watching.watch(command, watched, no_color=no_color)


def report(command: TasktoolsCommand, seen: Look) -> None:
    """Report on stderr who else is there, and whose tasks are not those of this process."""
    for line in () if command.as_json else _notes(seen, command.find_app(None).app.timezone):
        command.note(line)
    for each in seen.workers:
        if (each.same_name or 1) > 1:
            sentence = namesakes.sentence(each.same_name or 1, shown(each.name))
            command.warn(ConfigurationError(sentence, hint=namesakes.REMEDY))
    for names, lacks in _grouped((each.name, each.lacks) for each in seen.workers):
        sentence = f"{_subject(names)} not know {listed(lacks)}, and {_verb(names, 'throw')} such messages away."
        hint = "start it again with the code of this process, or import them there"
        command.warn(ConfigurationError(sentence, hint=hint))
    for names, more in _grouped((each.name, each.has_more) for each in seen.workers):
        sentence = f"{listed(names)} {_verb(names, 'know')} tasks that this process does not: {listed(more)}."
        hint = "give both the same code; if it is a worker of another site, give that another broker or queue"
        command.warn(ConfigurationError(sentence, hint=hint))


def _notes(seen: Look, zone: tzinfo) -> Iterator[str]:
    """Yield who else is there, and what is paused, since when, by whom and why."""
    yield from _others(seen)
    yield from (sentence(each, zone) for each in seen.paused or ())


def _others(seen: Look) -> Iterator[str]:
    silent = [each for each in seen.workers if each.state == SILENT]
    if silent:
        yield f"{counted(len(silent), 'worker')} listened and did not answer: busy (a solo pool that runs a task) or stopped."
    if seen.more_silent:
        listens = "listens and does" if seen.more_silent == 1 else "listen and do"
        doubtful = [each for each in seen.workers if each.state == UNKNOWN]
        are = "It is" if seen.more_silent == 1 else "They are"
        among = f' {are} among those marked with "gone?"; the others were killed.' if doubtful else ""
        yield f"{counted(seen.more_silent, 'more worker')} {listens} not answer.{among}"
    for queue, number in (seen.more_consumers or {}).items():
        takes = "takes" if number == 1 else "take"
        yield f'{counted(number, "more consumer")} {takes} from the queue "{shown(queue)}", of workers that do not answer.'


def _grouped(found: Iterable[tuple[str, list[str] | None]]) -> Iterator[tuple[list[str], list[str]]]:
    """Yield the workers that have the same list, with that list."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for name, names in found:
        if names:
            groups.setdefault(tuple(names), []).append(name)
    yield from ((workers, list(names)) for names, workers in groups.items())


def _subject(names: list[str]) -> str:
    return f"{listed(names)} {'does' if len(names) == 1 else 'do'}"


def _verb(names: list[str], verb: str) -> str:
    return f"{verb}s" if len(names) == 1 else verb


def _row(worker: Worker, now: datetime, zone: tzinfo) -> tuple[str, ...]:
    pool = " ".join(str(each) for each in (worker.pool, worker.concurrency) if each is not None)
    numbers = (worker.running, worker.reserved, worker.scheduled, worker.processed)
    running, reserved, later, begun = (_UNKNOWN if each is None else f"{each:,}" for each in numbers)
    return (
        shown(worker.name),
        _state(worker),
        shown(pool) or _UNKNOWN,
        _UNKNOWN if worker.queues is None else _queues(_marked(worker)) or "none",
        *(running, reserved, later, begun),
        _memory(worker),
        _UNKNOWN if worker.up_since is None else _moment(worker, worker.up_since.astimezone(zone), now),
        shown(worker.celery or _UNKNOWN),
        shown(worker.code or _UNKNOWN),
    )


def _state(worker: Worker) -> str:
    number = worker.same_name or 1
    return f"{_STATES[worker.state]}: {number} workers have this name" if number > 1 else _STATES[worker.state]


def _marked(worker: Worker) -> list[str]:
    """Return the names of a worker's queues, those first that it takes from."""
    paused = set(worker.paused or ())
    names = worker.queues or []
    return [each for each in names if each not in paused] + [f"{each} (paused)" for each in names if each in paused]


def _queues(names: list[str]) -> str:
    """Return as many names as fit into a cell, and how many more there are: `celery, mails +2`."""
    number = len(names)
    while number > 1 and len(", ".join(names[:number])) > _WIDE:
        number -= 1
    more = len(names) - number
    return shown(", ".join(names[:number])) + (f" +{more}" if more else "")


def _memory(worker: Worker) -> str:
    if worker.memory is not None:
        return f"{worker.memory / 1e6:,.0f} MB"
    return _UNKNOWN if worker.peak_memory is None else f"{worker.peak_memory / 1e6:,.0f} MB peak"


def _moment(worker: Worker, time: datetime, now: datetime) -> str:
    """Return the time to the second only if the worker knows it so well: else each look would show another one."""
    today = now.astimezone(time.tzinfo).date() == time.date()
    return f"{time:%Y-%m-%d %H:%M}" if not today else f"{time:%H:%M:%S}" if worker.is_exact else f"{time:%H:%M}"


def _task_row(worker: str, task: RunningTask) -> tuple[str, ...]:
    seconds = _UNKNOWN if task.seconds is None else span(timedelta(seconds=round(task.seconds)))
    arguments = " ".join(each for each in (task.args, task.kwargs) if each not in ("", "()", "[]", "{}"))
    name, task_id = (_UNKNOWN if each is None else shown(each) for each in (task.name, task.id))
    return shown(worker), name, seconds, shown(arguments, _LONGEST), task_id
