"""What revoketask reads and prints."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from tasktools.arguments.names import listed, shown
from tasktools.control.presence import Presence
from tasktools.control.revoke import Confirmed
from tasktools.exceptions import ArgumentError, NoTrace, TaskFailed, TasktoolsError, Unreachable
from tasktools.render import counted
from tasktools.results import revocable
from tasktools.results.revocable import Target

if TYPE_CHECKING:
    from tasktools.management.base import TasktoolsCommand

USUAL_SIGNAL = "SIGTERM"

#: By Target.place: where a task is, and what becomes of it when workers have taken note.
_PLACES = {
    revocable.RUNNING: ("it runs on {worker}", " and goes on: --terminate ends it"),
    revocable.RESERVED: ("{worker} has taken it", " and discards it"),
    revocable.SCHEDULED: ("{worker} holds it until its time has come", ", and discards it then"),
    revocable.QUEUED: ("it waits in the queue {queue}", ": the worker that takes it discards it"),
    revocable.TAKEN: ("a worker that does not answer has taken it", ""),
    revocable.REVOKED: ("{worker} knows that it is revoked", " and discards it"),
    revocable.NONE: ("no trace of it: it has finished, or was never sent", ""),
    revocable.SILENT: ("no queue holds it, and some workers do not answer", ""),
    revocable.UNKNOWN: ("no worker that answers has it, and not all queues of this broker can be read", ""),
}


@dataclass(frozen=True, kw_only=True)
class Document:
    """What --json prints."""

    tasks: list[Target]
    #: The signal that ends those that run; None without --terminate.
    terminated_by: str | None
    confirmed_by: list[str]
    #: Those of them whose pool cannot end what it runs.
    cannot_terminate: list[str]
    failed: dict[str, str]
    #: How many workers listen and have not confirmed; None if the broker does not say.
    silent: int | None


def signal_of(typed: str | None, *, terminate: bool) -> str:
    """Return the name of a signal: TERM, SIGTERM or 15 as it was typed. Raises ArgumentError."""
    if typed is None:
        return USUAL_SIGNAL
    if not terminate:
        raise ArgumentError("--signal says how to --terminate, which is not given.", hint="give both or none")
    name = typed.upper()
    try:
        return (
            signal.Signals(int(name)).name
            if name.isdecimal()
            else signal.Signals[f"SIG{name.removeprefix('SIG')}"].name
        )
    except (ValueError, KeyError):
        raise ArgumentError(f'"{shown(typed)}" is no signal.', hint="write TERM, INT, KILL, ...") from None


def question(targets: Sequence[Target], name: str) -> str:
    """Return what is asked before tasks are ended."""
    running = [each for each in targets if each.place == revocable.RUNNING]
    if not running:
        return f"Revoke {counted(len(targets), 'task')}?"
    lines = listed([f"{_named(each)} on {shown(each.worker or '')}" for each in running], 3, longest=300)
    what = f"{counted(len(running), 'task')} that {'runs' if len(running) == 1 else 'run'}"
    return f"Revoke {counted(len(targets), 'task')}, and end {what} ({lines}) with {name}?"


def show(command: TasktoolsCommand, targets: Sequence[Target], confirmed: Confirmed, name: str | None) -> None:
    """Print where each task was and what becomes of it, and who has confirmed. `name` is the signal of --terminate."""
    if command.as_json:
        command.print_json(
            Document(
                tasks=list(targets),
                terminated_by=name,
                confirmed_by=confirmed.workers,
                cannot_terminate=confirmed.unable,
                failed=dict(confirmed.failed),
                silent=confirmed.silent,
            )
        )
    else:
        for each in targets:
            command.print_line(f"{_named(each)}: {_place(each, confirmed, name)}.")
    command.warn(*(_failure(worker, why) for worker, why in confirmed.failed.items()))
    command.warn(*(_unable(worker) for worker in confirmed.unable))
    if confirmed.workers and not command.as_json:
        command.note_prose(f"Confirmed by {counted(len(confirmed.workers), 'worker')}: {listed(confirmed.workers)}.")
        command.note_prose(_LATER)
    if confirmed.silent and confirmed.workers:  # else the error says it
        counts = counted(confirmed.silent, "worker")
        listens = "listens and has" if confirmed.silent == 1 else "listen and have"
        hint = "who is busy (a solo pool that runs a task) or stopped takes note when it goes on"
        command.warn(TasktoolsError(f"{counts} {listens} not confirmed.", hint=hint))


_LATER = "A worker that starts later knows of it only from one that runs then (mingle), or from its own --statedb."


def require_done(targets: Sequence[Target], confirmed: Confirmed, *, terminate: bool) -> None:
    """Raise Unreachable if no worker has confirmed, TaskFailed if what runs was not ended, NoTrace if there is no trace."""
    if not confirmed.workers:
        raise _unconfirmed(confirmed)
    going = [each for each in targets if each.place == revocable.RUNNING and not _is_ended(each, confirmed)]
    if terminate and (going or confirmed.unable):
        what = f"{len(going):,} of {counted(len(targets), 'task')}" if going else "A task that has begun meanwhile"
        goes = "go on" if len(going) > 1 else "goes on"
        raise TaskFailed(f"{what} {goes}: no signal was sent.", hint="it can be ended with its worker")
    lost = [each.id for each in targets if each.place == revocable.NONE]
    if lost:
        sentence = f"There is no trace of {listed(lost, 3)}. The workers have taken note all the same."
        raise NoTrace(sentence, hint="the id may be mistyped; manage.py taskresult shows what became of a task")


def _unconfirmed(confirmed: Confirmed) -> Unreachable:
    """Return the error if no worker has taken note: workers may be there, and say nothing or something else."""
    there = _there(confirmed)
    if there:
        hint = "one that is busy (a solo pool that runs a task) or stopped takes note when it goes on; repeat this then"
        return Unreachable(f"No worker has confirmed: {there}.", hint=hint)
    if confirmed.failed:
        return Unreachable("No worker has confirmed.", hint="the logs of the workers say more")
    hint = "start one with manage.py runworker and repeat this; what waits in a queue can be removed with purgequeue"
    return Unreachable("No worker has confirmed: nobody keeps these tasks from running.", hint=hint)


def _there(confirmed: Confirmed) -> str:
    """Return who is there and does not answer, as far as the broker says; "" if nobody is."""
    others = confirmed.others or Presence(silent=[], unknown=[])
    silent = max(confirmed.silent or 0, len(others.silent))
    if silent:
        who = listed([*others.silent, *(f"{each}?" for each in others.unknown)])
        does = "listens and does" if silent == 1 else "listen and do"
        return f"{counted(silent, 'worker')} {does} not answer{f' ({who})' if who else ''}"
    queues = listed([f'"{each}"' for each in others.consumers or {}])
    return f"no worker answers, and there are consumers of {queues}" if queues else ""


def _named(target: Target) -> str:
    return f"{target.id} ({shown(target.task)})" if target.task else target.id


def _is_ended(target: Target, confirmed: Confirmed) -> bool:
    return target.worker in confirmed.workers and target.worker not in confirmed.unable


def _place(target: Target, confirmed: Confirmed, name: str | None) -> str:
    where, then = _PLACES[target.place]
    if target.place == revocable.RUNNING and name is not None:
        then = f", which ends it with {name}" if _is_ended(target, confirmed) else " and goes on"
    words = {key: shown(str(value)) for key, value in asdict(target).items()}
    return f"{where}{then if confirmed.workers else ''}".format(**words)


def _failure(worker: str, why: str) -> TasktoolsError:
    return TasktoolsError(f"{shown(worker)} has not done it: {shown(why, 200)}.", hint="its log says more")


def _unable(worker: str) -> TasktoolsError:
    hint = "only prefork, gevent and eventlet can"
    return TasktoolsError(f"{shown(worker)} has taken note, but its pool cannot end a task that runs.", hint=hint)
