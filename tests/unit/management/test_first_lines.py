from __future__ import annotations

import threading
from pathlib import Path
from socket import gethostname
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from celery.backends.base import DisabledBackend
from django.core.cache import cache, caches
from django.db import OperationalError

from tasktools.control import namesakes
from tasktools.exceptions import ConfigurationError
from tasktools.failures import access, storage
from tasktools.management import first_lines
from tasktools.management.first_lines import doubts, doubts_of_backend, doubts_of_name, doubts_of_record
from tasktools.models import FailedTask
from tasktools.overview import tables
from tasktools.results.backend import SET_BACKEND, lost_results
from tasktools.supervisor import reports

UNSET = "CELERY_BROKER_URL is not set: Celery uses amqp://guest:**@localhost:5672//."


def said(command: str = "worker", **conf: Any) -> list[tuple[str, str]]:
    with Celery("shop", set_as_current=False) as app:
        app.conf.update(conf)
        found = [*doubts(app, command), *(doubts_of_backend(app) if command == "worker" else ())]
        return [(each.sentence, each.hint) for each in found]


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
    settings.CELERY_BROKER_USER = "me"  # a setting of Celery
    assert said() == [(UNSET, "set CELERY_BROKER_URL")]


@pytest.mark.parametrize(
    ("command", "what"),
    [
        ("worker", ".delay() runs each task in the process that calls it, and no worker gets it"),
        ("beat", "beat runs each task itself, and no worker gets it"),
        ("site", ".delay() and beat run each task in their own process, and no worker gets it"),
    ],
)
def test_eager(command: str, what: str) -> None:
    assert said(command, broker_url="redis://h", task_always_eager=True) == [
        (f"CELERY_TASK_ALWAYS_EAGER is set: {what}.", "unset it outside tests")
    ]


LONELY = (
    'The broker "memory://" exists only inside each process: a worker gets nothing that another process sends.',
    "set CELERY_BROKER_URL to a broker that processes share, such as redis://localhost:6379/0; "
    "with DEBUG on you may leave it unset",
)


@pytest.mark.parametrize("command", ["worker", "beat", "site"])
@pytest.mark.parametrize(
    "conf",
    [
        {"broker_url": "memory://"},
        {"broker_url": "memory://localhost"},
        {"broker_transport": "memory"},
        {"broker_transport": "kombu.transport.memory:Transport"},
        {"broker_url": "redis://h", "broker_write_url": "memory://"},
    ],
)
def test_broker__in_each_process(command: str, conf: dict[str, Any]) -> None:
    [(sentence, hint)] = said(command, **conf)
    assert sentence.endswith(LONELY[0].partition('"')[2].partition('"')[2])
    assert hint == LONELY[1]


def test_broker__in_each_process_is_not_used_by_eager_tasks() -> None:
    [(sentence, _)] = said(broker_url="memory://", task_always_eager=True)
    assert sentence.startswith("CELERY_TASK_ALWAYS_EAGER is set")


def test_broker__that_cannot_be_used_is_reported_elsewhere() -> None:
    assert said(broker_url="nosuch://h") == []


def test_backend__whose_tables_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "app_of", lambda kind: SimpleNamespace(label="results") if kind is Kept else None)
    monkeypatch.setattr(tables, "lacking", lambda app: "results db")
    assert said(broker_url="redis://h", result_backend=f"{__name__}:Kept") == [
        (
            "The result backend keeps its data in the database, and tables of results are missing there.",
            "python manage.py migrate results --database='results db'",
        )
    ]
    with pytest.raises(ConfigurationError) as caught:
        tables.require_tables("The scheduler", Kept)
    assert caught.value.hint == "python manage.py migrate results --database='results db'"
    tables.require_tables("The scheduler", None)
    assert said("beat", broker_url="redis://h", result_backend=f"{__name__}:Kept") == []  # beat writes no results


