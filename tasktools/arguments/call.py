"""Call: one task call as a value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

#: The options of `apply_async` that a call can have, from the command line or from a line of a file.
CALL_OPTIONS = ("queue", "countdown", "eta", "expires", "priority", "task_id", "ignore_result")

#: The header of a message that Django's Tasks framework has sent: what its call has chosen, for a worker without its record.
FRAMEWORK_HEADER = "django_task"

#: For calls without options or keywords. It is a dictionary because serializers know no other mapping. Nobody writes to it.
_NOTHING: Mapping[str, Any] = {}


class Call(NamedTuple):
    """One call of a task. It is a named tuple because millions are made, and a dataclass takes three times as long."""

    #: The registered name, or the name as typed when the task is registered only elsewhere.
    task: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = _NOTHING
    #: As `apply_async` takes them; usually some of CALL_OPTIONS.
    options: Mapping[str, Any] = _NOTHING
