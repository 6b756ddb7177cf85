"""The tasks of a group that a program has saved (GroupResult.save): the backend keeps only their ids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from celery.result import ResultSet

from tasktools.brokers.reach import reach
from tasktools.brokers.timeouts import TimedOut
from tasktools.results import backend

if TYPE_CHECKING:
    from celery import Celery


def members_of(app: Celery, ids: Sequence[str]) -> dict[str, list[str]]:
    """Return, for each id that is a saved group's, the ids of its tasks; a group inside it counts as its tasks.

    Raises Unreachable when the result backend does not answer.
    """
    found = {each: reach(backend.backend_name(app), backend.LOOK_LIMIT, _members, app, each) for each in ids}
    return {each: list(members) for each, members in found.items() if members is not None}


def _members(app: Celery, group_id: str) -> list[str] | None:
    try:
        saved = app.GroupResult.restore(group_id)
    except TimedOut:
        raise
    except Exception:  # noqa: BLE001 - rpc:// keeps no groups; other errors are reported when the id is looked up as a task's
        return None
    return None if saved is None else list(_tasks(saved))


def _tasks(results: Iterable[Any]) -> Iterator[str]:
    """Yield the ids of the tasks; MongoDB's backend returns a list in place of a GroupResult."""
    for each in results:
        if isinstance(each, ResultSet):
            yield from _tasks(each)
        else:
            yield each.id
