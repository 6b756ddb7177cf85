"""Which scheduler beat uses, and its class."""

from __future__ import annotations

from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from celery.beat import PersistentScheduler, Scheduler
from celery.utils.imports import symbol_by_name
from django.apps import apps

from tasktools.arguments.names import shown
from tasktools.brokers import broker_of
from tasktools.celery_compat import DEFAULTS
from tasktools.exceptions import ConfigurationError, UsageError, tried

if TYPE_CHECKING:
    from celery import Celery

#: Where distributions name the schedulers that they bring (celery.bin.beat).
SCHEDULERS = "celery.beat_schedulers"

#: The dotted names of our scheduler, and of the lease around another one.
OURS, GUARDED = "tasktools.beat.scheduler:Scheduler", "tasktools.beat.guarded:scheduler"


def scheduler_of(app: Celery, typed: str | None = None, *, file: str | None = None) -> str:
    """Return the dotted name of the scheduler: what was typed, what the project has set, ours, or Celery's.

    Ours needs a Redis or Valkey as the broker. A `file` for the schedule, if one was typed, is Celery's scheduler's.
    """
    chosen = str(typed or app.conf.beat_scheduler)
    if typed or file or is_set(app, "beat_scheduler") or app.conf.task_always_eager:
        return chosen
    try:
        return OURS if broker_of(app).supports_transactions else chosen
    except ConfigurationError:  # whoever needs the broker reports it
        return chosen


def is_ours(scheduler: str) -> bool:
    """Whether a scheduler is ours, or made from it."""
    return scheduler == OURS or _is_from(scheduler, OURS.partition(":")[0])


def is_redbeat(scheduler: str) -> bool:
    """Whether a scheduler is RedBeat, or made from it: it has a lock of its own, which lets one beat at a time send."""
    return _is_from(scheduler, "redbeat")


def _is_from(scheduler: str, package: str) -> bool:
    found = class_of(scheduler)
    return found is not None and any(f"{each.__module__}.".startswith(f"{package}.") for each in found.__mro__)


def redbeat_setting(app: Celery, name: str, default: Any) -> Any:
    """Return a setting of RedBeat, which Celery does not know (redbeat.schedulers.RedBeatConfig.either_or)."""
    conf: Any = app.conf
    return next((conf[key] for key in (f"redbeat_{name}", f"REDBEAT_{name.upper()}") if key in conf), default)


def is_set(app: Celery, name: str) -> bool:
    """Whether the project has set a setting of Celery, even to its default."""
    conf: Any = app.conf
    if conf[name] != DEFAULTS.here()[name]:
        return True
    keys = {name, name.upper(), f"{getattr(conf, 'prefix', None) or ''}{name.upper()}"}
    return any(key in each for each in conf.maps[:-1] for key in keys)


def may_be_another() -> bool:
    """Whether another scheduler is installed, which somebody may choose on the command line of beat.

    One that is a Django app cannot be used if it is not in INSTALLED_APPS.
    """
    return any(_is_usable(each.value.partition(":")[0].partition(".")[0]) for each in entry_points(group=SCHEDULERS))


def _is_usable(package: str) -> bool:
    installed = any(each.name.partition(".")[0] == package for each in apps.get_app_configs())
    return installed or tried(lambda: find_spec(f"{package}.apps"), lambda _: None) is None


def keeps_file(scheduler: str) -> bool:
    """Whether the scheduler (a class, by its dotted name) writes the schedule to a file."""
    found = class_of(scheduler)
    return found is not None and issubclass(found, PersistentScheduler)


def reads_backend(app: Celery, scheduler: str) -> bool:
    """Whether the scheduler looks at the result backend when it begins, as Celery's own and RedBeat do if results expire.

    That of django-celery-beat has an `install_default_entries` of its own, which does not.
    """
    installs = getattr(class_of(scheduler), "install_default_entries", None)
    return bool(app.conf.result_expires) and installs is Scheduler.install_default_entries


def require_scheduler(scheduler: str, *, typed: bool) -> None:
    """Raise UsageError (ConfigurationError when it was not `typed`) where beat could not load this class of scheduler."""
    kind = UsageError if typed else ConfigurationError
    name = shown(str(scheduler))
    hint = "name a class with -S, as celery.beat:PersistentScheduler" if typed else "see CELERY_BEAT_SCHEDULER"
    try:
        found = load(scheduler)
    except Exception as error:
        why = f"{type(error).__name__}: {' '.join(str(error).split())}"
        is_left_out = isinstance(error, RuntimeError) and "INSTALLED_APPS" in why  # django.db.models.base
        hint = "add its app to INSTALLED_APPS" if is_left_out else hint
        raise kind(f'The scheduler "{name}" cannot be loaded. {why}', hint=hint) from error
    if not callable(found) or (isinstance(found, type) and not hasattr(found, "tick")):  # a function may make one
        what = found.__name__ if isinstance(found, type) else f"a {type(found).__name__}"
        raise kind(f'"{name}" is no scheduler of beat: it names {what}.', hint=hint)


def load(scheduler: str) -> Any:
    """Return what beat loads for this name, which is the name of a class or a name that a distribution registers."""
    is_name = (
        isinstance(scheduler, str) and ":" not in scheduler
    )  # what is installed is searched for it, which takes time
    registered = entry_points(group=SCHEDULERS) if is_name else ()
    return symbol_by_name(scheduler, aliases={each.name: each.value for each in registered})


def class_of(scheduler: str) -> type | None:
    """Return the class of a scheduler; None if it cannot be loaded, or is no class."""
    found = tried(lambda: load(scheduler), lambda _: None)  # require_scheduler reports what is wrong with it
    return found if isinstance(found, type) else None
