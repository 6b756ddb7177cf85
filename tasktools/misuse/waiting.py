"""A task that waits for another one. If each process of the worker does so, none is left that could run the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery import current_task
from celery.result import AsyncResult, ResultSet

from tasktools import conf
from tasktools.exceptions import WaitingWarning
from tasktools.misuse.caller import warn


def _watched(wait: Callable[..., Any]) -> Callable[..., Any]:
    def watched(result: Any, *args: Any, **options: Any) -> Any:
        if current_task and not current_task.request.called_directly and conf.warns(WaitingWarning):
            sentence = (
                f"The task {current_task.name} waits for another task: when all processes of the worker wait, no task runs "
                "any more. Use a chain, a chord, or the option link."
            )
            warn(WaitingWarning, sentence)
        return wait(result, *args, **options)

    return watched


#: What waits: owner, name, what makes the method that replaces it. `get` of an EagerResult is another one: its task has run.
#: `join` of a ResultSet calls `get` of each result.
METHODS = (
    (AsyncResult, "get", _watched),
    (AsyncResult, "wait", _watched),
    (ResultSet, "join_native", _watched),
)
