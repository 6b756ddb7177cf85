"""What runworker and runbeat say of the settings before Celery starts: nothing is wrong, and it may not be what is meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasktools import conf
from tasktools.brokers import private
from tasktools.environment.migrations import unmigrated
from tasktools.exceptions import ConfigurationError
from tasktools.results.backend import SET_BACKEND, place_of_local

if TYPE_CHECKING:
    from celery import Celery

_EAGER = {
    "worker": ".delay() runs each task in the process that calls it, and no worker gets it",
    "beat": "beat runs each task itself, and no worker gets it",
}


def require_migrated(what: str, module: str) -> None:
    """Raise ConfigurationError if `what`, which is in `module` of an installed app, has no tables in the database."""
    app = unmigrated(module)
    if app:
        sentence = f"{what} keeps its data in the database, and migrations of {app} are not applied."
        raise ConfigurationError(sentence, hint=f"manage.py migrate {app}")


def doubts(app: Celery, command: str) -> list[ConfigurationError]:
    """Return what is to be said before `command`, "worker" or "beat", starts."""
    found = []
    if app.conf.task_always_eager:
        sentence = f"CELERY_TASK_ALWAYS_EAGER is set: {_EAGER[command]}."
        found.append(ConfigurationError(sentence, hint="unset it outside tests"))
    found += _doubts_of_backend(app)
    if not private.configured(app.conf):
        found.append(_unset_broker())
    return found


def _doubts_of_backend(app: Celery) -> list[ConfigurationError]:
    try:
        require_migrated("The result backend", type(app.backend).__module__)
        local = place_of_local(app.backend)
    except ConfigurationError as error:
        return [error]
    except Exception:  # noqa: BLE001 - whoever needs a backend that cannot be used reports it
        return []
    sentence = f"Results of {local} stay in the process that ran the task: no other can read them."
    return [ConfigurationError(sentence, hint=SET_BACKEND)] if local else []


def _unset_broker() -> ConfigurationError:
    slip = conf.like("CELERY_BROKER_URL")
    sentence = "No broker is configured: Celery uses its default, amqp://localhost."
    if slip:
        return ConfigurationError(f"{sentence} {slip} is no setting.", hint="did you mean CELERY_BROKER_URL?")
    return ConfigurationError(sentence, hint="set CELERY_BROKER_URL")
