"""W072: Django's cache has a Redis database of its own: to clear the cache is to empty its database."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning

from tasktools.brokers.addresses import Address, Server, address, servers
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
    kept = [(each, each.address) for each in servers(found.app) if each.address]
    taken = [*caches.values(), *(place for _, place in kept)]
    messages = []
    for alias, cache in caches.items():
        shared = [each for each, place in kept if place.kind == "redis" and _database(place) == _database(cache)]
        messages += [_message(alias, cache, shared, taken)] if shared else []
    return messages


def _place(cache: Any) -> Address | None:
    """Return where `clear()` of a cache goes: the first of its servers. None if the cache is of another kind."""
    if not isinstance(cache, Mapping) or cache.get("BACKEND") not in _CACHES:
        return None
    location = cache.get("LOCATION")
    listed = re.split("[;,]", location) if isinstance(location, str) else location
    first = listed[0] if isinstance(listed, (list, tuple)) and listed else None
    found = address(first) if isinstance(first, str) else None
    if found is None or found.kind != "redis":
        return None
    chosen = _chosen(cache)
    has_number = "db" in found.query or (not found.socket and re.search(r"://[^/]*/\d", str(first)))
    if chosen is None or has_number:  # the number in the URL counts before that of the options
        return found
    return replace(found, database=str(int(chosen))) if str(chosen).isdecimal() else None


def _chosen(cache: Mapping[str, Any]) -> Any:
    """Return the number of the database in the options of a cache, None without one; "" if nobody knows who reads it."""
    options = cache.get("OPTIONS")
    options = options if isinstance(options, Mapping) else {}
    if cache["BACKEND"] == _CACHES[0]:
        return options.get("db")
    pool = options.get("CONNECTION_POOL_KWARGS")
    return "" if "db" in options else pool.get("db") if isinstance(pool, Mapping) else None


def _database(place: Address) -> tuple[Any, ...]:
    return (*place.place, place.database)


def _message(alias: str, cache: Address, shared: list[Server], taken: list[Address]) -> CheckMessage:
    *others, last = dict.fromkeys(each.setting for each in shared)
    users = ", ".join([f'The cache "{alias}"', *others])
    kinds = {True: "every task that waits", False: "every result"}
    lost = " and ".join(dict.fromkeys(kinds[each.is_broker] for each in shared))
    sentence = f"{users} and {last} use the same Redis database, {cache.shown}: cache.clear() deletes {lost}."
    free = next(_free(cache, taken), None)
    other = "a database of another server" if free is None else f"another database, such as number {free}"
    return CheckWarning(sentence, hint=f'give the cache "{alias}" {other}', id="tasktools.W072")


def _free(cache: Address, taken: list[Address]) -> Iterator[int]:
    """Yield the numbers of the databases that nobody uses; a server has 16 if nobody has changed that."""
    used = {each.database for each in taken if each.place == cache.place}
    return (number for number in range(16) if str(number) not in used)
