"""W030, W031: each task has a queue, and each route a task. E030, for settings of a wrong kind, is found as they are read."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning

from tasktools import conf, startup
from tasktools.arguments.names import close_matches, shown
from tasktools.checks import project
from tasktools.discovery import django_fixup
from tasktools.discovery.celery_app import Found
from tasktools.discovery.import_names import is_own
from tasktools.registry import routes
from tasktools.registry.registry import names

#: The ids that this module can give.
IDS = ("tasktools.W030", "tasktools.W031")

#: How much of a part of the name of a module must be right.
_ALIKE = 0.85


def check(found: Found) -> list[CheckMessage]:
    """Look up the queue of each task that is known. Routers that are code are not asked: they may read the database."""
    messages = _unmatched(found)
    if not routes.can_fail(found.app) or routes.runs_code(found.app):
        return messages
    faults = routes.faults(found.app, names(found.app))
    return [*(CheckWarning(fault.sentence, hint=fault.hint, id="tasktools.W030") for fault in faults), *messages]


def _unmatched(found: Found) -> list[CheckMessage]:
    """Warn of routes for tasks that this project does not have. A route for another project's task is no fault.

    Loading tasks takes a while: this is done only if a route seems to match nothing, and the URLconf only if it still does.
    """
    if conf.silences(IDS[1]) or not _without_task(found):
        return []
    for load in (startup.load_tasks, django_fixup.load_urlconf):
        if errors := load(found):
            return project.messages(errors)
        if not (unmatched := _without_task(found)):
            return []
    return list(map(_message, unmatched))


def _without_task(found: Found) -> list[tuple[str, str]]:
    """Return each pattern that matches no task, with what is likely to be meant. Those of other projects are left out.

    Of the project's own app, only tasks that exist are looked at, as most commands do not import them.
    """
    app: Any = found.app
    patterns = list(_patterns(app.conf.task_routes))
    if not (found.ready_made or app.finalized):
        return []
    known = names(app)
    modules = {name.rpartition(".")[0] for name in known if "." in name}
    unmatched = (each for each in patterns if not routes.matches(each, [*app.tasks]))
    return [(pattern, meant) for pattern in unmatched if (meant := _meant(pattern, modules, known)) is not None]


def _meant(pattern: str, modules: set[str], known: set[str]) -> str | None:
    """Return what is likely to be meant, "" if that is open; None if the tasks of the pattern may be those of another project."""
    module = re.split("[*?[]", pattern)[0].rpartition(".")[0]
    if module in modules:
        return next(iter(close_matches(pattern, known)), "")
    if module in sys.modules and is_own(sys.modules[module]):
        return ""  # it is there, and has no tasks
    close = next((each for each in sorted(modules) if _is_slip(module, each)), None)
    return f"{close}{pattern[len(module) :]}" if close else None


def _is_slip(module: str, other: str) -> bool:
    """Whether two names of modules differ in one of their parts, and there by little."""
    parts = list(zip(module.split("."), other.split("."), strict=False))
    differ = [pair for pair in parts if pair[0] != pair[1]]
    is_long = module.count(".") == other.count(".")
    return is_long and len(differ) == 1 and difflib.SequenceMatcher(None, *differ[0]).ratio() >= _ALIKE


def _patterns(value: Any) -> Iterator[str]:
    """Yield the patterns that are text. A regular expression is likely to be meant for more than is there."""
    for each in value if isinstance(value, (list, tuple)) else (value,):
        pairs = each.items() if isinstance(each, Mapping) else each if isinstance(each, (list, tuple)) else ()
        keys = (pair[0] for pair in pairs if isinstance(pair, (list, tuple)) and len(pair) == 2)
        yield from (key for key in keys if isinstance(key, str))


def _message(found: tuple[str, str]) -> CheckMessage:
    pattern, close = found
    sentence = f'The route for "{shown(pattern)}" in CELERY_TASK_ROUTES matches no task.'
    hint = (
        f"did you mean {close}?"
        if close
        else "manage.py showtasks lists the tasks; remove the route if its task is gone"
    )
    return CheckWarning(sentence, hint=hint, id="tasktools.W031")
