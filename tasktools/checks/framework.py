"""E090: the backend that TASKS names can be used. E091 and E092, about its options, are given by the backend itself."""

from __future__ import annotations

from django.core.checks import CheckMessage, Error

from tasktools import conf
from tasktools.framework import library

#: The ids of this subject. `framework.checking` gives the last two: the framework asks each backend for its checks.
IDS = ("tasktools.E090", "tasktools.E091", "tasktools.E092")


def check() -> list[CheckMessage]:
    """Report that there is no framework: nothing else reads TASKS then, and `from django.tasks import task` fails.

    The framework itself runs the checks of its backends, if it has been imported.
    """
    ours = library.ours(conf.written("TASKS").get("TASKS"))
    if not ours or library.name():
        return []
    sentence = f'TASKS["{ours[0]}"] names CeleryBackend. {library.MISSING}'
    return [Error(sentence, hint=library.REMEDY, id="tasktools.E090")]
