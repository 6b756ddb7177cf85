"""Every registered task imported in shell_plus: SHELL_PLUS_IMPORTS = SimpleLazyObject(task_imports)."""

from __future__ import annotations


def task_imports() -> list[str]:
    """Return an import line for each registered task of the project's app.

    Call it once Django is set up: wrapped in SimpleLazyObject it can stand in the settings, which it does not slow down.
    """
    from tasktools import startup
    from tasktools.discovery import celery_app, django_fixup
    from tasktools.exceptions import TasktoolsError
    from tasktools.project import current_project
    from tasktools.registry import registry

    # The shell is of use without them: it may be what somebody looks for the reason with.
    try:
        found = current_project().found or celery_app.find()
        startup.log([*startup.load_tasks(found), *django_fixup.load_rest(found)], found.app)
        return registry.shell_imports(found.app)
    except TasktoolsError as error:
        startup.log([TasktoolsError(f"No task is imported. {error.sentence}", hint=error.hint, more=error.more)])
        return []
