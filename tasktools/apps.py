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
        after_start_up(startup.run)


def after_start_up(call: Callable[[], None]) -> None:
    """Call `call` once when django.setup() is done: all apps are ready then, and the database may be asked.

    Django has no signal for that moment; it sets `apps.ready_event`, which its autoreloader waits for.
    """
    event = apps.ready_event
    announce = event.set

    def announce_then_call() -> None:
        event.set = announce  # type: ignore[method-assign]
        announce()
        call()

    event.set = announce_then_call  # type: ignore[method-assign]
