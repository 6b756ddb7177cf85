from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from celery.beat import Scheduler

from tasktools.management import first_lines


class Stored(Scheduler):
    """A scheduler of an installed app."""


def test_scheduler__whose_tables_are_missing(run_command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was a traceback of a thousand lines, a token each."""
    monkeypatch.setattr(
        first_lines, "app_of", lambda kind: SimpleNamespace(label="beat_app") if kind is Stored else None
    )
    monkeypatch.setattr(first_lines, "lacks_tables", lambda app: True)
    ran = run_command("runbeat", "--noreload", "-S", f"{__name__}:Stored", skip_checks=True)
    assert ran.err.splitlines()[-2:] == [
        "The scheduler keeps its data in the database, and tables of beat_app are missing there.",
        "Hint: manage.py migrate beat_app",
    ]
    assert ran.code == 2
