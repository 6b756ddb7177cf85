"""What showfailed says if it has nothing to show: whether nothing has failed, or what has is in another state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tasktools.exceptions import NoTrace
from tasktools.failures.access import reading
from tasktools.failures.found import Wanted, select

if TYPE_CHECKING:
    from tasktools.management.base import TasktoolsCommand

#: The options that choose rows, beside the pattern and the state.
_CHOOSING = ("task", "exception", "since", "until")


def say(command: TasktoolsCommand, wanted: Wanted, count: int, options: Mapping[str, Any]) -> None:
    """Say so if there is no such row. Raises NoTrace if some were chosen; that nothing has failed is no error."""
    if count:
        return
    others = _others(wanted)
    which = f"{others:,} {'is' if others == 1 else 'are'}"
    if wanted.pattern or any(options[name] is not None for name in _CHOOSING):
        if not others:
            hint = "manage.py showfailed --state all --group counts all of them"
            raise NoTrace("No failed task is like that.", hint=hint)
        raise NoTrace(f"No failed task like that is {_state(options)}: {which} in another state.", hint=_hint(others))
    if command.as_json:
        return
    if others:
        command.note(f"No failed task is {_state(options)}: {which} in another state.", f"Hint: {_hint(others)}")
    else:
        command.note("No failed task is recorded.")


def _others(wanted: Wanted) -> int:
    """Return how many rows would be shown with `--state all`."""
    with reading():
        return 0 if wanted.states is None else int(select(replace(wanted, states=None)).count())


def _state(options: Mapping[str, Any]) -> str:
    return "open (failed or sending)" if options["state"] is None else f'in the state "{options["state"]}"'


def _hint(others: int) -> str:
    return f"--state all shows {'it' if others == 1 else 'them'}"
