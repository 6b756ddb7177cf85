"""The app config."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from django.apps import AppConfig, apps

from tasktools.interrupts import end_quietly


class TasktoolsConfig(AppConfig):
    name = "tasktools"
    verbose_name = "Celery commands"

    def __init__(self, app_name: str, app_module: Any) -> None:
        super().__init__(app_name, app_module)
        end_quietly(sys.argv)  # the first that django.setup() runs of ours

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
