"""What runworker and runbeat say of the settings before Celery starts: nothing is wrong, and it may not be what is meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasktools import conf
from tasktools.brokers import private
from tasktools.exceptions import ConfigurationError

if TYPE_CHECKING:
    from celery import Celery

_EAGER = {
    "worker": ".delay() runs each task in the process that calls it, and no worker gets it",
    "beat": "beat runs each task itself, and no worker gets it",
}


def doubts(app: Celery, command: str) -> list[ConfigurationError]:
    """Return what is to be said before `command`, "worker" or "beat", starts."""
    found = []
    if app.conf.task_always_eager:
        sentence = f"CELERY_TASK_ALWAYS_EAGER is set: {_EAGER[command]}."
        found.append(ConfigurationError(sentence, hint="unset it outside tests"))
    if not private.configured(app.conf):
        found.append(_unset_broker())
    return found


def _unset_broker() -> ConfigurationError:
    slip = conf.like("CELERY_BROKER_URL")
    sentence = "No broker is configured: Celery uses its default, amqp://localhost."
    if slip:
        return ConfigurationError(f"{sentence} {slip} is no setting.", hint="did you mean CELERY_BROKER_URL?")
    return ConfigurationError(sentence, hint="set CELERY_BROKER_URL")
