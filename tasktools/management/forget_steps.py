"""What forgetfailed chooses, asks and prints."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tasktools.environment.interrupts import postponed
from tasktools.exceptions import NoTrace, TasktoolsError
from tasktools.failures import forget, found
from tasktools.failures.access import reading
from tasktools.management.failed_options import wanted_of
from tasktools.models import State
from tasktools.render import counted
from tasktools.startup import require_timezone

if TYPE_CHECKING:
    from celery import Celery

    from tasktools.management.base import TasktoolsCommand


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """What is to be removed."""

    #: The primary keys of the rows.
    ids: Sequence[int]
    #: How many of them were never sent again.
    open: int
    #: How many are being sent at this moment, and stay.
    sending: int


@dataclass(kw_only=True)
class Removed:
    """What was done."""

    number: int = 0
    #: So many statements.
    steps: int = 0
    is_interrupted: bool = False

    def interrupt(self) -> None:
        self.is_interrupted = True


def choose(command: TasktoolsCommand, app: Celery, typed: Sequence[str], options: Mapping[str, Any]) -> Chosen:
    """Return what is meant. Raises NoTrace if there is nothing."""
    require_timezone(app)
    if typed:
        rows = {row.pk: row.state for row in map(found.find, dict.fromkeys(typed))}
    else:
        wanted = wanted_of({**options, "until": options["before"]}, app.timezone)
        states = (State.MENDED,) if options["mended"] else None
        with reading():
            rows = dict(found.select(replace(wanted, states=states)).values_list("pk", "state"))
    sending = sum(state == State.SENDING for state in rows.values())
    if not rows:
        raise NoTrace("No failed task is like that: nothing to remove.", hint="manage.py showfailed --state all")
    ids = [pk for pk, state in rows.items() if state != State.SENDING]
    return Chosen(ids=ids, open=sum(state == State.FAILED for state in rows.values()), sending=sending)


def question(chosen: Chosen) -> str:
    """Return what to ask a person."""
    never = ""
    if chosen.open:
        were = (
            "it was"
            if len(chosen.ids) == 1
            else "all were"
            if chosen.open == len(chosen.ids)
            else f"{chosen.open:,} were"
        )
        never = f" ({were} never sent again)"
    return f"Remove {counted(len(chosen.ids), 'failed task')}{never}?"


def remove(command: TasktoolsCommand, chosen: Chosen) -> Removed:
    """Remove them; a signal ends it between two steps, a second one at once. An error says how many were removed before it."""
    done = Removed()
    try:
        with postponed(
            done.interrupt, is_ours=command.is_own_process, give_up=lambda: _show_the_last(command, chosen, done)
        ):
            for removed in forget.steps(chosen.ids):
                done.number += removed
                done.steps += 1
                if done.is_interrupted:
                    break
    except KeyboardInterrupt:
        done.interrupt()
    except TasktoolsError as error:
        if done.is_interrupted:  # while the database blocks, Python hears of a signal only when it fails
            command.warn(error)
            return done
        if done.number:
            were = "was" if done.number == 1 else "were"
            error.more = (*error.more, f"Before that, {counted(done.number, 'failed task')} {were} removed.")
        raise
    return done


def _show_the_last(command: TasktoolsCommand, chosen: Chosen, done: Removed) -> None:
    """Print what was removed in a process that ends in the middle of a step, which the database then takes back."""
    done.interrupt()
    with contextlib.suppress(KeyboardInterrupt):
        show(command, chosen, done, dry_run=False)
    command.stdout.flush()


def show(command: TasktoolsCommand, chosen: Chosen, done: Removed, *, dry_run: bool) -> None:
    """Print how many were removed, or would be. Raises KeyboardInterrupt if a signal has ended it before all were."""
    removed = done.number
    left = max(0, len(chosen.ids) - done.steps * forget.BATCH_SIZE) if done.is_interrupted else 0
    if command.as_json:
        counts = {"dry_run": dry_run, "chosen": len(chosen.ids), "removed": removed, "left": left}
        counts["sending"] = chosen.sending
        command.print_json(counts)
    elif dry_run:
        command.print_line(f"{counted(len(chosen.ids), 'failed task')} to remove.")
    else:
        command.print_line(f"Removed {counted(removed, 'failed task')}.")
    if chosen.sending and not command.as_json:
        stay = "is being sent, and stays" if chosen.sending == 1 else "are being sent, and stay"
        command.note(f"{counted(chosen.sending, 'failed task')} {stay}.")
    if left:
        command.note(f"Interrupted: {counted(left, 'failed task')} {'is' if left == 1 else 'are'} left.")
        raise KeyboardInterrupt
