"""What taskresult says of a task that is in the table of failed tasks."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from tasktools import conf
from tasktools.arguments.names import shown
from tasktools.brokers.timeouts import TimedOut, within_thread
from tasktools.exceptions import ConfigurationError, Unreachable

if TYPE_CHECKING:
    from tasktools.management.base import TasktoolsCommand
    from tasktools.results.outcome import Outcome

#: How long the database may take, in seconds: nothing depends on its answer.
LIMIT = 1.5

#: So many ids are looked for, and so many are named.
MOST = 500
MOST_NAMED = 5


def note_failed(command: TasktoolsCommand, outcomes: Iterable[Outcome]) -> None:
    """Note which of the tasks that have not succeeded are in the table. Without a table, or a database, nothing is said."""
    _note(command, [each.id for each in outcomes if not each.succeeded][:MOST])


@contextlib.contextmanager
def noting_failed(command: TasktoolsCommand, ids: Sequence[str]) -> Iterator[None]:
    """Note the same where nothing else can be said of these tasks: there are no results, or they cannot be reached."""
    try:
        yield
    except (ConfigurationError, Unreachable):
        _note(command, ids[:MOST])
        raise


def _note(command: TasktoolsCommand, ids: Sequence[str]) -> None:
    from tasktools.failures.found import among
    from tasktools.failures.storage import is_configured

    # Whatever is wrong with the database: the command is about the result backend.
    with contextlib.suppress(Exception, TimedOut):
        if not ids or command.as_json or not conf.chosen("TASKTOOLS_FAILED", True) or not is_configured():
            return
        found = within_thread(LIMIT, among, ids)
        named = [each for each in ids if each in found]
        for each in named[:MOST_NAMED]:
            command.note(f"{shown(each)} is in the table of failed tasks: manage.py showfailed {_word(each)}")
        if len(named) > MOST_NAMED:
            command.note(f"{len(named) - MOST_NAMED:,} more of them are in it: manage.py showfailed --state all")


def _word(task_id: str) -> str:
    """Return an id for a line that a person copies into a shell: whoever sends a task chooses it."""
    return f"{'-- ' if task_id.startswith('-') else ''}{shlex.quote(shown(task_id))}"
