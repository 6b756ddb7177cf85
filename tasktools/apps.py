"""The app config."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
    apps.ready_event = _Announcing(apps, apps.ready_event, call)  # type: ignore[assignment]


class _Announcing:
    def __init__(self, registry: Any, event: Any, call: Callable[[], None]) -> None:
        self.registry, self.event, self.call = registry, event, call

    def set(self) -> None:
        self.registry.ready_event = self.event
        self.event.set()
        self.call()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.event, name)
