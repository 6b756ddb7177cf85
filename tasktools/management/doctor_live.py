"""What taskdoctor --live looks at: what a running site says of itself."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

from django.db import connections

from tasktools.beat.outlook import View
from tasktools.doctor import rounds
from tasktools.doctor.findings import Line, Section, of_error
from tasktools.doctor.live import Examination
from tasktools.exceptions import TasktoolsError
from tasktools.management.schedule_reading import Reading
from tasktools.startup import require_broker

if TYPE_CHECKING:
    from tasktools.discovery.celery_app import Found
    from tasktools.management.base import TasktoolsCommand


def live_sections(command: TasktoolsCommand, found: Found) -> list[Section]:
    """Return the sections about broker, backend, workers, queues and beat."""
    command.found = found  # its tasks are loaded

    def beat() -> list[Line]:
        try:
            reading = Reading(command, found, None)
            now = datetime.now(timezone.utc)
            return list(rounds.lines(reading.state, reading.outlook(View(now=now)), reading.digest(), now))
        finally:
            connections.close_all()  # those of this thread: the schedule may be in a database

    try:
        require_broker(found)
        return [each for each in Examination(found.app, beat).sections() if each.lines]
    except TasktoolsError as problem:
        return [Section(name="broker", lines=[of_error("broker", problem)])]
