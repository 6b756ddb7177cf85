from __future__ import annotations

from datetime import datetime, timedelta
from types import ModuleType
from typing import Any

import pytest
from django.utils import timezone

from tasktools.framework import deferral


@pytest.fixture(autouse=True)
def untold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deferral, "_told", set())


def test_warn__beyond_the_visibility_timeout(tasks: ModuleType, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        tasks.add.using(run_after=timezone.now() + timedelta(hours=2, minutes=1)).enqueue(1)
    assert [record.name for record in caplog.records] == ["tasktools"]
    assert "is to run in 72" in caplog.text
    assert 'Hint: CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 10800}' in caplog.text


def test_warn__naive_times(app: Any, caplog: pytest.LogCaptureFixture) -> None:
    deferral.warn(app, "shop.add", datetime.now() + timedelta(minutes=59))  # noqa: DTZ005
    assert caplog.text == ""
    deferral.warn(app, "shop.add", datetime.now() + timedelta(minutes=61))  # noqa: DTZ005
    assert "shop.add is to run" in caplog.text


@pytest.mark.parametrize("zone", [None, timezone.get_fixed_timezone(-720)])
def test_warn__without_use_tz__either_kind_of_time(
    app: Any, caplog: pytest.LogCaptureFixture, settings: Any, zone: Any
) -> None:
    """The call has been sent by then: an error would make the caller send it again."""
    settings.USE_TZ = False
    deferral.warn(app, "shop.add", datetime.now(zone) + timedelta(minutes=59))
    assert caplog.text == ""
    deferral.warn(app, "shop.add", datetime.now(zone) + timedelta(minutes=61))
    assert "shop.add is to run" in caplog.text


@pytest.mark.parametrize(
    ("options", "told"),
    [({"visibility_timeout": 90_000}, False), ({"ack_emulation": False}, False), ({"visibility_timeout": 60}, True)],
)
def test_warn__the_timeout_is_the_broker_s(
    app: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], told: bool
) -> None:
    monkeypatch.setitem(app.conf, "broker_transport_options", options)
    deferral.warn(app, "shop.add", timezone.now() + timedelta(hours=20))
    assert ("shop.add" in caplog.text) is told
