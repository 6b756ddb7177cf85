"""Call: one task call as a value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

#: The options of `apply_async` that a call of ours can have, from the command line or from a line of a file.
CALL_OPTIONS = ("queue", "countdown", "eta", "expires", "priority", "task_id", "ignore_result")

#: For calls without; a dictionary, for serializers know no other mapping. Nobody writes to it.
_NOTHING: Mapping[str, Any] = {}


class Call(NamedTuple):
    """One call of a task. A named tuple, for millions of them are made, and a dataclass takes three times as long."""

    #: The registered name, or whatever was typed when the task is registered elsewhere only.
    task: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = _NOTHING
    #: As `apply_async` takes them; mostly some of CALL_OPTIONS.
    options: Mapping[str, Any] = _NOTHING
