"""The name to import a Celery app, whether a module is the project's own, and which of several apps is the right one."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import celery
from django.conf import settings

from tasktools import celery_compat
from tasktools.environment.installed import is_installed

if TYPE_CHECKING:
    from celery import Celery

#: The usual names of the modules that make an app.
USUAL_NAMES = ("celery", "celery_app", "celeryapp", "celeryconf")


class HasApp(Protocol):
    """An object that has a Celery app."""

    @property
    def app(self) -> Any: ...


App = TypeVar("App", bound=HasApp)


def is_own(module: Any) -> bool:
    """Whether a module or an app config is the project's own: it is not in an installed package."""
    file = getattr(module, "__file__", None) or getattr(module, "path", None)
    return file is None or not is_installed(Path(file))


def reads_settings(app: Celery) -> bool:
    """Whether the project has configured `app` from Django's settings (app.config_from_object)."""
    source = celery_compat.CONFIG_SOURCE.get(app)  # the only trace that the call leaves
    if isinstance(source, str):
        return source.replace(":", ".") in ("django.conf.settings", settings.SETTINGS_MODULE)
    return source is settings


def best_of(candidates: Sequence[App], usual: Sequence[str]) -> App | None:
    """Return the best app. It reads the settings if any app does, and no other app is in an earlier module of `usual`.

    Return None if no single app is at least as good as all others in both.
    """
    merits = [(reads_settings(each.app), -_place(each.app, usual)) for each in candidates]
    best = max(merits)
    if merits.count(best) == 1 and all(best[0] >= one and best[1] >= other for one, other in merits):
        return candidates[merits.index(best)]
    return None


def by_merit(app: Celery, usual: Sequence[str]) -> tuple[Any, ...]:
    """Return the sort key of an app: apps that read the settings come first, then those of the modules of `usual`."""
    name = name_of(app)
    return (not name, not reads_settings(app), _place(app, usual), name)


def _place(app: Celery, usual: Sequence[str]) -> int:
    """Return the place in `usual` of the first module that holds `app`."""
    held = {module.__name__ for module, _ in holders(app)}
    return next((place for place, name in enumerate(usual) if name in held), len(usual))


def name_of(app: Celery) -> str:
    """Return the `module:attribute` from which `app` can be imported; "" if there is none.

    If there are several, a module with a name from Celery's guides comes first, then the one that has made the app. Other
    modules may not even be importable alone, because they need django.setup(). Then come a module that is not a package,
    the attribute `app`, then `celery`, then the shortest name.
    """
    best = min(holders(app), key=lambda holder: _rank(app, *holder), default=None)
    return f"{best[0].__name__}:{best[1]}" if best else ""


def holders(app: Celery) -> list[tuple[ModuleType, str]]:
    """Return the modules and attributes that hold `app`; those of Celery itself do not count."""
    modules = (each for each in list(sys.modules.values()) if isinstance(each, ModuleType))
    return [(module, key) for module in modules if _may_hold(module.__name__) for key in _keys_of(app, module)]


def _may_hold(name: str) -> bool:
    return name != "__main__" and name.partition(".")[0] not in ("celery", "kombu")


def _keys_of(app: Celery, module: ModuleType) -> list[str]:
    return [key for key, value in list(vars(module).items()) if value is app]


def _may_have_made(app: Celery, module: ModuleType) -> bool:
    """Whether the module has the class of `app`, or the celery package: a module that only imports the app needs neither."""
    return any(value is type(app) or value is celery for value in list(vars(module).values()))


def _rank(app: Celery, module: ModuleType, key: str) -> tuple[Any, ...]:
    attributes = ("app", "celery", "celery_app")
    place = attributes.index(key) if key in attributes else len(attributes)
    return (
        module.__name__.rpartition(".")[2] not in USUAL_NAMES,
        not _may_have_made(app, module),
        hasattr(module, "__path__"),
        module.__name__.startswith("celery."),
        place,
        len(module.__name__),
        module.__name__,
        key,
    )
