"""Whether each process of a project chooses the same Celery app, whatever it has imported."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from celery import Celery
from django.apps import apps

from tasktools.discovery import celery_app
from tasktools.discovery.import_names import holders, is_own

#: A module whose text makes an app, but none for another service: such an app is never the project's own. %b is its class.
_MAKES = rb"(?m)^[ \t]*\w+(?:[ \t]*:[^=\n]*)?[ \t]*=[ \t]*(?:\w+\.)*(?:%b)\("
_CLASS = re.compile(rb"^[ \t]*class[ \t]+(\w+)\(([^)]*)\)", re.MULTILINE)
_FOR_OTHERS = re.compile(rb"\bset_as_current[ \t]*=[ \t]*False")


def rivals(app: Celery) -> list[str]:
    """Return the names of the other apps that another process may choose.

    `celery -A` imports one app, manage.py may import another: each sees only its own. So the usual modules that are not
    imported are read. Raises ProjectError if a package cannot be imported.
    """
    strong, _ = celery_app.live()
    made = [each.name or repr(each.app) for each in strong if each.app is not app]
    return [*made, *(name for name in dict.fromkeys(celery_app.usual_modules()) if _makes_one(name))]


def is_found_by_all(app: Celery) -> bool:
    """Whether each process of the project finds `app`, not only one that -A has led to it.

    It does if a module holds it that is imported in any case, or is looked into. Raises ProjectError as `rivals`.
    """
    own = {module.__name__ for module, _ in holders(app) if is_own(module)}
    if not own or app is getattr(sys.modules.get(celery_app.READY_MADE), "app", None):
        return True
    known = {*celery_app.usual_modules(), *celery_app.roots()}
    for config in apps.get_app_configs():
        known |= {config.name, f"{config.name}.apps", f"{config.name}.models"}
    return bool(own & known)


def _makes_one(name: str) -> bool:
    return name not in sys.modules and any(
        re.search(_MAKES % b"|".join(map(re.escape, _classes(text))), text) and not _FOR_OTHERS.search(text)
        for text in _texts(name)
    )


def _classes(text: bytes) -> list[bytes]:
    """Return the names of Celery's class and of those derived from it, as far as they are loaded or in this text."""
    found: list[type] = [Celery]
    for each in found:  # which grows meanwhile
        found += each.__subclasses__()
    names = {each.__name__.encode() for each in found}
    for name, bases in _CLASS.findall(text):  # in their order: a base is before what is derived from it
        if names & set(re.findall(rb"\w+", bases)):
            names.add(name)
    return sorted(names)


def _texts(name: str) -> Iterator[bytes]:
    spec = importlib.util.find_spec(name)
    if spec is not None and spec.origin and spec.has_location:
        try:
            yield Path(spec.origin).read_bytes()
        except OSError:
            return
