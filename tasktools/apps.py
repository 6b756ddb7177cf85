"""The app config."""

from __future__ import annotations

from collections.abc import Callable

from django.apps import AppConfig, apps


class TasktoolsConfig(AppConfig):
    name = "tasktools"
    verbose_name = "Celery commands"

    def ready(self) -> None:
        from tasktools import checks, startup

        checks.register()
        after_last_app(startup.run)


def after_last_app(call: Callable[[], None]) -> None:
    """Call `call` when the last installed app is ready: Django has no signal for the end of start-up.

    An app listed behind tasktools may make the project's Celery app in its own ready().
    """
    last = list(apps.get_app_configs())[-1]
    if isinstance(last, TasktoolsConfig):
        call()
        return
    ready = last.ready

    def ready_then_call() -> None:
        ready()
        call()

    last.ready = ready_then_call  # type: ignore[method-assign]
