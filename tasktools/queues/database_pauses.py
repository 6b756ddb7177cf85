"""The pauses in the database of the site, for a broker that can keep none."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Collection, Iterable
from typing import Any

from tasktools.brokers.reach import lacks_table, reason_at_end
from tasktools.environment.tables import migrate_hint
from tasktools.exceptions import ConfigurationError, Unreachable
from tasktools.queues.pauses import Pause, Pauses, cleaned

#: The longest text that is kept of who, in characters.
_LONGEST_BY = 255


class DatabasePauses(Pauses):
    """In the model `Paused`. Raises ConfigurationError if the site has not migrated, Unreachable if its database is away."""

    def put(self, pauses: Iterable[Pause]) -> None:
        with _database() as paused:
            for each in pauses:
                values = {"since": each.since, "until": each.until, "by": cleaned(each.by, _LONGEST_BY)}
                values["reason"] = cleaned(each.reason)
                paused.objects.update_or_create(what=each.what, name=each.name, defaults=values)

    def remove(self, pauses: Collection[Pause]) -> None:
        with _database() as paused:
            for each in pauses:
                paused.objects.filter(what=each.what, name=each.name).delete()

    def _all(self) -> Iterable[Pause]:
        with _database() as paused:
            rows = list(paused.objects.values("what", "name", "since", "until", "by", "reason"))
        return [Pause(**each) for each in rows]


class _database:
    """Give the model, and turn the errors of the database into those of tasktools."""

    def __enter__(self) -> Any:
        from django.core.exceptions import AppRegistryNotReady

        try:
            from tasktools.models import Paused
        except (AppRegistryNotReady, RuntimeError) as error:  # the app is not in INSTALLED_APPS
            raise ConfigurationError(
                "The pauses cannot be kept: tasktools is not installed in this site.",
                hint='add "tasktools" to INSTALLED_APPS',
            ) from error
        return Paused

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        from django.core.exceptions import ImproperlyConfigured
        from django.db import Error, connections, router

        if threading.current_thread() is not threading.main_thread():  # a process that is forked would share it
            with contextlib.suppress(Exception):
                connections.close_all()
        if isinstance(error, ImproperlyConfigured):
            sentence = "This broker cannot keep what is paused, and the site has no database."
            raise ConfigurationError(sentence, hint="set DATABASES, or use Redis or Valkey as the broker") from error
        if not isinstance(error, Error):
            return
        if lacks_table(error):
            from tasktools.models import Paused

            sentence = "This broker cannot keep what is paused, and the database has no table for it."
            raise ConfigurationError(sentence, hint=migrate_hint("tasktools", router.db_for_write(Paused))) from error
        sentence = f"The database, which keeps what is paused, cannot be used: {reason_at_end(error)}"
        raise Unreachable(sentence, hint="start it, or fix DATABASES in the settings") from error
