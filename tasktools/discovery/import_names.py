"""Under which name a Celery app can be imported, whether a module is the project's own, and which of several apps is meant."""

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

#: What the modules that make an app are called, as a rule.
USUAL_NAMES = ("celery", "celery_app", "celeryapp", "celeryconf")


class HasApp(Protocol):
    """A candidate."""

    @property
    def app(self) -> Any: ...


App = TypeVar("App", bound=HasApp)


def is_own(module: Any) -> bool:
    """Whether a module or an app config is the project's own: it does not lie among installed packages."""
    file = getattr(module, "__file__", None) or getattr(module, "path", None)
    return file is None or not is_installed(Path(file))


def reads_settings(app: Celery) -> bool:
    """Whether the project has configured `app` from Django's settings (app.config_from_object)."""
    source = celery_compat.CONFIG_SOURCE.get(app)  # the only trace that the call leaves
    if isinstance(source, str):
        return source.replace(":", ".") in ("django.conf.settings", settings.SETTINGS_MODULE)
    return source is settings


def best_of(candidates: Sequence[App], usual: Sequence[str]) -> App | None:
    """Return the app that is meant: no other reads the settings if it does not, nor stands in an earlier module of `usual`.

    None when no app is better than all others, or equal, in both.
    """
    merits = [(reads_settings(each.app), -_place(each.app, usual)) for each in candidates]
    best = max(merits)
    if merits.count(best) == 1 and all(best[0] >= one and best[1] >= other for one, other in merits):
        return candidates[merits.index(best)]
    return None


def by_merit(app: Celery, usual: Sequence[str]) -> tuple[Any, ...]:
    """Return the key that sorts apps: those that read the settings first, then those of the modules of `usual`."""
    name = name_of(app)
    return (not name, not reads_settings(app), _place(app, usual), name)


def _place(app: Celery, usual: Sequence[str]) -> int:
    """Return the place in `usual` of the first module that holds `app`."""
    held = {module.__name__ for module, _ in holders(app)}
    return next((place for place, name in enumerate(usual) if name in held), len(usual))


def name_of(app: Celery) -> str:
    """Return `module:attribute` under which `app` can be imported, "" if there is none.

    Of several a module that is called as Celery's guides have it goes first, then the one that has made the app. Others may
    not even be importable by themselves: a module that needs Django to be set up. Then come a module that is no package, the
    attribute `app`, then `celery`, then the shortest.
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
    """Whether the module knows the class of `app`, or the celery package: one that merely imports the app needs neither."""
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
