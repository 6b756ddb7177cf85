"""Events of tasks -> attempts that have ended. Pure, and bounded.

celery.events.state.State keeps a page of facts for each task and sorts them by logical time. A watcher needs five of them for the
tasks that have not ended, and Celery's class takes some ten times the processor time and memory for that.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

#: So many tasks that have not ended are remembered; of those before them, only the end is known.
MOST_TASKS = 20_000

#: Names and the texts of errors are cut to so many characters.
LONGEST_NAME = 200
LONGEST_TEXT = 1_000

#: The state in which each event leaves an attempt that it ends.
ENDS = {
    "task-succeeded": "SUCCESS",
    "task-failed": "FAILURE",
    "task-retried": "RETRY",
    "task-revoked": "REVOKED",
    "task-rejected": "REJECTED",
}


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One attempt of a task to run, which has ended. What nobody has said is None."""

    at: datetime | None
    task: str | None
    id: str
    worker: str
    #: SUCCESS, FAILURE, RETRY, REVOKED or REJECTED.
    state: str
    #: In seconds, from `waited_since` (or its eta, if that is later) to its start.
    waited: float | None
    #: "sent" if the sender sends events (task_send_sent_event), else "received": by the worker.
    waited_since: str | None
    #: In seconds.
    ran: float | None
    #: The error as the worker shows it.
    exception: str | None


@dataclass(slots=True)
class _Known:
    """What is known of an attempt that has not ended. Times are seconds since 1970."""

    name: str | None = None
    sent: float | None = None
    received: float | None = None
    eta: float | None = None
    started: float | None = None
    waited: float | None = None
    since: str | None = None

    def wait(self) -> None:
        """Note how long it has waited, once it has started."""
        since = self.received if self.sent is None else self.sent
        if self.started is not None and since is not None:
            self.waited = max(0.0, self.started - max(since, self.eta or 0.0))
            self.since = "received" if self.sent is None else "sent"


class Attempts:
    """Remembers the tasks that have not ended."""

    def __init__(self, most: int = MOST_TASKS) -> None:
        self.most = most
        #: The attempts of each task, the oldest first: a worker may begin the next one before the last one is said to have ended.
        self._known: dict[str, list[_Known]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def ended(self, event: Mapping[str, Any]) -> Attempt | None:
        """Take notice of an event; return the attempt that it ends, None if it ends none.

        Anybody may publish events: one that lacks what an event of its type has is left out.
        """
        kind, task_id, stamp = event.get("type"), event.get("uuid"), _number(event.get("timestamp"))
        if not isinstance(task_id, str) or stamp is None or not isinstance(kind, str):
            return None
        task_id, at = task_id[:LONGEST_NAME], _possible(stamp)
        state = ENDS.get(kind)
        if state is None:
            self._notice(kind, task_id, at, event)
            return None
        return self._end(state, task_id, at, event)

    def name(self, task_id: str, name: str) -> None:
        """Take notice of the name of a task that a worker had before its events were heard."""
        last = self._last(task_id[:LONGEST_NAME])
        last.name = last.name or name[:LONGEST_NAME]

    def _notice(self, kind: str, task_id: str, at: float | None, event: Mapping[str, Any]) -> None:
        if kind == "task-received":
            known = self._not_started(task_id)
            known.name, known.received, known.eta = _text(event.get("name")), at, _eta(event.get("eta"))
        elif kind == "task-started":
            known = self._not_started(task_id)
            known.started = at
            known.wait()
        elif kind == "task-sent":
            last = self._last(task_id)
            is_late = last.started is not None and at is not None and at <= last.started
            known = last if is_late else self._not_started(task_id)
            known.name, known.sent = _text(event.get("name")), at
            known.wait()

    def _last(self, task_id: str) -> _Known:
        """Return the newest attempt of a task."""
        attempts = self._known.get(task_id)
        if attempts is None:
            attempts = self._known[task_id] = [_Known()]
            if len(self._known) > self.most:
                del self._known[next(iter(self._known))]
        return attempts[-1]

    def _not_started(self, task_id: str) -> _Known:
        """Return the newest attempt of a task, or a new one if that has started."""
        last = self._last(task_id)
        if last.started is None:
            return last
        self._known[task_id] = [last, _Known(name=last.name)]  # of more than two, the end of one was not heard
        return self._known[task_id][-1]

    def _pop(self, task_id: str) -> _Known:
        attempts = self._known.get(task_id)
        if attempts is None:
            return _Known()
        if len(attempts) == 1:
            del self._known[task_id]
        return attempts.pop(0)

    def _end(self, state: str, task_id: str, at: float | None, event: Mapping[str, Any]) -> Attempt:
        known = self._pop(task_id)
        started, exception = known.started, event.get("exception")
        ran = _possible(_number(event.get("runtime")))
        if ran is None and started is not None and at is not None:
            ran = max(0.0, at - started)
        return Attempt(
            at=None if at is None else datetime.fromtimestamp(at, timezone.utc),
            task=known.name,
            id=task_id,
            worker=_text(event.get("hostname")) or "",
            state=state,
            waited=known.waited,
            waited_since=known.since,
            ran=ran,
            exception=None if exception in (None, "None") else str(exception)[:LONGEST_TEXT],
        )


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and abs(value) < 1e11 else None


def _possible(seconds: float | None) -> float | None:
    """Return the same; None for a time before 1970 or a duration below zero, which no worker can have measured."""
    return None if seconds is None or seconds < 0 else seconds


def _text(value: object) -> str | None:
    return value[:LONGEST_NAME] if isinstance(value, str) else None


def _eta(value: object) -> float | None:
    if isinstance(value, str):
        with contextlib.suppress(ValueError, OverflowError):
            eta = datetime.fromisoformat(value.replace("Z", "+00:00"))
            return (eta if eta.tzinfo else eta.replace(tzinfo=timezone.utc)).timestamp()
    return None
