"""manage.py showschedule."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.core.management.base import CommandParser

from tasktools.arguments.durations import parse_time
from tasktools.arguments.names import shown, unknown
from tasktools.arguments.numbers import whole_number
from tasktools.exceptions import ArgumentError
from tasktools.management.base import TasktoolsCommand
from tasktools.management.completion import completed_by, entry_names
from tasktools.project import current_project

#: The most times of an entry that --next shows.
MOST = 1000


class Command(TasktoolsCommand):
    help = "Show the entries of the beat schedule: when each runs, when it last ran, and which beat is in charge."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        pattern = "part of the name of an entry or of its task, or a pattern with * and ?"
        completed_by(parser.add_argument("pattern", nargs="?", default="", help=pattern), entry_names)
        add = parser.add_argument
        add("--next", metavar="N", default="1", help="that many next times of each entry (1)")
        add("--at", metavar="TIME", help="as seen from that time: ISO 8601, without offset in the project's time zone")
        add(
            "--overdue",
            action="store_true",
            help="only entries that should have run and have not; exit 1 if there are any",
        )
        add("-S", "--scheduler", metavar="CLASS", help="the class of the scheduler, if it is chosen with runbeat -S")

    def run(self, *, pattern: str, overdue: bool, **options: Any) -> None:
        from tasktools.beat.overview import matching
        from tasktools.beat.state import read_state
        from tasktools.management import schedule_output as output

        count = _count(options["next"])
        found = self.find_app(options["app"])
        self.load_tasks(found)
        now = datetime.now(found.app.timezone)
        at = parse_time(options["at"], found.app.timezone) if options["at"] else None
        scheduler = self._scheduler(found.app, options["scheduler"])
        state = read_state(found.app)
        everything = self._rows(found.app, scheduler, state, {"now": now, "at": at, "count": count})
        rows = [row for row in matching(everything, pattern) if row.is_overdue or not overdue]
        if options["as_json"]:
            self.print_json(output.document(rows, state))
        else:
            output.say_who(self, state, now)
            output.print_rows(self, rows, at or now, no_color=options["no_color"])
        if not everything:
            self.note("The schedule has no entries. Write one into CELERY_BEAT_SCHEDULE.")
        if pattern and not matching(everything, pattern):
            raise unknown(pattern, [row.name for row in everything], "matches", "entry")
        if overdue:
            self.end_with(1 if rows else 0, f"{len(rows)} of the entries are overdue.")

    def _scheduler(self, app: Any, typed: str | None) -> str:
        from tasktools.beat.choice import class_of, require_scheduler, scheduler_of
        from tasktools.management.first_lines import require_tables

        scheduler = scheduler_of(app, typed)
        require_scheduler(scheduler, typed=bool(typed))
        require_tables("The scheduler", class_of(scheduler))
        return scheduler

    def _rows(self, app: Any, scheduler: str, state: Any, seen: dict[str, Any]) -> list[Any]:
        from tasktools.beat.overview import overview

        return list(overview(app, scheduler, state.runs, in_settings=current_project().scheduled, **seen))


def _count(typed: object) -> int:
    count = whole_number(str(typed), least=1, most=MOST)
    if count is None:
        raise ArgumentError(f'--next "{shown(str(typed))}" is no number from 1 to {MOST}.', hint="--next 5")
    return count
