"""When entries last ran, as Celery's PersistentScheduler keeps it in its file. A copy of the file is read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from celery.utils.time import maybe_make_aware

from tasktools.arguments.names import shown_path
from tasktools.beat.records import LastRun
from tasktools.beat.state_file import SUFFIXES, read_copy
from tasktools.brokers.reach import reason_at_end
from tasktools.exceptions import tried


@dataclass(frozen=True, kw_only=True)
class KeptRuns:
    """What a file says."""

    #: By the name of the entry as the schedule has it.
    runs: Mapping[Any, LastRun] = field(default_factory=dict)
    #: Why nothing is known, as a sentence; "" if it is.
    fault: str = ""


def kept_runs(places: Iterable[Path]) -> KeptRuns:
    """Return what the first of the files `places` that exists says; each is a name without the suffix that dbm may append.

    The file of another user is not read: it is pickled, and could run code as this user.
    """
    for place in places:
        files = [file for suffix in ("", *SUFFIXES) if (file := Path(f"{place}{suffix}")).is_file()]
        if files:
            name = shown_path(place)
            if any(file.stat().st_uid != os.geteuid() for file in files):
                return KeptRuns(
                    fault=f'When entries last ran is in "{name}", which belongs to another user and is not read.'
                )
            return tried(
                lambda place=place, files=files: KeptRuns(runs=_read(place, files)),  # type: ignore[misc]
                lambda error: KeptRuns(
                    fault=f'"{name}" cannot be read: {type(error).__name__}: {reason_at_end(error)}'  # noqa: B023
                ),
            )
    return KeptRuns(fault="No file says when entries last ran: beat has not run here, or with --schedule.")


def _read(place: Path, files: Iterable[Path]) -> dict[Any, LastRun]:
    return read_copy(place, files, lambda store: {name: _run(entry) for name, entry in store["entries"].items()})


def _run(entry: Any) -> LastRun:
    return LastRun(at=maybe_make_aware(entry.last_run_at), count=int(entry.total_run_count or 0))
