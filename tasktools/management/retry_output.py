"""What retryfailed prints: what it is about to send, the question, and what it has sent."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tasktools.arguments.names import shown
from tasktools.exceptions import TaskFailed, TasktoolsError
from tasktools.management.layout import Table, entries
from tasktools.render import cells, counted, ended

if TYPE_CHECKING:
    from tasktools.failures.retried import Retried
    from tasktools.management.base import TasktoolsCommand
    from tasktools.management.retry_steps import Retry

#: How many tasks a question names, and how many of what was not sent is reported one by one.
_MOST_NAMED = 3
_MOST_REPORTED = 20

_LONGEST_ID = 36

_COLUMNS = ("ID", "NEW ID", "TASK")


def question(retry: Retry, *, is_unchanged: bool = False) -> str | None:
    """Return what to ask a person before it is sent; None if nothing is to be asked.

    `is_unchanged` says that the editor was left without a change: who does that may have changed his mind.
    """
    if is_unchanged:
        return "The arguments are unchanged. Send it as it came?"
    if len(retry.chosen) < 2:
        return None
    tasks = Counter(retry.names[pk][0] for pk in retry.chosen).most_common()
    named = ", ".join(f"{number:,} of {shown(task) or '?'}" for task, number in tasks[:_MOST_NAMED])
    more = f" and {counted(len(tasks) - _MOST_NAMED, 'other task')}" if len(tasks) > _MOST_NAMED else ""
    return f"Send {counted(len(retry.chosen), 'failed task')} again ({named}{more})?"


def ruler_of(names: Mapping[int, tuple[str, str]]) -> tuple[str, str, str]:
    """Return a line that is as wide as the widest of all batches: they are one table."""
    task, old = (max((each[place] for each in names.values()), key=cells, default="") for place in (0, 1))
    return max(old, "x" * _LONGEST_ID, key=cells), "x" * _LONGEST_ID, task or "x"


def print_sent(command: TasktoolsCommand, some: Retried, retry: Retry, *, is_first: bool) -> None:
    """Print the ids of a batch, old and new."""
    if command.as_json or not some.sent:
        return
    rows = [(old, new, retry.names.get(pk, ("", ""))[0]) for pk, old, new in some.sent]
    heads, lines = _lines(rows, retry.ruler, shutil.get_terminal_size().columns if command.stdout.isatty() else None)
    command.print_lines((line, "", str) for line in (*(heads if is_first else ()), *lines))
    for note in sorted({each for notes in some.notes.values() for each in notes}):
        command.note(f"Not as it came: {note}.")


def _lines(rows: Sequence[Sequence[str]], ruler: Sequence[str], width: int | None) -> tuple[list[str], list[str]]:
    """Return the headings and the lines of a batch.

    A terminal that has no room for the three side by side has the task below the two ids: the new one is what a person needs
    next. If it has no room for two ids, the new id is below the old one.
    """
    room = sum(map(cells, ruler)) + 2 * len(ruler) if width is None else width
    below = "TASK" if sum(map(cells, ruler[:2])) + 2 <= room else "NEW ID"
    start = list(entries(Table(_COLUMNS, [ruler], (below,)), room))
    lines = list(entries(Table(_COLUMNS, [ruler, *rows], (below,)), room))
    return start[:1] if start[0].startswith(_COLUMNS[0]) else [], lines[len(start) :]


def show(command: TasktoolsCommand, retry: Retry, *, dry_run: bool, no_color: bool = False) -> None:
    """Print what was done, or would be, and end with the exit code for it.

    Raises what the broker has raised, KeyboardInterrupt, and TaskFailed for what was not sent.
    """
    done = retry.done
    if command.as_json:
        command.print_json(_document(retry, dry_run=dry_run))
    elif dry_run:
        chosen = [(retry.names[pk][1], f"#{pk}", retry.names[pk][0]) for pk in (*retry.chosen, *retry.claimed)]
        command.print_table(("ID", "ROW", "TASK"), chosen, is_whole=True, no_color=no_color)
        command.note(f"{counted(len(retry.chosen), 'failed task')} to send.")
        if retry.claimed:
            command.note(f"{counted(len(retry.claimed), 'failed task')} of these another process has begun to send.")
    else:
        others = f" Another process has sent {len(done.elsewhere):,}." if done.elsewhere else ""
        command.note(f"Sent {counted(len(done.sent), 'failed task')}.{others}")
    _report(command, done, retry.typed_ids)
    if retry.is_interrupted:
        if done.error:
            command.warn(done.error)
        command.note(_interrupted(retry))
        raise KeyboardInterrupt
    if done.error:
        if not command.as_json and retry.left:
            command.note(f"{_left(retry)}.")
        raise done.error
    if done.refused or done.doubtful:
        number = len(done.refused) + len(done.doubtful)
        command.end_with(1, f"{counted(number, 'failed task')} not sent.")


def _interrupted(retry: Retry) -> str:
    return f"Interrupted: {_left(retry)}. The same command, run again, goes on with what is left."


def _left(retry: Retry) -> str:
    return f"{counted(retry.left, 'failed task')} {'is' if retry.left == 1 else 'are'} left"


def _report(command: TasktoolsCommand, done: Retried, typed: Mapping[int, str]) -> None:
    """Say what was not sent, and why: by its id if a person has typed that, else by its row."""
    for word, some in (("was not sent", done.refused), ("is in doubt", done.doubtful)):
        for pk, why in some[:_MOST_REPORTED]:
            command.warn(TaskFailed(f"{typed.get(pk, f'#{pk}')} {word}: {ended(why)}"))
        if len(some) > _MOST_REPORTED:
            command.note(f"And {len(some) - _MOST_REPORTED:,} more.")
    if done.doubtful:
        hint = "the same command, run again, goes on with what the broker knows; --again sends the rest, perhaps twice"
        command.warn(TasktoolsError(f"{counted(len(done.doubtful), 'failed task')} in doubt.", hint=hint))


def _document(retry: Retry, *, dry_run: bool) -> dict[str, Any]:
    done, names = retry.done, retry.names
    chosen = [{"row": pk, "id": names[pk][1], "task": names[pk][0]} for pk in (*retry.chosen, *retry.claimed)]
    return {
        "dry_run": dry_run,
        "chosen": chosen if dry_run else len(chosen),
        "sent": [{"row": pk, "id": old, "new_id": new, "task": names[pk][0]} for pk, old, new in done.sent],
        "left": 0 if dry_run else retry.left,
        "sent_elsewhere": len(done.elsewhere),
        "refused": [{"row": pk, "id": names[pk][1], "reason": why} for pk, why in done.refused],
        "in_doubt": [{"row": pk, "id": names[pk][1], "reason": why} for pk, why in done.doubtful],
        "notes": [{"row": pk, "note": note} for pk, notes in done.notes.items() for note in notes],
    }
