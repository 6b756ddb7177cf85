"""Under which name a Celery app can be imported, and whether a module is the project's own."""

from __future__ import annotations

import functools
import site
import sys
import sysconfig
from pathlib import Path
from types import ModuleType
from typing import Any


def is_own(module: Any) -> bool:
    """Whether a module or an app config is the project's own: it does not lie among installed packages."""
    file = getattr(module, "__file__", None) or getattr(module, "path", None)
    return file is None or not any(Path(file).is_relative_to(place) for place in _installed_places())


@functools.cache
def _installed_places() -> tuple[Path, ...]:
    paths = sysconfig.get_paths()
    return tuple(
        {Path(paths[name]) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
        | {Path(site.getusersitepackages())}
    )


def name_of(app: Any) -> str:
    """Return `module:attribute` under which `app` can be imported, "" if there is none.

    Of several the module that is no package goes first (proj.celery before proj, which imports it from there), then `app`,
    then `celery`, then the shortest.
    """
    best = min(holders(app), key=lambda holder: _rank(*holder), default=None)
    return f"{best[0].__name__}:{best[1]}" if best else ""


def holders(app: Any) -> list[tuple[ModuleType, str]]:
    """Return the modules and attributes that hold `app`; those of Celery itself do not count."""
    modules = (each for each in list(sys.modules.values()) if isinstance(each, ModuleType))
    return [(module, key) for module in modules if _may_hold(module.__name__) for key in _keys_of(app, module)]


def _may_hold(name: str) -> bool:
    return name != "__main__" and name.partition(".")[0] not in ("celery", "kombu")


def _keys_of(app: Any, module: ModuleType) -> list[str]:
    return [key for key, value in list(vars(module).items()) if value is app]


def _rank(module: ModuleType, key: str) -> tuple[Any, ...]:
    attributes = ("app", "celery", "celery_app")
    place = attributes.index(key) if key in attributes else len(attributes)
    return (
        hasattr(module, "__path__"),
        module.__name__.startswith("celery."),
        place,
        len(module.__name__),
        module.__name__,
        key,
    )