def test_backend__whose_database_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker starts without a database, and so does not wait for one."""
    monkeypatch.setattr(tables, "LIMIT", 0.05)
    released = threading.Event()
    monkeypatch.setattr(tables, "app_of", lambda kind: SimpleNamespace(label="results"))
    monkeypatch.setattr(tables, "lacking", lambda app: released.wait(3) or "default")
    try:
        assert said(broker_url="redis://h", result_backend=f"{__name__}:Kept") == []
    finally:
        released.set()


@pytest.mark.parametrize(
    ("typed", "name", "part", "remedy"),
    [
        (None, f"celery@{gethostname()}", False, "manage.py runworker -n worker2@%h"),
        ("worker2@%h", f"worker2@{gethostname()}", False, "manage.py runworker -n worker3@%h"),
        ("w@h", "w@h", True, 'manage.py rundev --worker "-n worker2@%h"'),
        ("mails", "celery@mails", False, "manage.py runworker -n worker2@%h"),
    ],
)
def test_name__that_another_worker_has(
    monkeypatch: pytest.MonkeyPatch, typed: str | None, name: str, part: bool, remedy: str
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(namesakes, "already_runs", lambda app, name: not asked.append(name))  # type: ignore[func-returns-value]
    monkeypatch.setattr(reports, "is_part", lambda: part)
    with Celery(set_as_current=False) as app:
        (found,) = doubts_of_name(app, typed)
        assert asked == [name]
        assert (
            found.sentence
            == f'A worker with the name "{name}" already runs: what is sent to one may reach the other, or both.'
        )
        assert found.hint == f"give this one another name: {remedy}"
        monkeypatch.setattr(namesakes, "already_runs", lambda app, name: False)
        assert doubts_of_name(app, typed) == []
        app.conf.task_always_eager = True
        monkeypatch.setattr(namesakes, "already_runs", lambda app, name: pytest.fail("there is no worker"))
        assert doubts_of_name(app, typed) == []


def test_record__of_a_site_that_is_not_migrated(monkeypatch: pytest.MonkeyPatch, settings: Any, project: Any) -> None:
    monkeypatch.setattr(access, "is_missing", lambda: False)
    assert doubts_of_record() == []
    assert project.told_missing is False
    monkeypatch.setattr(access, "is_missing", lambda: True)
    [found] = doubts_of_record()
    assert project.told_missing is True
    assert found.sentence == "Failed tasks are not recorded: their table is not in the database."
    assert found.hint == "python manage.py migrate tasktools"
    with monkeypatch.context() as patch:
        patch.setattr(storage, "is_configured", lambda: False)
        assert doubts_of_record() == []
    settings.TASKTOOLS_FAILED = False
    assert doubts_of_record() == []


@pytest.mark.parametrize("error", [OperationalError("away"), RuntimeError("a driver's own")])
def test_record__whose_database_is_away_or_slow(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """A worker starts without a database, and so does not wait for one."""
    released = threading.Event()

    def fail() -> bool:
        raise error

    monkeypatch.setattr(access, "is_missing", fail)
    assert doubts_of_record() == []
    monkeypatch.setattr(first_lines, "LIMIT", 0.05)
    monkeypatch.setattr(access, "is_missing", lambda: released.wait(30))
    assert doubts_of_record() == []
    released.set()


@pytest.mark.django_db(transaction=True)
def test_record__looks_at_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    assert access.is_missing() is False
    monkeypatch.setattr(FailedTask._meta, "db_table", "another")
    assert access.is_missing() is True


class Kept(DisabledBackend):
    """A backend of an installed app."""


STAY = "stay in the process that ran the task: no other can read them."


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("locmem.LocMemCache", f"Results of the cache LocMemCache {STAY}"),
        ("dummy.DummyCache", "The cache DummyCache keeps no results."),
    ],
)
def test_backend__that_no_other_process_reads(settings: Any, place: str, sentence: str) -> None:
    settings.CACHES = {"default": {"BACKEND": f"django.core.cache.backends.{place}"}}
    for each in (cache, caches["default"]):  # a proxy, and what it stands for
        assert lost_results(SimpleNamespace(cache_backend=each)) == sentence


def test_backend__a_cache_that_others_read(settings: Any, tmp_path: Path) -> None:
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": tmp_path}
    }
    assert lost_results(SimpleNamespace(cache_backend=cache)) == ""
    assert lost_results(SimpleNamespace()) == ""


def test_backend__whose_cache_is_not_configured() -> None:
    class Odd:
        @property
        def cache_backend(self) -> Any:
            return caches["nope"]

    assert lost_results(Odd()) == ""


def test_backend__of_memory() -> None:
    [(sentence, hint)] = said(broker_url="redis://h", result_backend="cache+memory://")
    assert sentence == "Results of cache+memory:// stay in the process that ran the task: no other can read them."
    assert hint == SET_BACKEND


def test_backend__that_cannot_be_used_is_reported_elsewhere() -> None:
    assert said(broker_url="redis://h", result_backend="no_such.module:Backend") == []
