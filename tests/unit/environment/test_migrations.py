from __future__ import annotations

from typing import Any

import pytest
from django.db import Error, connection
from django.db.migrations import executor
from django.db.migrations.recorder import MigrationRecorder

from tasktools.environment.migrations import unmigrated


@pytest.mark.django_db
def test_unmigrated__an_app_whose_tables_are_missing() -> None:
    assert unmigrated("django.contrib.contenttypes.models") == ""
    MigrationRecorder(connection).migration_qs.filter(app="contenttypes").delete()
    assert unmigrated("django.contrib.contenttypes.models") == "contenttypes"


@pytest.mark.parametrize("module", ["celery.beat", "tasktools.beat.schedule", ""])
@pytest.mark.django_db
def test_unmigrated__what_has_no_tables(module: str) -> None:
    assert unmigrated(module) == ""


def test_unmigrated__of_a_database_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise Error

    monkeypatch.setattr(executor, "MigrationExecutor", fail)
    assert unmigrated("django.contrib.contenttypes.models") == ""
