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
    #: The error of each that has not.
    failed: Mapping[str, str] = field(default_factory=dict)
    #: How many listen and have not answered; None if the broker does not say.
    silent: int | None = None


def revoke(
    app: Celery, task_ids: Sequence[str], *, terminate: bool = False, signal: str = "SIGTERM", limit: float = LIMIT
) -> Confirmed:
    """Have all workers discard these tasks, and with `terminate` end those that run. Raises Unreachable."""
    more = {"terminate": True, "signal": signal} if terminate else {}
    answers = ask(app, {"revoke": {"task_id": list(task_ids), **more}}, limit)
    failed = {name: said["revoke"] for name, said in sorted(answers.failed.items()) if "revoke" in said}
    return Confirmed(workers=sorted(answers.of("revoke")), failed=failed, silent=answers.silent)
