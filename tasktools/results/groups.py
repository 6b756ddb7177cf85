"""The tasks of a group that a program has saved (GroupResult.save): the backend keeps only their ids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from celery.result import ResultSet

from tasktools.brokers.reach import reach, reason
from tasktools.brokers.timeouts import TimedOut
from tasktools.results import backend
from tasktools.results.outcome import UNREADABLE, Failure, Outcome

if TYPE_CHECKING:
    from celery import Celery


def members_of(app: Celery, ids: Sequence[str]) -> tuple[dict[str, list[str]], list[Outcome]]:
    """Return, for each id that is a saved group's, the ids of its tasks; and as outcomes the groups that cannot be read.

    A group inside another counts as its tasks. Raises Unreachable when the result backend does not answer.
    """
    found = {each: reach(backend.backend_name(app), backend.LOOK_LIMIT, _members, app, each) for each in ids}
    groups = {each: members for each, members in found.items() if isinstance(members, list)}
    return groups, [each for each in found.values() if isinstance(each, Outcome)]


def _members(app: Celery, group_id: str) -> list[str] | Outcome | None:
    try:
        return _saved(app, group_id)
    except TimedOut:
        raise
    except Exception as error:  # noqa: BLE001 - whatever the backend or the decoder raises
        if not _can_restore(app):
            return None  # rpc:// keeps no groups; other errors are reported when the id is looked up as a task's
        why = f"{reason(error)} (the entry of a saved group)"
        return Outcome(id=group_id, state=UNREADABLE, error=Failure(type=type(error).__name__, message=why))


def _can_restore(app: Celery) -> bool:
    """Whether the backend can answer for some other group (that it does not know it)."""
    try:
        return app.GroupResult.restore(str(uuid4())) is None
    except TimedOut:
        raise
    except Exception:  # noqa: BLE001 - each backend has errors of its own
        return False


def _saved(app: Celery, group_id: str) -> list[str] | None:
    saved = app.GroupResult.restore(group_id)
    return None if saved is None else list(_tasks(saved))


def _tasks(results: Iterable[Any]) -> Iterator[str]:
    """Yield the ids of the tasks; MongoDB's backend returns a list in place of a GroupResult."""
    for each in results:
        if isinstance(each, ResultSet):
            yield from _tasks(each)
        else:
            yield each.id
