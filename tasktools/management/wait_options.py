"""--wait and --timeout, for the commands that can wait for a result."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tasktools.arguments.call import Call
from tasktools.arguments.durations import parse_duration
from tasktools.exceptions import ArgumentError

if TYPE_CHECKING:
    from celery import Celery

#: How long to wait for a result if --timeout is not given.
DEFAULT_WAIT = "1m"


def add_wait_options(parser: Any, what: str) -> Callable[..., Any]:
    """Add them to a parser or a group, and return its `add_argument`; `what` is what --wait does."""
    add: Callable[..., Any] = parser.add_argument
    add("--wait", action="store_true", help=what)
    add("--timeout", metavar="DURATION", help=f"how long --wait waits ({DEFAULT_WAIT}); exit code 3 then")
    return add


def waiting_time(options: dict[str, Any]) -> float:
    """Return how long --wait waits, in seconds.

    Raises ArgumentError for --timeout without --wait: then nothing waits.
    """
    if options["timeout"] is not None and not options["wait"]:
        raise ArgumentError("--timeout says how long to --wait, and --wait is not given.", hint="give both or none")
    return parse_duration(DEFAULT_WAIT if options["timeout"] is None else options["timeout"]).total_seconds()


def require_result(app: Celery, call: Call) -> None:
    """Raise ArgumentError if the call stores no result to wait for."""
    if call.options.get("ignore_result"):
        raise ArgumentError("With --ignore-result there is no result to --wait for.", hint="give one of them")
    if not app.conf.task_always_eager and getattr(
        app.tasks.get(call.task), "ignore_result", app.conf.task_ignore_result
    ):
        raise ArgumentError(f"{call.task} keeps no result (ignore_result) to --wait for.", hint="leave out --wait")
