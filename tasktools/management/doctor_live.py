"""What taskdoctor --live looks at: what a running site says of itself."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

from django.db import connections

from tasktools import every_worker
from tasktools.beat.outlook import View
from tasktools.brokers.reach import is_forbidden
from tasktools.doctor import rounds
from tasktools.doctor.findings import Line, Section, of_any, warning
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
    every_worker.know_framework()

    def beat() -> list[Line]:
        try:
            return looked()
        except TasktoolsError as problem:
            if not is_forbidden(problem):
                raise
            remedy = "allow its user that on the server (ACL SETUSER), or run this as a user that may ask"
            return [warning("in charge", f"Beat could not be asked for. {problem.sentence}", remedy)]
        finally:
            connections.close_all()  # those of this thread: the schedule may be in a database

    def looked() -> list[Line]:
        reading = Reading(command, found, None)
        now = datetime.now(timezone.utc)
        return list(rounds.lines(reading.state, reading.outlook(View(now=now)), reading.digest(), now))

    sections: list[Section] = []
    try:
        require_broker(found)
        for section in Examination(found.app, beat).sections():
            sections += [section] if section.lines else []  # one by one: an error leaves those before it
    except Exception as problem:  # noqa: BLE001 - whatever happens, there is a page
        sections.append(Section(name="live" if sections else "broker", lines=[of_any("broker", problem)]))
    return sections
