"""Every registered task imported in shell_plus: SHELL_PLUS_IMPORTS = SimpleLazyObject(task_imports)."""

from __future__ import annotations


def task_imports() -> list[str]:
    """Return an import line for each registered task of the project's app.

    Call it after django.setup(). Wrapped in SimpleLazyObject, it can be used in the settings without slowing them down.
    """
    from tasktools import startup
    from tasktools.discovery import celery_app, django_fixup
    from tasktools.exceptions import TasktoolsError
    from tasktools.project import current_project
    from tasktools.registry import registry

    # The shell is useful without them: somebody may use it to find the reason.
    try:
        found = current_project().found or celery_app.find()
        startup.log([*startup.load_tasks(found), *django_fixup.load_rest(found)], found.app)
        return registry.shell_imports(found.app)
    except TasktoolsError as error:
        startup.log([TasktoolsError(f"No task is imported. {error.sentence}", hint=error.hint, more=error.more)])
        return []
