"""What pausequeue and resumequeue print."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from typing import TYPE_CHECKING

from tasktools.arguments.names import close_matches, is_known, shown
from tasktools.beat.words import span
from tasktools.control.pause import CONFIRM, Heard
from tasktools.exceptions import NotFinished, NoTrace
from tasktools.queues.pauses import QUEUE, TASK, Pause, words
from tasktools.render import counted

if TYPE_CHECKING:
    from tasktools.management.base import TasktoolsCommand

_COLUMNS, _SPARE = ("PAUSED", "WHAT", "SINCE", "UNTIL", "BY", "REASON"), ("REASON", "BY", "SINCE", "WHAT")

#: What a table has as the end of a pause that does not end by itself.
_NEVER = "-"

#: How many characters a table has of a reason.
_LONGEST_REASON = 200

#: How many names a sentence lists.
_MOST = 5


@dataclass(frozen=True, kw_only=True)
class Document:
    """What --json prints of a pause or its end."""

    paused: list[Pause] = field(default_factory=list)
    resumed: list[Pause] = field(default_factory=list)
    confirmed_by: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    #: The names of workers that have not confirmed, and how many more listen; None if the broker does not say.
    silent: list[str] = field(default_factory=list)
    more_silent: int | None = None
    #: Whether it is known if more workers listen than have answered.
    others_known: bool = False


def show_all(command: TasktoolsCommand, pauses: Sequence[Pause], *, no_color: bool) -> None:
    """Print what is paused."""
    if command.as_json:
        command.print_json({"paused": list(pauses)})
        return
    if not pauses:
        command.note("Nothing is paused.")
        return
    _table(command, pauses, no_color=no_color)


def show_paused(command: TasktoolsCommand, pauses: Sequence[Pause], heard: Heard, *, no_color: bool) -> None:
    """Print what is paused now, and who has confirmed it."""
    if command.as_json:
        command.print_json(_document(heard, paused=pauses))
        return
    _table(command, pauses, no_color=no_color)
    _note(command, heard, "A worker that starts later knows it too.")


def show_resumed(
    command: TasktoolsCommand, pauses: Sequence[Pause], heard: Heard | None, left: Collection[Pause], *, is_all: bool
) -> None:
    """Print what is no longer paused and what its pause was, and who has confirmed it.

    `left` are those whose pause was over before, and of which messages were still aside.
    """
    if command.as_json:
        command.print_json(_document(heard or Heard(), resumed=[each for each in pauses if each not in left]))
        return
    if heard is None:
        if is_all:  # else `require_paused` says it of each name
            command.note("Nothing is paused: nothing was resumed.")
        return
    zone = command.find_app(None).app.timezone
    for each in pauses:
        kind = "task " if each.what == TASK else ""
        what = "its pause was over, and messages were still aside" if each in left else f"paused {words(each, zone)}"
        command.print_line(f"Resumed {kind}{shown(each.name, 120)}: {what}.")
    _note(command, heard, "")


def require_paused(names: Collection[tuple[str, str]], paused: Sequence[Pause]) -> None:
    """Raise NoTrace for what was not paused."""
    missing = [each for each in names if each not in {pause.key for pause in paused}]
    if not missing:
        return
    more = [f'The {what} "{shown(name)}" is not paused.' for what, name in missing]
    raise NoTrace(more[0], hint=_instead(*missing[0], paused), more=more[1:])


def _instead(what: str, name: str, paused: Collection[Pause]) -> str:
    """Return a hint for what is not paused: what may be meant."""
    others = [each.name for each in paused if each.what == what]
    kind, option = (TASK, "--task ") if what == QUEUE else (QUEUE, "")
    rest = [each.name for each in paused if each.what == kind]
    if name in rest or (kind == TASK and is_known(name, rest)):
        return f"the {kind} of this name is paused: manage.py resumequeue {option}{shlex.quote(shown(name))}"
    if close := close_matches(name, others):
        return f"did you mean {' or '.join(map(shown, close))}?"
    if others:
        return f"paused are: {', '.join(map(shown, others[:10]))}"
    if rest:
        return f"no {what} is paused, but a {kind} is: manage.py pausequeue shows what is paused"
    look = "showqueues shows what waits and who reads it" if what == QUEUE else "showworkers --tasks shows what runs"
    return f"nothing is paused; manage.py {look}"


def require_confirmed(heard: Heard, paused: Collection[Pause]) -> None:
    """Raise NotFinished if a worker has not confirmed it, and may go on with what is paused."""
    if heard.over:
        fast = [
            f"{shown(name)} does not pause: its clock is {off(seconds)} ahead of this one, past the end of --for."
            for name, seconds in heard.over.items()
        ]
        more = [*fast[1:], *_unconfirmed(heard, {each.name for each in paused if each.what == QUEUE})]
        raise NotFinished(fast[0], hint="set the clocks, or pause without --for and run resumequeue", more=more)
    reasons = list(_unconfirmed(heard, {each.name for each in paused if each.what == QUEUE}))
    if reasons:
        hint = "who is busy (a solo pool that runs a task) takes note within a second when it goes on; it is kept in any case"
        raise NotFinished(reasons[0], hint=hint, more=reasons[1:])


def off(seconds: float) -> str:
    """Return how far a clock is off, as exactly as the time of an answer tells."""
    unit = 60 if abs(seconds) > 120 else 1
    return f"about {span(timedelta(seconds=round(abs(seconds) / unit) * unit))}"


def _unconfirmed(heard: Heard, queues: Collection[str]) -> Iterator[str]:
    if not heard.is_asked:
        yield "The workers could not be asked: they take note within some seconds."
    if heard.silent:
        yield f"{_listed(heard.silent)} {_has(len(heard.silent))} not confirmed within {CONFIRM:g} s."
    if heard.more_silent:
        yield f"{counted(heard.more_silent, 'worker')} without a known name {_has(heard.more_silent)} not confirmed."
    for worker, why in heard.failed.items():
        yield f"{shown(worker)} cannot pause and goes on: tasktools is not in use there ({shown(why, 100)})."
    for queue, number in (heard.more_consumers or {}).items():
        if queue in queues:
            takes, whose, have = ("takes", "its worker", "has") if number == 1 else ("take", "their workers", "have")
            more = f'{counted(number, "more consumer")} still {takes} from "{shown(queue)}"'
            yield f"{more}: {whose} {have} not confirmed, or not left the queue yet."


def _has(number: int) -> str:
    return "has" if number == 1 else "have"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST
    return ", ".join(map(shown, names[:_MOST])) + (f" and {more} more" if more > 0 else "")


def _document(heard: Heard, *, paused: Sequence[Pause] = (), resumed: Sequence[Pause] = ()) -> Document:
    return Document(
        paused=list(paused),
        resumed=list(resumed),
        confirmed_by=heard.confirmed,
        failed=dict(heard.failed),
        silent=heard.silent,
        more_silent=heard.more_silent,
        others_known=heard.is_asked and heard.knows_others,
    )


def _note(command: TasktoolsCommand, heard: Heard, later: str) -> None:
    if heard.confirmed:
        names = _listed(heard.confirmed)
        command.note(f"Confirmed by {counted(len(heard.confirmed), 'worker')}: {names}.", *filter(None, [later]))
    elif heard.is_asked and not (heard.failed or heard.over):
        command.note("No worker answers.", *filter(None, [later]))


def _table(command: TasktoolsCommand, pauses: Sequence[Pause], *, no_color: bool) -> None:
    zone = command.find_app(None).app.timezone
    rows = [
        (shown(each.name, 120), each.what, *_times(each, zone), shown(each.by), shown(each.reason, _LONGEST_REASON))
        for each in pauses
    ]
    command.print_table(_COLUMNS, rows, spare=_SPARE, is_whole=True, no_color=no_color)


def _times(pause: Pause, zone: tzinfo) -> tuple[str, str]:
    return _moment(pause.since, zone), _NEVER if pause.until is None else _moment(pause.until, zone)


def _moment(time: datetime, zone: tzinfo) -> str:
    return f"{time.astimezone(zone):%Y-%m-%d %H:%M:%S}"
