"""Revoke tasks by remote control."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tasktools.control.answers import LIMIT, Answers, ask
from tasktools.control.presence import Presence, presence
from tasktools.exceptions import TasktoolsError
from tasktools.render import repr_of

if TYPE_CHECKING:
    from celery import Celery


@dataclass(frozen=True, kw_only=True)
class Confirmed:
    """What the workers have answered."""

    #: The names of those that have taken note.
    workers: list[str]
    #: Those of them that run such a task and cannot end it, because their pool cannot.
    unable: list[str] = field(default_factory=list)
    #: The error of each that has not.
    failed: Mapping[str, str] = field(default_factory=dict)
    #: How many listen and have not answered; None if the broker does not say.
    silent: int | None = None
    #: If nobody has answered: the workers that are there all the same, as far as the broker knows.
    others: Presence | None = None


def revoke(
    app: Celery,
    task_ids: Sequence[str],
    *,
    terminate: bool = False,
    signal: str = "SIGTERM",
    limit: float = LIMIT,
    routed: Callable[[], Collection[str]] = tuple,
) -> Confirmed:
    """Have all workers discard these tasks, and with `terminate` end those that run. Raises Unreachable.

    If nobody answers, `routed` returns the queues that tasks go to: perhaps silent workers alone take from them.

    A worker notes the ids first, and tells its pool to end what runs after that: if the pool cannot (threads, solo), the
    worker answers with NotImplementedError and has taken note all the same.
    """
    more = {"terminate": True, "signal": signal} if terminate else {}
    answers = ask(app, {"revoke": {"task_id": list(task_ids), **more}}, limit)
    errors = {name: said["revoke"] for name, said in answers.failed.items() if "revoke" in said}
    said = answers.of("revoke")
    errors |= {name: f"it answers {repr_of(each)}" for name, each in said.items() if not _is_done(each)}
    errors = dict(sorted(errors.items()))
    unable = [name for name, why in errors.items() if terminate and why.startswith("NotImplementedError")]
    failed = {name: why for name, why in errors.items() if name not in unable}
    workers = sorted({*(name for name, each in said.items() if _is_done(each)), *unable})
    others = None if answers.workers else _others(app, answers, routed)
    return Confirmed(workers=workers, unable=unable, failed=failed, silent=answers.silent, others=others)


def _others(app: Celery, answers: Answers, routed: Callable[[], Collection[str]]) -> Presence | None:
    """Return who is there all the same; None if the broker no longer says: the workers were told before that."""
    try:
        return presence(app, answers, (), routed())
    except TasktoolsError:
        return None


def _is_done(answer: object) -> bool:
    """Whether it is Celery's answer of a worker that has done it (celery.worker.control.ok). Anybody may answer anything."""
    return isinstance(answer, Mapping) and "ok" in answer
