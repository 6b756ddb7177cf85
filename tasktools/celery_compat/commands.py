"""A task in this process, beat and the command line."""

from __future__ import annotations

from tasktools.environment.private import Private

# A task in this process.
BUILD_TRACER = Private(
    "celery.app.trace",
    "build_tracer",
    "runtask",
    "a documented way to run a task as a worker does",
    ("name", "task", "hostname", "Info", "app"),
)
HANDLE_FAILURE = Private("celery.app.trace:TraceInfo", "handle_failure", "runtask", "the same", ("task", "req"))
HANDLE_RETRY = Private("celery.app.trace:TraceInfo", "handle_retry", "runtask", "the same", ("task", "req"))
TASK_BACKEND = Private("celery.app.task:Task", "_backend", "runtask", "the same")

# Beat and the command line.
_BANNER = "the URL of the private Valkey in Celery's banner"
#: By the command of Celery.
STARTUP_INFO = {
    "worker": Private("celery.apps.worker:Worker", "startup_info", _BANNER, "a hook", ()),
    "beat": Private("celery.apps.beat:Beat", "startup_info", _BANNER, "a hook", ("service",)),
}
SYNC_HANDLER = Private(
    "celery.apps.beat:Beat",
    "install_sync_handler",
    "a beat that ends between two ticks",
    "a warm stop of beat",
    ("service",),
)
TICK = Private("celery.beat:Scheduler", "tick", "a beat that ends between two ticks", "the same")
STORE = Private(
    "celery.beat:PersistentScheduler",
    "_store",
    "a beat that has lost its lease and does not overwrite the schedule of the next one",
    "a close without a sync",
)
FINALIZE = Private(
    "celery.beat:Scheduler",  # that of django-celery-beat has it
    "_finalize",
    "the same",
    "the same",
    optional=True,
    on_objects=True,
)
ENTRY_NOW = Private(
    "celery.beat:ScheduleEntry", "_default_now", "showschedule with entries of a database", "a clock of entries", ()
)
CELERY_COMMAND = Private(
    "celery.bin.celery", "celery", "manage.py celery", "a documented entry point that takes an app"
)
DETACH = Private("celery.bin.worker", "detach", "runworker --detach", "the same")
