"""The settings of a Celery app as Celery sees them, and where each comes from."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tasktools import render
from tasktools.arguments.names import shown
from tasktools.brokers import private
from tasktools.brokers.base import with_stock_urls
from tasktools.brokers.masking import MASK, SECRET, masked, without_parameters
from tasktools.celery_compat import DEFAULTS
from tasktools.doctor.findings import Line, ok

if TYPE_CHECKING:
    from celery import Celery

#: Settings that Celery looks up in the environment first (celery.app.utils.Settings).
FROM_ENVIRONMENT = ("broker_url", "broker_read_url", "broker_write_url", "result_backend")

#: These are shown even if they have their defaults.
ALWAYS = ("broker_url", "result_backend", "timezone", "task_default_queue")

#: Only their number of items is shown: entries have arguments, which are nobody's business.
_COUNTED = {"beat_schedule": "entry"}

#: How many characters of a value are shown, and how many dictionaries and lists inside one another.
LONGEST = 120
DEEPEST = 8


def settings(app: Celery, written: Callable[[str], bool]) -> list[Line]:
    """Return a line for each setting that is not at its default, by name.

    `written` says whether the Django settings have this name.
    """
    lines = []
    for name in sorted(DEFAULTS.here()):
        source = source_of(app, name, written)
        if source != "default" or name in ALWAYS:
            lines.append(ok(name, value_of(name, getattr(app.conf, name)), source=source))
    return lines


def source_of(app: Celery, name: str, written: Callable[[str], bool]) -> str:
    """Return where the value of a setting comes from.

    If several places have it, it is the one with the value in use: which one wins differs between Celery 5.6 and 5.7.
    """
    conf: Any = app.conf
    variable = f"CELERY_{name.upper()}"
    if name in FROM_ENVIRONMENT and os.environ.get(variable):
        return f"environment: {variable}"
    value = conf.timezone if name == "timezone" else conf[name]  # reads the settings, if nobody has
    names = list(_names(name, getattr(conf, "prefix", None) or ""))
    changes, *sources, _ = conf.maps
    places = [(each, place) for place in (changes, *sources) for each in names if value is not None and each in place]
    for each, place in places:
        if place[each] is value:
            if place is changes:
                return _private_or_code(app, name)
            return f"settings: {each}" if written(each) else "code"
    return "default" if value is None or value == DEFAULTS.here()[name] else "an old name of it"


def _names(name: str, prefix: str) -> Iterator[str]:
    yield f"{prefix}{name.upper()}" if prefix else name
    yield name
    if name == "timezone":
        yield "TIME_ZONE"


def _private_or_code(app: Celery, name: str) -> str:
    is_ours = private.is_private(app.conf) and name in ("broker_url", "result_backend")
    return "tasktools: the private Valkey" if is_ours else "code"


def value_of(name: str, value: Any) -> str:
    """Return the value of a setting as one short line. Passwords are `**`, also those that nobody else knows of."""
    if name in _COUNTED and isinstance(value, Mapping):
        number = len(value)
        return f"{number:,} {'entry' if number == 1 else 'entries'}"
    bare = without_secrets(name, value)
    text = bare if isinstance(bare, str) else render.repr_of(bare)
    return shown(with_stock_urls(text), LONGEST)


def without_secrets(name: str, value: Any, depth: int = 0) -> Any:
    """Return a value with `**` in place of what has the name of a secret, and of passwords in URLs.

    What lies deeper than DEEPEST, as in a dictionary that holds itself, is left out.
    """
    if isinstance(value, (Mapping, list, tuple)) and depth == DEEPEST:
        return "..."
    if isinstance(value, Mapping):
        return {key: without_secrets(str(key), item, depth + 1) for key, item in value.items()}
    if isinstance(value, (str, bytes, int)) and not isinstance(value, bool) and value and SECRET.search(name):
        return MASK
    if isinstance(value, (list, tuple)):
        return [without_secrets(name, item, depth + 1) for item in value]
    if not isinstance(value, str):
        return value
    return masked(value) if "://" in value or "@" in value else without_parameters(value)
