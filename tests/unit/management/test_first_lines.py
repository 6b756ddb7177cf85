from __future__ import annotations

from typing import Any

import pytest
from celery import Celery

from tasktools.management.first_lines import doubts

UNSET = "No broker is configured: Celery uses its default, amqp://localhost."


def said(command: str = "worker", **conf: Any) -> list[tuple[str, str]]:
    with Celery("shop", set_as_current=False) as app:
        app.conf.update(conf)
        return [(each.sentence, each.hint) for each in doubts(app, command)]


@pytest.mark.parametrize(
    "conf", [{"broker_url": "redis://h"}, {"broker_read_url": "redis://h"}, {"broker_transport": "redis"}]
)
def test_nothing__where_a_broker_is_named(conf: dict[str, Any]) -> None:
    assert said(**conf) == []


def test_broker__that_nobody_has_named() -> None:
    assert said() == [(UNSET, "set CELERY_BROKER_URL")]


@pytest.mark.parametrize("name", ["CELERY_BROKER_ULR", "CELERY_BROKER_URLS", "CELERY_BROKERURL"])
def test_broker__whose_setting_is_misspelt(settings: Any, name: str) -> None:
    setattr(settings, name, "redis://h")
    assert said() == [(f"{UNSET} {name} is no setting.", "did you mean CELERY_BROKER_URL?")]


def test_broker__another_setting_is_no_slip(settings: Any) -> None:
    settings.CELERY_BROKER_HEARTBEAT = 5
    assert said() == [(UNSET, "set CELERY_BROKER_URL")]


@pytest.mark.parametrize(
    ("command", "what"),
    [
        ("worker", ".delay() runs each task in the process that calls it, and no worker gets it"),
        ("beat", "beat runs each task itself, and no worker gets it"),
    ],
)
def test_eager(command: str, what: str) -> None:
    assert said(command, broker_url="redis://h", task_always_eager=True) == [
        (f"CELERY_TASK_ALWAYS_EAGER is set: {what}.", "unset it outside tests")
    ]
