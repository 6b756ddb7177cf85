"""Whether workers can record the tasks that fail."""

from __future__ import annotations

from tasktools.brokers.reach import reason_at_end
from tasktools.brokers.timeouts import TimedOut, within_thread
from tasktools.doctor.findings import Line, error, ok, warning
from tasktools.failures import access
from tasktools.failures.storage import is_configured

_REMEDY = "start it, or fix DATABASES in the settings"


def line(*, is_on: bool, limit: float) -> Line:
    """Return what there is to say; the database has `limit` seconds. `is_on` is the value of TASKTOOLS_FAILED."""
    if not is_on:
        return ok("record", "off, by TASKTOOLS_FAILED")
    if not is_configured():
        return ok("record", "off: the site has no database")
    alias = access.database()
    try:
        is_missing = within_thread(limit, access.is_missing)
    except TimedOut:
        text = f'Failed tasks cannot be recorded: the database "{alias}" does not answer within {limit:g} s.'
        return error("record", text, _REMEDY)
    except Exception as problem:  # noqa: BLE001 - each driver has errors of its own
        text = f'Failed tasks cannot be recorded: the database "{alias}" cannot be used: {reason_at_end(problem)}'
        return error("record", text, access.remedy(problem))
    if is_missing:
        text = f'Failed tasks are not recorded: their table is not in the database "{alias}".'
        return warning("record", text, access.migrate_hint())
    return ok("record", f'in the database "{alias}"')
