"""W049: the settings of the record of failed tasks are of the kind that workers take."""

from __future__ import annotations

from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning

from tasktools import every_worker
from tasktools.exceptions import ConfigurationError

#: The ids that this module can give.
IDS = ("tasktools.W049",)


def check() -> list[CheckMessage]:
    """Read each setting as a worker does."""
    messages: list[CheckMessage] = []
    for read in (every_worker.limit, every_worker.age, every_worker.hook):
        try:
            read()
        except ConfigurationError as error:
            messages.append(CheckWarning(error.sentence, hint=error.hint, id="tasktools.W049"))
    return messages
