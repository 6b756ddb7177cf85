"""Whether the tables are there that something keeps its data in."""

from __future__ import annotations

import contextlib

from tasktools.brokers.timeouts import TimedOut, within_thread
from tasktools.environment.tables import app_of, lacking, migrate_hint
from tasktools.exceptions import ConfigurationError

#: How long the database may take to say which tables it has, in seconds.
LIMIT = 2.5


def require_tables(what: str, kind: type | None) -> None:
    """Raise ConfigurationError if tables of the class `kind` of an installed app are not in the database."""
    app = app_of(kind) if kind else None
    with contextlib.suppress(TimedOut):  # nobody knows: whoever needs the database waits for it
        if app and (alias := within_thread(LIMIT, lacking, app)):
            sentence = f"{what} keeps its data in the database, and tables of {app.label} are missing there."
            raise ConfigurationError(sentence, hint=migrate_hint(app.label, alias))
