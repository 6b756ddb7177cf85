"""What runbeat, and a worker with beat inside, decide before beat starts: the scheduler, its files, and the lease."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasktools import conf
from tasktools.arguments.names import shown, shown_path
from tasktools.brokers import broker_of, private
from tasktools.brokers.result_backend import backend_of
from tasktools.exceptions import ConfigurationError, PrivateServerError, UsageError, tried
from tasktools.overview.tables import require_tables
from tasktools.project import BeatPlan, current_project

if TYPE_CHECKING:
    from tasktools.discovery.celery_app import Found
    from tasktools.management.base import TasktoolsCommand

#: The first line of runbeat says which guarantee our own scheduler gives.
EXACT = "one beat at a time, each tick sent once"


class BeatSetup:
    """How beat starts. `options` are those that were typed for Celery's beat or worker."""

    def __init__(self, command: TasktoolsCommand, found: Found, options: Mapping[str, Any]) -> None:
        from tasktools.beat.choice import is_redbeat, scheduler_of

        self.command = command
        self.app = found.app
        self.typed = options.get("schedule") or options.get("schedule_filename")
        self.stands_by = not options.get("no_standby")
        #: The dotted name of the scheduler that the project has chosen, or of ours.
        self.scheduler = scheduler_of(found.app, options.get("scheduler"), file=self.typed)
        self._is_typed = bool(options.get("scheduler"))
        self._require_interval(options.get("max_interval"))
        if self.is_ours and not self._is_typed:
            self._require_permission()
        if not self.stands_by and is_redbeat(self.scheduler):
            sentence = "--no-standby does not work with RedBeat, which waits for its own lock."
            raise UsageError(sentence, hint="leave it out, or choose no scheduler")

    def _require_interval(self, typed: str | None) -> None:
        """Raise UsageError or ConfigurationError for a longest pause that is negative: beat would make no pause at all."""
        asked = tried(lambda: int(typed or 0), lambda _: 0)  # Celery reports what is no number
        value = asked or self.app.conf.beat_max_loop_interval
        if isinstance(value, (int, float)) and value < 0:
            kind, name = (
                (UsageError, "--max-interval") if asked else (ConfigurationError, "CELERY_BEAT_MAX_LOOP_INTERVAL")
            )
            raise kind(f"{name} is {value}, and a pause cannot be negative.", hint="give seconds, or leave it out")

    def require_schedule(self) -> None:
        """Raise ConfigurationError or UsageError if beat could not work with the scheduler or with the schedule.

        Raises Unreachable if the scheduler needs the result backend, and it cannot be reached.
        """
        from tasktools.beat.choice import class_of, reads_backend, require_scheduler
        from tasktools.checks.schedule import unsilenced

        require_scheduler(self.scheduler, typed=self._is_typed)
        require_tables("The scheduler", class_of(self.scheduler))
        if reads_backend(self.app, self.scheduler):
            backend_of(self.app)
        refused = unsilenced(self.app, self.scheduler)
        if refused:
            more = "".join(f" {message.msg}" for message in refused[1:])
            hint = f'{refused[0].hint} (to have it all the same: SILENCED_SYSTEM_CHECKS = ["{refused[0].id}"])'
            raise ConfigurationError(f"{refused[0].msg}{more}", hint=hint)

    @property
    def is_ours(self) -> bool:
        from tasktools.beat.choice import is_ours

        return is_ours(self.scheduler)

    def _require_permission(self) -> None:
        """Use Celery's scheduler, as before, if the broker's user may not keep what ours keeps there."""
        from tasktools.beat.permission import refusal

        refused = refusal(self.app)
        if refused:
            self.command.warn(refused)
            self.scheduler = str(self.app.conf.beat_scheduler)

    def guarantee(self) -> str:
        """Return in a few words which guarantee there is that one beat alone sends."""
        from tasktools.beat.choice import is_redbeat, redbeat_setting

        if self.is_ours:
            return EXACT
        if is_redbeat(self.scheduler):
            has_lock = redbeat_setting(self.app, "lock_key", "redbeat::lock") is not None
            return "one beat at a time, by RedBeat's own lock" if has_lock else "several beats would all send"
        if broker_of(self.app).supports_leases:
            return "one beat at a time, by a lease in the broker"
        return "one beat at a time on this machine"

    def words(self) -> list[str]:
        """Plan beat, and return additional words for Celery's command line.

        Raises ConfigurationError or UsageError if there is no place for the schedule, or if a setting is wrong.
        """
        from tasktools.beat.choice import GUARDED, is_redbeat, keeps_file
        from tasktools.beat.version import code_digest

        words, lock = [], ""
        if self.is_ours:
            if not broker_of(self.app).supports_transactions:
                raise UsageError(
                    f'The scheduler "{shown(self.scheduler)}" needs Redis or Valkey as the broker.',
                    hint="leave -S and CELERY_BEAT_SCHEDULER out: beat then takes one that fits the broker",
                )
            words = ["--scheduler", self.scheduler]
        elif not is_redbeat(self.scheduler):
            words, lock = ["--scheduler", GUARDED], _spare_lock()
            needs_lock = not broker_of(self.app).supports_leases
            if keeps_file(self.scheduler) or needs_lock:
                path = self._file()
                words += ["--schedule", path] if path else []
                if needs_lock:
                    lock = f"{Path(path or self._configured).absolute()}.lock"
                    _require_lock(lock)
        current_project().beat = BeatPlan(
            lease=conf.beat_lease(),
            stands_by=self.stands_by,
            scheduler="" if self.is_ours else self.scheduler,
            lock=lock,
            code=code_digest(conf.base_dir()),
        )
        current_project().beat_end = None
        return words

    @property
    def _configured(self) -> str:
        return str(self.typed or self.app.conf.beat_schedule_filename)

    def _file(self) -> str | None:
        """Return another file for the schedule than the configured one; None to use that."""
        from tasktools.beat.state_file import place_beside, schedule_file, why_no_schedule

        no_schedule = why_no_schedule(self._configured, typed=bool(self.typed))
        if no_schedule:
            kind = UsageError if self.typed else ConfigurationError
            raise kind(f'"{shown_path(self._configured)}" {no_schedule}', hint="name another file with --schedule")
        if self.typed:
            return None
        beside = place_beside(self._configured, conf.data_dir()) if private.is_private(self.app.conf) else None
        if beside is not None and why_no_schedule(str(beside)) is None:
            return str(beside)
        try:
            places = [conf.data_dir(), _runtime_place()]
            path = schedule_file(self._configured, places)
        except (OSError, PrivateServerError) as error:
            why = f"{error.strerror}." if isinstance(error, OSError) else error.sentence
            raise ConfigurationError(
                f'Beat cannot write its schedule "{self._configured}", nor is there another place for it. {why}',
                hint="name a writable file with --schedule",
            ) from error
        if path is None:
            return None
        where = Path(self._configured).absolute()
        self.command.note(f'"{where}" cannot be written: beat keeps its schedule in "{path}".')
        return str(path)


def _spare_lock() -> str:
    """Return the file that is locked if the broker gives its user no lease; "" if there is no temporary folder."""
    try:
        return str(_runtime_place() / "beat.lock")
    except OSError:
        return ""


def _require_lock(path: str) -> None:
    """Raise ConfigurationError if a file cannot be the lock of beat: beat would wait for it without an end."""
    from tasktools.brokers.file_lease import FileLease, refusal

    lease = FileLease(path)
    try:
        lease.hold("", 1)
    except OSError as error:
        raise refusal(error) from error
    finally:
        lease.close()


def _runtime_place() -> Path:
    from tasktools.beat.state_file import runtime_place

    return runtime_place(conf.data_dir(), Path(tempfile.gettempdir()))
