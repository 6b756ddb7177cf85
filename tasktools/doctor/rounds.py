"""Beat: who is in charge, and whether the entries run when they should. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta

from tasktools.beat.outlook import EntryInfo
from tasktools.beat.state import State
from tasktools.beat.words import span
from tasktools.doctor.findings import Line, error, ok, warning

#: An entry that Celery itself adds if the result backend keeps results forever, also if there is no backend.
CLEANUP = "celery.backend_cleanup"


def lines(state: State, entries: Collection[EntryInfo], digest: str, now: datetime) -> Iterator[Line]:
    """Yield what there is to say; `digest` is that of the schedule of this code, `now` is aware."""
    needed = [entry for entry in entries if entry.name != CLEANUP]
    if state.is_foreign:
        text = "What is where beats keep their lease and last runs was not written by a beat."
        yield warning("in charge", text, "the next beat that starts moves it aside")
    if state.in_charge is not None:
        yield _charge(state, digest, now)
    elif state.is_known and needed:
        text = f"No beat is in charge: none of the {len(needed)} entries of the schedule is sent."
        yield error(
            "in charge",
            text if len(needed) > 1 else "No beat is in charge: the entry is not sent.",
            "manage.py runbeat",
        )
    elif needed:
        yield ok("in charge", "not known: this scheduler or broker does not say")
    for beat in state.standing_by:
        yield ok("standing by", str(beat))
    yield from _last(entries, now)
    for entry in entries:
        if entry.overdue_since is not None:
            late = span(timedelta(seconds=round((now - entry.overdue_since).total_seconds())))
            text = f'The entry "{entry.name}" should have run {late} ago.'
            yield error(entry.name, text, "manage.py showschedule; the log of beat says why")


def _charge(state: State, digest: str, now: datetime) -> Line:
    beat = state.in_charge
    since = f", for {span(timedelta(seconds=round((now - beat.since).total_seconds())))}" if beat and beat.since else ""
    if beat is not None and beat.schedule and beat.schedule != digest:
        text = f"{beat}{since} is in charge, and its schedule is not that of this code."
        return warning(
            "in charge",
            text,
            "start beat again with this code; if you have just saved a file, it reloads by itself in a moment",
        )
    return ok("in charge", f"{beat}{since}")


def _last(entries: Collection[EntryInfo], now: datetime) -> Iterator[Line]:
    runs = [(entry.last_run, entry.name) for entry in entries if entry.last_run is not None]
    if runs:
        at, name = max(runs)
        ago = span(timedelta(seconds=max(0, round((now - at).total_seconds()))))
        yield ok("last run", f"{name}, {ago} ago")
