"""The only reader of the TASKTOOLS_* settings.

    TASKTOOLS_APP         the Celery app as module:attribute, if discovery would find another one or several
    TASKTOOLS_BEAT_LEASE  seconds (or a duration) after which another beat takes over from one that is gone; default 1.4
    TASKTOOLS_DATA_DIR    folder of the private Valkey; default <BASE_DIR>/.tasktools, for an installed project one in ~
    TASKTOOLS_FAILED      whether workers record the tasks that fail; default True
    TASKTOOLS_FAILED_AGE        for how long failed tasks are kept; default 30 days
    TASKTOOLS_FAILED_ARGUMENTS  the function that masks the arguments of failed tasks
    TASKTOOLS_FAILED_LIMIT      how many failed tasks are kept at most; default 10,000
    TASKTOOLS_HOUR        whether workers count their tasks for the last hour of the admin; default True
    TASKTOOLS_JOBS        whether the jobs of django-extensions are entries of the schedule; or when; default False
    TASKTOOLS_LINGER      seconds (or a duration, "5s") that the private Valkey stays on after its last client; default 10
    TASKTOOLS_WARN_MODEL_ARGUMENTS  whether to warn of model instances among the arguments of a task; default DEBUG
    TASKTOOLS_WARN_TRANSACTION      whether to warn of a task that is sent inside a transaction; default DEBUG
    TASKTOOLS_WARN_WAITING          whether to warn of a task that waits for another task; default DEBUG

They are read when they are used. The app and its broker are chosen once, at start-up.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import os
import pwd
import re
from collections.abc import Collection
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings

from tasktools.arguments.durations import parse_duration
from tasktools.celery_compat import DEFAULTS, TRANSPORT_ALIASES
from tasktools.environment.installed import is_installed
from tasktools.exceptions import (
    ArgumentError,
    ConfigurationError,
    ModelArgumentWarning,
    TasktoolsWarning,
    TransactionWarning,
    WaitingWarning,
)
from tasktools.valkey.folders import runtime_folder

#: Every setting, for the test of the docs.
NAMES = (
    "TASKTOOLS_APP",
    "TASKTOOLS_BEAT_LEASE",
    "TASKTOOLS_DATA_DIR",
    "TASKTOOLS_FAILED",
    "TASKTOOLS_FAILED_AGE",
    "TASKTOOLS_FAILED_ARGUMENTS",
    "TASKTOOLS_FAILED_LIMIT",
    "TASKTOOLS_HOUR",
    "TASKTOOLS_JOBS",
    "TASKTOOLS_LINGER",
    "TASKTOOLS_WARN_MODEL_ARGUMENTS",
    "TASKTOOLS_WARN_TRANSACTION",
    "TASKTOOLS_WARN_WAITING",
)

#: The setting that turns each warning on or off.
_WARN: dict[type[TasktoolsWarning], str] = {
    ModelArgumentWarning: "TASKTOOLS_WARN_MODEL_ARGUMENTS",
    TransactionWarning: "TASKTOOLS_WARN_TRANSACTION",
    WaitingWarning: "TASKTOOLS_WARN_WAITING",
}

#: What Celery called CELERY_BROKER_URL before version 4.
OLD_BROKER = "BROKER_URL"

#: Settings whose values are or contain passwords of brokers, backends and databases. EMAIL_BACKEND has none, and Django warns of
#: who reads it.
_PASSWORDS = re.compile(r"^(?!EMAIL_BACKEND$|.*(?:SCHEDULE|ROUTES)).*(?:BROKER|BACKEND|CELERY|CACHES|DATABASE|REDIS)")

#: The private Valkey stops within 30 s of its last client, whatever the setting says.
MOST_LINGER = 25.0


def like(name: str, known: Collection[str]) -> str:
    """Return the setting of the project that is none of `known` and likely to be a slip for `name`; "" if there is none."""
    written = [each for each in dir(settings) if each.isupper() and each.startswith("CELERY") and each not in known]
    close = difflib.get_close_matches(name, written, 1, 0.85)
    return close[0] if close and close[0] != name else ""


def broker_slip() -> str:
    """Return the setting of the project that is likely to be meant for CELERY_BROKER_URL; "" if there is none.

    A name such as CELERY2_BROKER_URL or CELERY_BROKER_URL_TEST is no slip: somebody else reads it.
    """
    if has_old_broker():
        return OLD_BROKER
    meant = {name for name in dir(settings) if "_BROKER_URL_" in f"_{name}_"}
    return like("CELERY_BROKER_URL", meant | {f"CELERY_{name.upper()}" for name in DEFAULTS.here()})


def has_old_broker() -> bool:
    """Whether BROKER_URL is a URL that kombu can use. Other libraries have settings of this name, as one for mqtt://."""
    url = getattr(settings, OLD_BROKER, None)
    return isinstance(url, str) and url.partition("://")[0].partition("+")[0] in (
        TRANSPORT_ALIASES.here() if url else ()
    )


def written(*prefixes: str) -> dict[str, Any]:
    """Return the settings of the project and of Django whose names begin with one of the prefixes."""
    return {name: getattr(settings, name) for name in dir(settings) if name.isupper() and name.startswith(prefixes)}


def time_zone() -> str:
    """Return TIME_ZONE, "" if the project does not set it: Django has one that few sites mean."""
    return str(settings.TIME_ZONE or "") if settings.is_overridden("TIME_ZONE") else ""  # type: ignore[misc]


def uses_time_zones() -> tuple[bool, bool]:
    """Return whether Django's times have time zones, and whether those of django-celery-beat have."""
    return bool(settings.USE_TZ), bool(getattr(settings, "DJANGO_CELERY_BEAT_TZ_AWARE", True))


