from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from tasktools.brokers import private
from tasktools.project import Project
from tasktools.valkey.server import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(folder=tmp_path, linger=1)


@pytest.mark.parametrize("namespace", ["CELERY", None])
def test_redbeat__gets_a_url_that_its_library_reads(project: Project, home: Home, namespace: str | None) -> None:
    """RedBeat took broker_url, whose scheme redis-py refuses."""
    assert redbeat_url(home, {}, namespace) == f"unix://{home.socket}"


@pytest.mark.parametrize(
    ("setting", "namespace"),
    [
        ("CELERY_REDBEAT_REDIS_URL", "CELERY"),
        ("redbeat_redis_url", None),
        ("REDBEAT_REDIS_URL", None),
    ],
)
def test_redbeat__keeps_the_url_of_the_settings(
    project: Project, home: Home, setting: str, namespace: str | None
) -> None:
    assert redbeat_url(home, {setting: "redis://mine"}, namespace) == "redis://mine"


def redbeat_url(home: Home, config: dict[str, str], namespace: str | None) -> Any:
    """Return what RedBeat reads."""
    source = type("Source", (), config)
    with Celery("shop", set_as_current=False) as app:
        app.config_from_object(source, namespace=namespace)
        app.conf.broker_url  # noqa: B018 - reads the settings
        private.use(app.conf, home)
        return app.conf.first("redbeat_redis_url", "REDBEAT_REDIS_URL")
