"""W072: Django's cache has a Redis database of its own: to clear the cache is to empty its database."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning

from tasktools.brokers.addresses import Address, address, servers
from tasktools.discovery.celery_app import Found

#: The ids that this module can give.
IDS = ("tasktools.W072",)

#: Both call FLUSHDB in `cache.clear()`.
_CACHES = ("django.core.cache.backends.redis.RedisCache", "django_redis.cache.RedisCache")


def check(found: Found) -> list[CheckMessage]:
    """Compare the caches with the broker and the result backend."""
    caches = {alias: place for alias, cache in settings.CACHES.items() if (place := _place(cache))}
    if not caches:
        return []
    kept = [(each.setting, each.address, each.is_broker) for each in servers(found.app) if each.address]
    return [
        _message(alias, cache, setting, is_broker, taken=[*caches.values(), *(each[1] for each in kept)])
        for alias, cache in caches.items()
        for setting, place, is_broker in kept
        if place.kind == "redis" and _database(place) == _database(cache)
    ]


def _place(cache: Any) -> Address | None:
    """Return where `clear()` of a cache goes: the first of its servers. None if the cache is of another kind."""
    if not isinstance(cache, Mapping) or cache.get("BACKEND") not in _CACHES:
        return None
    location = cache.get("LOCATION") or ""
    first = str(re.split("[;,]", location)[0] if isinstance(location, str) else next(iter(location), ""))
    found = address(first)
    chosen = (cache.get("OPTIONS") or {}).get("db")  # the number in the URL counts before it
    is_open = found is not None and chosen is not None and not re.search(r"[?&]db=|://[^/]*/\d", first)
    return None if is_open or found is None or found.kind != "redis" else found


def _database(place: Address) -> tuple[Any, ...]:
    return (*place.place, place.database)


def _message(alias: str, cache: Address, setting: str, is_broker: bool, taken: list[Address]) -> CheckMessage:
    lost = "every task that waits" if is_broker else "every result"
    sentence = (
        f'The cache "{alias}" and {setting} use the same Redis database, {cache.shown}: cache.clear() deletes {lost}.'
    )
    free = next(_free(cache, taken), None)
    other = "a database of another server" if free is None else f"another database, such as number {free}"
    return CheckWarning(sentence, hint=f'give the cache "{alias}" {other}', id="tasktools.W072")


def _free(cache: Address, taken: list[Address]) -> Iterator[int]:
    """Yield the numbers of the databases that nobody uses; a server has 16 if nobody has changed that."""
    used = {each.database for each in taken if each.place == cache.place}
    return (number for number in range(16) if str(number) not in used)
