"""Call: one task call as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of a task, checked and ready to be sent."""

    #: The registered name, or whatever was typed when the task is registered elsewhere only.
    task: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    #: As `apply_async` takes them: queue, countdown (seconds), eta, expires, priority, task_id, ignore_result.
    options: Mapping[str, Any] = field(default_factory=dict)
