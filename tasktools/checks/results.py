"""W046: results that somebody wants are kept."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning

from tasktools.discovery.celery_app import Found
from tasktools.discovery.setting_names import is_given, spelled
from tasktools.registry.registry import names

#: The ids that this module can give.
IDS = ("tasktools.W046",)

_LIBRARY = "django_celery_results"


def check(found: Found) -> list[CheckMessage]:
    """Warn of a missing result backend where something says that results are kept. By default nothing does.

    Who gives the setting, even as "disabled" or None, has thought of it.
    """
    app: Any = found.app
    backend = app.backend_cls or app.conf.result_backend  # that of the private Valkey is not given
    if app.conf.task_always_eager or backend or is_given(app, "result_backend"):
        return []
    setting = spelled(app, "result_backend")
    if apps.is_installed(_LIBRARY):
        sentence = f'"{_LIBRARY}" is in INSTALLED_APPS, and {setting} is not set: no result is stored.'
        return [CheckWarning(sentence, hint=f'{setting} = "django-db"', id="tasktools.W046")]
    if not app.conf.task_ignore_result or not (found.ready_made or app.finalized):
        return []
    kept = [f'"{name}"' for name in sorted(names(app)) if _is_kept(app.tasks[name])]
    return [_message(kept, setting)] if kept else []


def _is_kept(task: Any) -> bool:
    """Whether a task asks for its result: it has ignore_result=False where the settings say True. It may have its own backend."""
    return not task.ignore_result and type(task.backend).__name__ == "DisabledBackend"


def _message(tasks: list[str], setting: str) -> CheckMessage:
    more = f" and {len(tasks) - 1} more have" if len(tasks) > 1 else " has"
    sentence = f"The task {tasks[0]}{more} ignore_result=False, and {setting} is not set: nobody stores the results."
    return CheckWarning(sentence, hint=f'{setting} = "redis://localhost:6379/1", for example', id="tasktools.W046")