def silences(check_id: str | None) -> bool:
    """Whether SILENCED_SYSTEM_CHECKS names a check."""
    return check_id in settings.SILENCED_SYSTEM_CHECKS


def atomic_requests() -> bool:
    """Whether Django runs views in a transaction of some database."""
    return any(each.get("ATOMIC_REQUESTS") for each in settings.DATABASES.values())


def settings_package() -> str:
    """Return the top-level package of the settings, "" if they are in none."""
    return str(getattr(settings, "SETTINGS_MODULE", None) or "").partition(".")[0]


def folders_of_data() -> set[str]:
    """Return the real paths of MEDIA_ROOT and STATIC_ROOT, which hold no code of the project."""
    roots = [getattr(settings, name, None) for name in ("MEDIA_ROOT", "STATIC_ROOT")]
    return {os.path.realpath(each) for each in roots if each and isinstance(each, (str, os.PathLike))}


def has_urlconf() -> bool:
    """Whether the project has URLs at all."""
    return bool(getattr(settings, "ROOT_URLCONF", None))


def with_passwords() -> dict[str, Any]:
    """Return the settings of the project, and the variables of the environment, that may hold passwords."""
    chosen = {name: getattr(settings, name, None) for name in dir(settings) if _PASSWORDS.search(name)}
    return {**chosen, "environment": {name: value for name, value in os.environ.items() if _PASSWORDS.search(name)}}


def app() -> str | None:
    """Return TASKTOOLS_APP, or None."""
    return getattr(settings, "TASKTOOLS_APP", None)


def data_dir() -> Path:
    """Return the absolute folder in which the private Valkey keeps its data. Raises ConfigurationError when it is not a path."""
    chosen = getattr(settings, "TASKTOOLS_DATA_DIR", None)
    path = os.fspath(chosen) if chosen and isinstance(chosen, (str, os.PathLike)) else None
    if chosen and (not isinstance(path, str) or "\0" in path):
        raise ConfigurationError(
            f'TASKTOOLS_DATA_DIR is "{chosen!r}", which is no path.', hint="set it to text or a Path, or leave it out"
        )
    return Path(path or _usual_data_dir(base_dir())).absolute()


def _usual_data_dir(base: Path) -> Path:
    """Return `.tasktools` in `base`; for a project that is an installed package, return a folder of this user.

    It depends only on the user, `base` and the project's name (two projects may share one `base`), so that every process of
    the site has the same folder: $HOME and $XDG_STATE_HOME often differ in a service.
    """
    if not is_installed(base):
        return base / ".tasktools"
    try:
        state = Path(pwd.getpwuid(os.geteuid()).pw_dir) / ".local" / "state" / "tasktools"
    except KeyError:  # a user id without a name, as containers have
        state = runtime_folder()
    module = getattr(settings, "ROOT_URLCONF", None) or getattr(settings, "SETTINGS_MODULE", None) or base.name
    return state / f"{module.partition('.')[0]}-{hashlib.sha256(os.fsencode(base)).hexdigest()[:8]}"


def base_dir() -> Path:
    """Return BASE_DIR. Without that setting, return the folder that holds the project's settings (or its package of settings)."""
    chosen = getattr(settings, "BASE_DIR", None)
    if chosen:
        return Path(chosen).absolute()
    root = (getattr(settings, "SETTINGS_MODULE", None) or "").partition(".")[0]
    file = getattr(importlib.import_module(root), "__file__", None) if root else None
    if not file:
        return Path.cwd()
    path = Path(file).absolute()
    return path.parent.parent if path.name == "__init__.py" else path.parent


def beat_lease() -> float:
    """Return how long a beat is in charge unless it says that it still is, in seconds.

    Raises ConfigurationError when the setting is not a duration from 0.5 s to 1 h.
    """
    chosen = getattr(settings, "TASKTOOLS_BEAT_LEASE", 1.4)
    seconds = _seconds("TASKTOOLS_BEAT_LEASE", chosen)
    if not 0.5 <= seconds <= 3600:
        raise ConfigurationError(
            f'TASKTOOLS_BEAT_LEASE is "{chosen}", which is too {"short" if seconds < 1 else "long"}.',
            hint='set it to a duration from "500ms" to "1h", or leave it out',
        )
    return seconds


def linger() -> float:
    """Return how long the private Valkey stays on after its last client, in seconds.

    Raises ConfigurationError when the setting is not a duration, or is longer than MOST_LINGER.
    """
    chosen = getattr(settings, "TASKTOOLS_LINGER", 10)
    seconds = _seconds("TASKTOOLS_LINGER", chosen)
    if seconds > MOST_LINGER:
        raise ConfigurationError(
            f'TASKTOOLS_LINGER is "{chosen}", which is too long.', hint=f"set it to at most {MOST_LINGER:g} s"
        )
    return seconds


def chosen(name: str, default: Any) -> Any:
    """Return TASKTOOLS_HOUR, TASKTOOLS_JOBS, TASKTOOLS_FAILED or one of those whose names begin with it, as it is written."""
    return getattr(settings, name, default)


def warns(category: type[TasktoolsWarning]) -> bool:
    """Whether to give the warnings of a class: as its setting says, else with DEBUG."""
    return bool(getattr(settings, _WARN[category], settings.DEBUG))


def warns_at_all() -> bool:
    """Whether a warning of any class may be given."""
    return any(map(warns, _WARN))


def _seconds(name: str, chosen: object) -> float:
    try:
        return parse_duration(chosen if isinstance(chosen, timedelta) else str(chosen)).total_seconds()
    except ArgumentError as error:
        raise ConfigurationError(f"{name}: {error.sentence}", hint=error.hint) from None
