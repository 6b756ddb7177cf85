"""What is paused: as values of JSON, in the broker, and in the database."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import OperationalError

from tasktools.brokers.keys import Keys
from tasktools.exceptions import ConfigurationError, Unreachable
from tasktools.models import Paused
from tasktools.queues import kept
from tasktools.queues.database_pauses import DatabasePauses
from tasktools.queues.pauses import (
    QUEUE,
    TASK,
    Pause,
    Pauses,
    RedisPauses,
    cleaned,
    of_plain,
    words,
)

pytestmark = pytest.mark.usefixtures("server_that_ends_with_the_suite")

NOW = datetime(2030, 1, 31, 18, 0, tzinfo=timezone.utc)


def pause(name: str = "mails", what: str = QUEUE, seconds: float | None = None, reason: str = "new database") -> Pause:
    until = None if seconds is None else NOW + timedelta(seconds=seconds)
    return Pause(what=what, name=name, since=NOW, until=until, by="me@web1", reason=reason)


@pytest.mark.parametrize("each", [pause(), pause(TASK, TASK, 90)])
def test_plain__is_read_again(each: Pause) -> None:
    assert of_plain(each.plain()) == each


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "mails",
        {},
        {**pause().plain(), "name": None},
        {**pause().plain(), "what": "worker"},
        {**pause().plain(), "since": "yesterday"},
        {**pause().plain(), "since": None},
        {**pause().plain(), "until": "tomorrow"},
        {**pause().plain(), "since": "0001-01-01T00:00:00+14:00"},
        {**pause().plain(), "until": "9999-12-31T23:59:59-14:00"},
        {**pause().plain(), "since": "9999-12-31T12:00:00+00:00"},
        {**pause().plain(), "name": "half \ud800"},
    ],
)
def test_plain__anything_else_is_no_pause(value: Any) -> None:
    assert of_plain(value) is None


def test_plain__a_time_without_an_offset_is_one_of_utc() -> None:
    read = of_plain({"what": QUEUE, "name": "mails", "since": "2030-01-31T18:00:00"})
    assert read == Pause(what=QUEUE, name="mails", since=NOW)


def test_plain__texts_that_cannot_be_shown_are_cleaned() -> None:
    read = of_plain({**pause().plain(), "by": ["me"], "reason": "half \ud800\0"})
    assert read is not None
    assert (read.by, read.reason) == ("", "half ?")


@pytest.mark.parametrize(("seconds", "is_over"), [(None, False), (0.001, False), (0, True), (-1, True)])
def test_is_over__at_its_end(seconds: float | None, is_over: bool) -> None:
    assert pause(seconds=seconds).is_over(NOW) is is_over


@pytest.mark.parametrize(
    ("text", "kept"), [("a\0b", "ab"), ("half \ud800", "half ?"), ("longer than it may be", "longer than")]
)
def test_cleaned__is_what_a_database_takes(text: str, kept: str) -> None:
    assert cleaned(text, 11) == kept


def test_words__say_all_that_is_known() -> None:
    assert words(pause(), timezone.utc) == "since 2030-01-31 18:00:00 by me@web1: new database"
    bare = Pause(what=QUEUE, name="mails", since=NOW, until=NOW + timedelta(hours=1))
    assert words(bare, timezone.utc) == "since 2030-01-31 18:00:00 until 2030-01-31 19:00:00"


@pytest.fixture
def redis_pauses(keys: Keys) -> Iterator[RedisPauses]:
    keys.prefix = "site:"
    yield RedisPauses(keys)
    keys.client.delete("site:tasktools:paused")


@pytest.mark.django_db
@pytest.mark.parametrize("where", ["broker", "database"])
def test_kept__until_they_are_removed_or_over(where: str, redis_pauses: RedisPauses) -> None:
    kept: Pauses = redis_pauses if where == "broker" else DatabasePauses()
    assert kept.read(NOW) == []
    kept.put([pause("b", TASK), pause("b"), pause("a", seconds=5), pause("old", seconds=0)])
    assert kept.read(NOW) == [pause("a", seconds=5), pause("b"), pause("b", TASK)]
    assert kept.read(NOW + timedelta(seconds=5)) == [pause("b"), pause("b", TASK)]
    kept.put([pause("b", reason="another")])
    kept.remove([pause("b", TASK), pause("never")])
    assert kept.read(NOW + timedelta(seconds=5)) == [pause("b", reason="another")]
    kept.remove([])
    assert len(kept.read(NOW)) == 2


def test_redis__keeps_them_under_the_prefix_and_skips_what_is_none(redis_pauses: RedisPauses, keys: Keys) -> None:
    redis_pauses.put([pause()])
    keys.client.hset("site:tasktools:paused", mapping={"queue:odd": "no JSON", "other": '"text"'})
    assert redis_pauses.read(NOW) == [pause()]
    assert keys.client.hkeys("site:tasktools:paused") == [b"queue:mails", b"queue:odd", b"other"]


def test_redis__skips_what_cannot_be_read_or_resumed(redis_pauses: RedisPauses, keys: Keys) -> None:
    other = json.dumps(pause("another").plain())
    mapping: dict[bytes, str] = {
        b"queue:deep": "[" * 200_000,
        b"queue:b": other,
        b"\xff": other,
        b"task:another": other,
    }
    keys.client.hset("site:tasktools:paused", mapping=mapping)
    assert redis_pauses.read(NOW) == []
    redis_pauses.put([pause("another")])
    assert redis_pauses.read(NOW) == [pause("another")]


def test_tasks__can_be_paused_on_redis_alone(redis_pauses: RedisPauses) -> None:
    assert redis_pauses.supports_tasks
    assert not DatabasePauses().supports_tasks


@pytest.mark.parametrize(
    ("error", "kind", "hint"),
    [
        (OperationalError("no such table: tasktools_paused"), ConfigurationError, "python manage.py migrate tasktools"),
        (OperationalError("connection refused"), Unreachable, "start it, or fix DATABASES in the settings"),
    ],
)
def test_database__its_errors_have_a_hint(
    error: Exception, kind: type[ConfigurationError], hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(Paused, "objects", SimpleNamespace(values=fail))
    with pytest.raises(kind) as caught:
        DatabasePauses().read(NOW)
    assert caught.value.hint == hint


def test_database__whose_table_is_missing_elsewhere(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    def fail(*_: object) -> None:
        raise OperationalError("no such table: tasktools_paused")

    settings.DATABASE_ROUTERS = [SimpleNamespace(db_for_write=lambda model, **_: "other")]
    monkeypatch.setattr(Paused, "objects", SimpleNamespace(values=fail))
    with pytest.raises(ConfigurationError) as caught:
        DatabasePauses().read(NOW)
    assert caught.value.hint == "python manage.py migrate tasktools --database=other"


def test_database__another_thread_closes_its_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db import connections

    closed: list[str] = []
    monkeypatch.setattr(Paused, "objects", SimpleNamespace(values=lambda *_: []))
    monkeypatch.setattr(type(connections), "close_all", lambda _: closed.append(threading.current_thread().name))
    DatabasePauses().read(NOW)
    assert closed == []
    thread = threading.Thread(target=lambda: DatabasePauses().read(NOW), name="look")
    thread.start()
    thread.join(60)
    assert closed == ["look"]


def test_paused_now__is_empty_where_it_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise ConfigurationError("not migrated")

    monkeypatch.setattr(kept, "pauses_of", fail)
    assert kept.paused_now(None) == []
