"""Revoke tasks by remote control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tasktools.control.answers import LIMIT, ask

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


def revoke(
    app: Celery, task_ids: Sequence[str], *, terminate: bool = False, signal: str = "SIGTERM", limit: float = LIMIT
) -> Confirmed:
    """Have all workers discard these tasks, and with `terminate` end those that run. Raises Unreachable.

    A worker notes the ids first, and tells its pool to end what runs after that: if the pool cannot (threads, solo), the
    worker answers with NotImplementedError and has taken note all the same.
    """
    more = {"terminate": True, "signal": signal} if terminate else {}
    answers = ask(app, {"revoke": {"task_id": list(task_ids), **more}}, limit)
    errors = {name: said["revoke"] for name, said in sorted(answers.failed.items()) if "revoke" in said}
    unable = [name for name, why in errors.items() if terminate and why.startswith("NotImplementedError")]
    failed = {name: why for name, why in errors.items() if name not in unable}
    workers = sorted({*answers.of("revoke"), *unable})
    return Confirmed(workers=workers, unable=unable, failed=failed, silent=answers.silent)
