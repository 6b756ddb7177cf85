from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from tasktools.brokers import private
from tasktools.discovery.setting_names import given, is_given, prefix_of, spelled
from tasktools.project import Project
from tasktools.valkey.server import Home


def made(namespace: str | None, config: Any) -> Any:
    """Return an app that has read these settings."""
    app: Any = Celery("names", set_as_current=False)
    app.config_from_object(config, namespace=namespace)
    app.conf.finalize()
    return app


@pytest.fixture
def app() -> Iterator[Any]:
    """An app whose settings have the prefix CELERY_."""
    with made("CELERY", {"CELERY_TASK_TIME_LIMIT": 30, "CELERY_RESULT_EXTENDED": False}) as app:
        yield app


@pytest.mark.parametrize(
    ("namespace", "prefix", "name"),
    [
        ("CELERY", "CELERY_", "CELERY_TASK_TIME_LIMIT"),
        ("BOX", "BOX_", "BOX_TASK_TIME_LIMIT"),
        ("JOBS_", "JOBS_", "JOBS_TASK_TIME_LIMIT"),
        ("_jobs", "_jobs_", "_jobs_task_time_limit"),
        (None, "", "task_time_limit"),
    ],
)
def test_spelled__is_what_celery_reads(namespace: str | None, prefix: str, name: str) -> None:
    with made(namespace, {name: 30}) as app:
        assert prefix_of(app) == prefix
        assert spelled(app, "task_time_limit") == name
        assert app.conf.task_time_limit == 30
        assert dict(given(app)) == {"task_time_limit": 30}


def test_given__has_what_settings_and_code_give(app: Any) -> None:
    app.conf.worker_concurrency = 3
    assert dict(given(app)) == {"task_time_limit": 30, "result_extended": False, "worker_concurrency": 3}


def test_given__has_old_names_with_what_celery_reads() -> None:
    with made("CELERY", {"CELERYD_CONCURRENCY": 3}) as app:
        assert dict(given(app)) == {"worker_concurrency": app.conf.worker_concurrency}


def test_is_given__knows_settings_and_code(app: Any) -> None:
    app.conf.worker_concurrency = None
    names = ("task_time_limit", "result_extended", "worker_concurrency", "task_soft_time_limit", "broker_url")
    assert [name for name in names if is_given(app, name)] == list(names[:3])


@pytest.mark.parametrize("name", ["broker_url", "result_backend"])
def test_is_given__knows_the_environment(app: Any, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"CELERY_{name.upper()}", "redis://localhost/1")
    assert [each for each in ("broker_url", "result_backend") if is_given(app, each)] == [name]


def test_is_given__is_not_what_tasktools_has_written(app: Any, project: Project, tmp_path: Path) -> None:
    private.use(app.conf, Home(folder=tmp_path, linger=1))
    assert not any(is_given(app, name) for name in ("broker_url", "result_backend", "redbeat_redis_url"))
    private.refuse(app.conf, private.unset_error())
    assert not is_given(app, "broker_url")
    app.conf.broker_url = "redis://localhost/1"
    assert is_given(app, "broker_url")
