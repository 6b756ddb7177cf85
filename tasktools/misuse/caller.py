"""Who has called Celery: the first frame that is of the project. It is the place of a warning."""

from __future__ import annotations

import functools
import os
import sys
import warnings
from pathlib import Path
from types import FrameType

import billiard
import celery
import django
import kombu

import tasktools
from tasktools.environment.installed import is_installed
from tasktools.exceptions import TasktoolsWarning as Warned

_LIBRARIES = tuple(
    os.path.join(os.path.dirname(str(each.__file__)), "") for each in (celery, kombu, billiard, django, tasktools)
)

#: What runs a task: what lies above it is no caller of ours, but Celery.
_TRACER = os.path.join("celery", "app", "trace.py")


def warn(category: type[Warned], sentence: str) -> None:
    """Give a warning at the place of the caller; none if Celery itself is the caller. Raises it if a filter says so."""
    frame = _caller(sys._getframe(1))
    if frame is None:
        return
    module, registry = frame.f_globals.get("__name__"), frame.f_globals.setdefault("__warningregistry__", {})
    warnings.warn_explicit(sentence, category, frame.f_code.co_filename, frame.f_lineno, module, registry)


def _caller(frame: FrameType | None) -> FrameType | None:
    """Return the first frame of the project; if all of it is installed as a package, the first one that is not Celery's."""
    other: FrameType | None = None
    while frame is not None:
        file = frame.f_code.co_filename
        if file.endswith(_TRACER):
            break
        if not file.startswith((*_LIBRARIES, "<frozen")) and os.path.basename(file) != "manage.py":
            if not _is_installed(file):
                return frame
            other = other or frame
        frame = frame.f_back
    return other


@functools.lru_cache(maxsize=1000)
def _is_installed(file: str) -> bool:
    """Whether a file is of a library, such as one that wraps Celery's methods to watch them, or of Python itself."""
    return is_installed(Path(file))
