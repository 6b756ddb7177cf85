from __future__ import annotations

import dataclasses
import logging
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import DataError, InternalError, OperationalError, ProgrammingError, connection, connections
from django.utils import timezone

from tasktools.failures import insertion
from tasktools.failures import storage as module
from tasktools.failures.failure import Failure, Mended
from tasktools.failures.insertion import Away, Missing, Refused
from tasktools.failures.message import Kept
from tasktools.failures.own_connection import OwnConnection
from tasktools.failures.row import Form
from tasktools.failures.storage import Table
from tasktools.models import FailedTask, Kind, State

pytestmark = pytest.mark.django_db


def failure(task_id: str = "1", **values: Any) -> Failure:
    message = Kept(
        headers=values.pop("headers", {}),
        properties=values.pop("properties", {}),
        delivery_info={},
        content_type="application/json",
        content_encoding="utf-8",
        body=values.pop("body", b'[[1], {"x": 2}, {}]'),
    )
    return Failure(**{"kind": Kind.RAISED, "message": message, "task_id": task_id, "task": "shop.add", **values})


def test_write__a_row_with_all_that_is_known() -> None:
    told = failure(
        headers={"tasktools_retry_of": "0", "tasktools_failures": 3},
        properties={"timestamp": 1_800_000_000},
        exception="builtins.ValueError",
        reason="no",
        traceback="Traceback",
        queue="celery",
        worker="w@here",
        started_at=1_800_000_001.5,
        failed_at=1_800_000_002.5,
        retries=2,
    )
    Table().write([told])
    row = FailedTask.objects.get()
    assert (row.task_id, row.task, row.kind, row.state) == ("1", "shop.add", "raised", "failed")
    assert (row.exception, row.reason, row.traceback) == ("builtins.ValueError", "no", "Traceback")
    assert row.arguments == '{"args": [1], "kwargs": {"x": 2}}'
    assert (row.queue, row.worker, row.retries, row.failures, row.retry_of) == ("celery", "w@here", 2, 3, "0")
    assert row.sent_at is not None
    assert row.started_at is not None
    assert [each.timestamp() for each in (row.sent_at, row.started_at, row.failed_at)] == [
        1_800_000_000,
        1_800_000_001.5,
        1_800_000_002.5,
    ]
    assert Kept.read(row.message, row.body) == told.message


def test_write__times_without_zones(settings: Any) -> None:
    settings.USE_TZ = False
    Table().write([failure(started_at=1_800_000_000.0)])
    row = FailedTask.objects.get()
    assert row.started_at is not None
    assert row.started_at.tzinfo is None
    assert row.started_at.timestamp() == 1_800_000_000.0


HOSTILE = {
    "retries": 2**40,
    "headers": {"tasktools_retry_of": ["x"], "tasktools_failures": "many"},
    "properties": {"timestamp": 1e300},
    "started_at": float("nan"),
    "task_id": "\0" * 300 + "\ud800" * 300,
    "task": "t" * 3_000,
    "exception": "e" * 3_000,
    "reason": "r\0" * 20_000,
    "traceback": "\ud800" * 100_000,
    "queue": "q" * 3_000,
    "worker": "w" * 3_000,
    "body": b"\xff" * 1_000,
}


def test_write__texts_of_strangers_are_cut_and_cleaned() -> None:
    Table().write([failure(**HOSTILE)])
    row = FailedTask.objects.get()
    assert (len(row.task), len(row.exception), len(row.queue), len(row.worker)) == (255,) * 4
    assert row.task_id == "?" * 255
    assert (len(row.reason), len(row.traceback)) == (10_000, 64_000)
    assert "characters left out" in row.reason
    assert "characters left out" in row.traceback
    assert (row.retries, row.failures, row.sent_at, row.started_at) == (2**31 - 1, 0, None, None)
    assert (row.arguments, row.body) == ("", b"\xff" * 1_000)
    for text in (row.reason, row.traceback, row.message):
        assert "\0" not in text
        text.encode()


def test_write__a_hook_that_hides_all_leaves_no_body() -> None:
    headers = {"argsrepr": "('secret',)", "kwargsrepr": "{}", "id": "1"}
    Table(form=Form(hook=lambda *_: None)).write([failure(headers=headers, body=b'[["secret"], {}, {}]')])
    row = FailedTask.objects.get()
    assert (row.arguments, row.body) == ("", None)
    assert "secret" not in row.message
    assert Kept.read(row.message, row.body).headers == {"argsrepr": "", "kwargsrepr": "", "id": "1"}


@pytest.mark.parametrize("body", [b'{"secret', b"\xff secret", b'["secret"]'])
@pytest.mark.parametrize("content", [{}, {"content_type": "application/x-python-serialize"}, {"content_type": None}])
def test_write__a_hook_that_cannot_be_asked_leaves_no_body(body: bytes, content: dict[str, Any]) -> None:
    headers = {"argsrepr": "('secret',)", "kwargsrepr": "{}", "id": "1"}
    told = failure(headers=headers, body=body)
    told = dataclasses.replace(told, message=dataclasses.replace(told.message, **content))
    Table(form=Form(hook=lambda task, args, kwargs: (args, kwargs))).write([told])
    row = FailedTask.objects.get()
    assert (row.arguments, row.body) == ("", None)
    assert "secret" not in row.message
    FailedTask.objects.all().delete()
    Table().write([told])
    assert FailedTask.objects.get().body == body  # without a hook, the message is kept as it came


def test_write__a_hook_that_masks_leaves_the_message() -> None:
    Table(form=Form(hook=lambda task, args, kwargs: (["**"], {}))).write([failure()])
    row = FailedTask.objects.get()
    assert (row.arguments, bytes(row.body or b"")) == (
        '{"args": ["**"], "kwargs": {}}',
        b'[[1], {"x": 2}, {}]',
    )


def refusing(monkeypatch: pytest.MonkeyPatch, refuses: Any) -> None:
    """Have the database refuse rows as `refuses` says: it returns an error or None."""
    save = FailedTask.save

    def guarded(self: FailedTask, **options: Any) -> None:
        if error := refuses(self):
            raise error
        save(self, **options)

    def together(rows: list[Any], connection: Any) -> None:
        for each in rows:
            guarded(FailedTask(**each), using=connection.alias, force_insert=True)

    monkeypatch.setattr(FailedTask, "save", guarded)
    monkeypatch.setattr(module, "insert", together)


@pytest.mark.parametrize("kind", [DataError, OperationalError, ValueError])
def test_refused__the_others_are_written_and_it_in_part(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, kind: type[Exception]
) -> None:
    refusing(monkeypatch, lambda row: kind("no such character") if "ü" in row.reason else None)
    Table().write([failure("1"), failure("2", reason="ü"), failure("3")])
    assert sorted(FailedTask.objects.values_list("task_id", "reason")) == [("1", ""), ("2", "\\xfc"), ("3", "")]
    assert f"A failed task is recorded in part: shop.add[2]: {kind.__name__}: no such character" in caplog.text


def test_refused__the_message_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    refusing(monkeypatch, lambda row: DataError("too long") if row.body else None)
    Table().write([failure("1", reason="why")])
    row = FailedTask.objects.get()
    assert (row.body, row.arguments) == (None, "")
    assert row.reason == "why\nThe database has refused the rest: the message is not kept."
    assert Kept.read(row.message, row.body).body is None  # `retryfailed` says so, and not that it cannot be read


def test_refused__altogether_is_a_line_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    refusing(monkeypatch, lambda row: DataError("never") if row.task_id == "2" else None)
    Table().write([failure("1"), failure("2"), failure("3")])
    assert sorted(FailedTask.objects.values_list("task_id", flat=True)) == ["1", "3"]
    assert "A failed task is not recorded: shop.add[2]: DataError: never" in caplog.text


@pytest.mark.parametrize("refuses", ["body", "ü"])
def test_refused__a_row_that_is_alone_is_written_in_part(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, refuses: str
) -> None:
    """MySQL says by an OperationalError that a packet is too big: that is no database that is away."""

    def too_big(row: FailedTask) -> Any:
        bad = row.body if refuses == "body" else "ü" in row.reason
        return OperationalError(1153, "Got a packet bigger than 'max_allowed_packet' bytes") if bad else None

    refusing(monkeypatch, too_big)
    Table().write([failure("1", reason="für")])
    assert FailedTask.objects.get().reason.startswith("f\\xfcr")
    assert "A failed task is recorded in part: shop.add[1]: OperationalError: (1153, " in caplog.text


def test_missing__is_no_fault_of_the_rows(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """PostgreSQL and MySQL say it by a ProgrammingError."""
    refusing(monkeypatch, lambda row: ProgrammingError('relation "tasktools_failedtask" does not exist'))
    monkeypatch.setattr(module, "lacks_table", lambda alias: True)
    for rows in ([failure("1")], [failure("1"), failure("2")]):
        with pytest.raises(Missing):
            Table().write(rows)
    assert caplog.text == ""


def test_missing__the_next_look_makes_no_row_and_inserts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server would log each INSERT as an error, and the project's hook would run again and again."""
    made: list[FailedTask] = []
    refusing(monkeypatch, lambda row: made.append(row) or ProgrammingError('relation "x" does not exist'))
    lacks = [True, True, False]
    monkeypatch.setattr(module, "lacks_table", lambda alias: lacks.pop(0))
    table = Table()
    with pytest.raises(Missing):
        table.write([failure("1")])
    tried = len(made)
    with pytest.raises(Missing):
        table.write([failure("1")])
    assert (tried, len(made), lacks) == (1, 1, [False])
    monkeypatch.undo()
    monkeypatch.setattr(module, "lacks_table", lambda alias: False)
    table.write([failure("1")])
    assert FailedTask.objects.count() == 1


class Forbidden(Exception):
    """What psycopg raises for what an account has no right to."""

    sqlstate = "42501"


def coded(error: Exception, name: str, code: object) -> Exception:
    """Return an error of Django that has this code from its driver."""
    error.__cause__ = Exception()
    setattr(error.__cause__, name, code)
    return error


def forbidden() -> ProgrammingError:
    error = ProgrammingError("permission denied for table tasktools_failedtask")
    error.__cause__ = Forbidden()
    return error


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("the disk is full"),
        InternalError("cannot execute INSERT in a read-only transaction"),  # of PostgreSQL
        OperationalError(1030, "Got error 168 from storage engine"),
        OperationalError(1026, "Error writing file '/tmp/28' (errno: 30 - x)"),
        forbidden(),
    ],
)
def test_away__nothing_is_written_and_all_may_come_again(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    with monkeypatch.context() as patch:
        refusing(patch, lambda row: error)
        with pytest.raises(Refused, match=re.escape(f"{type(error).__name__}: {error}")) as caught:
            Table().write([failure("1"), failure("2")])
    assert caught.value.lacks_room == ("full" in str(error))
    assert FailedTask.objects.count() == 0
    Table().write([failure("1"), failure("2")])
    assert FailedTask.objects.count() == 2


def test_refused__in_the_middle_names_what_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """The database takes no more writes, as when its disk is full: nothing is dropped for that."""
    items = [failure(each) for each in "123"]
    with monkeypatch.context() as patch:
        refusing(patch, lambda row: OperationalError("disk full") if row.task_id != "1" else None)
        with pytest.raises(Refused) as caught:
            Table().write(items)
    assert (caught.value.key, caught.value.done, caught.value.works) == (items[1].key, [items[0].key], True)
    assert caught.value.lacks_room
    Table().write(items)
    assert sorted(FailedTask.objects.values_list("task_id", flat=True)) == ["1", "2", "3"]


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("database or disk is full"),
        OperationalError('could not extend file "base/1/2": No space left on device'),
        OperationalError(1114, "The table 'tasktools_failedtask' is full"),
        OperationalError(1021, "Disk full (/tmp/#sql); waiting for someone to free some space..."),
        # In the language of the server:
        coded(
            OperationalError('konnte Datei "base/1/2" nicht erweitern: Auf dem Gerät ist kein Speicher'),
            "sqlstate",
            "53100",
        ),
        coded(OperationalError("konnte Datei nicht erweitern"), "pgcode", "53100"),
        coded(OperationalError("?"), "sqlite_errorcode", 13),
        OperationalError(1114, "Tabelle 'tasktools_failedtask' ist voll"),
        OperationalError(1021, "Festplatte voll (/tmp/#sql)"),
        OperationalError(1030, "Fehler 28 (Speicher-Engine)"),
        OperationalError(1026, "Fehler beim Speichern der Datei '/tmp/ML30' (Fehler: 28 - x)"),
    ],
)
def test_refused__by_a_full_disk_that_has_room_for_less_loses_no_message(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    items = [failure("1"), failure("2")]
    with monkeypatch.context() as patch:
        refusing(patch, lambda row: error if row.body else None)
        with pytest.raises(Refused) as caught:
            Table().write(items)
    assert (caught.value.key, caught.value.done, caught.value.lacks_room) == (items[0].key, [], True)
    Table().write(items)
    assert [bytes(each or b"") for each in FailedTask.objects.values_list("body", flat=True)] == [
        items[0].message.body
    ] * 2


def test_away__a_mark_that_fails_is_tried_again_and_its_rows_are_there_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(success: Mended, alias: str) -> None:
        raise OperationalError("locked")

    row("a", state=State.SENT, new_id="2")
    items = [failure("1"), Mended(task_id="2")]
    with monkeypatch.context() as patch:
        patch.setattr(module, "_mend", fail)
        with pytest.raises(Away):
            Table().write(items)
    Table().write(items)
    assert sorted(FailedTask.objects.values_list("task_id", "state")) == [("1", "failed"), ("a", "mended")]


def test_away__a_mark_that_is_impossible_holds_nothing_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(success: Mended, alias: str) -> None:
        raise DataError("never")

    monkeypatch.setattr(module, "_mend", fail)
    Table().write([failure("1"), Mended(task_id="2")])
    assert FailedTask.objects.count() == 1
    assert "A task that was sent again has succeeded, which is not recorded: DataError: never" in caplog.text


def test_away__a_database_that_goes_meanwhile_is_not_the_fault_of_a_row(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The first row is written, then nothing more: the second attempt writes the rest, and the first one not again."""
    items = [failure("1"), failure("2"), failure("3")]
    with monkeypatch.context() as patch:
        refusing(patch, lambda row: OperationalError("gone") if row.task_id != "1" else None)
        replies = iter([True, False])
        patch.setattr(module, "answers", lambda alias: next(replies))
        patch.setattr(insertion, "answers", lambda alias: next(replies))
        with pytest.raises(Away, match="OperationalError: gone"):
            Table().write(items)
    assert [each.task_id for each in FailedTask.objects.all()] == ["1"]
    Table().write(items)
    assert sorted(FailedTask.objects.values_list("task_id", flat=True)) == ["1", "2", "3"]
    assert caplog.text == ""


def test_write__what_was_committed_without_an_answer_is_not_written_again(caplog: pytest.LogCaptureFixture) -> None:
    items = [failure("1"), failure("2")]
    Table().write(items)
    Table().write([*items, failure("3")])
    Table().write([failure("1")])  # another failure of the same task
    assert sorted(FailedTask.objects.values_list("task_id", flat=True)) == ["1", "1", "2", "3"]
    assert caplog.text == ""


def test_write__a_row_that_cannot_be_made_loses_no_other(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"deep": deep}
    Table().write([failure("1"), failure("2", headers=deep, reason="why"), failure("3")])
    found = {each.task_id: each for each in FailedTask.objects.all()}
    assert sorted(found) == ["1", "2", "3"]
    assert (found["2"].reason, found["2"].body) == ("why\nIts message cannot be recorded.", None)
    assert "A failed task is recorded without its message: shop.add[2]" in caplog.text


def test_write__the_hook_is_asked_before_the_database_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the hook opens is closed: a child process would inherit it."""
    order, opened = [], []
    used = OwnConnection.used

    def noted(self: OwnConnection, alias: str) -> Any:
        order.append("database")
        return used(self, alias)

    def hook(task: str, args: Any, kwargs: Any) -> Any:
        order.append("hook")
        connections["other"].connect()
        opened.append(connections["other"].connection)
        return args, kwargs

    other = {**connections["default"].settings_dict, "NAME": str(tmp_path / "db"), "OPTIONS": {}}
    monkeypatch.setitem(connections.settings, "other", other)
    monkeypatch.setattr(OwnConnection, "used", noted)
    try:
        Table(form=Form(hook=hook)).write([failure("1")])
        assert connections["other"].connection is None
    finally:
        del connections["other"]
    assert order == ["hook", "database"]
    assert None not in opened
    assert len(opened) == 1


class Replica:
    """A router whose reads go where nothing is."""

    def db_for_read(self, model: Any, **hints: Any) -> str:
        return "replica"


def test_database__reads_are_where_it_is_written(settings: Any) -> None:
    FailedTask.objects.using("default").create(
        task_id="a", state=State.SENT, new_id="b", kind=Kind.RAISED, failed_at=timezone.now(), message="{}"
    )
    settings.DATABASE_ROUTERS = [Replica()]
    table = Table(limit=1)
    table.write([failure("1"), Mended(task_id="b")])
    rows = FailedTask.objects.using("default")
    assert list(rows.values_list("task_id", flat=True)) == ["1"]  # the older one is over the limit
    table.write([failure("2")])
    assert table.prune() == 1


def row(task_id: str, **values: Any) -> FailedTask:
    given = {"task": "shop.add", "kind": Kind.RAISED, "failed_at": timezone.now(), "message": "{}"}
    return FailedTask.objects.create(task_id=task_id, **{**given, **values})


def test_mended__the_row_and_those_that_it_retried() -> None:
    row("a", state=State.SENT, new_id="b")
    row("b", state=State.SENT, new_id="c", retry_of="a")
    row("other", state=State.SENT, new_id="d")
    Table().write([Mended(task_id="c", at=1_800_000_000.0)])
    found = {each.task_id: (each.state, each.mended_at) for each in FailedTask.objects.all()}
    assert found["other"] == ("sent", None)
    for each in "ab":
        state, at = found[each]
        assert state == "mended"
        assert at is not None
        assert at.timestamp() == 1_800_000_000.0


def test_mended__a_circle_ends() -> None:
    row("a", state=State.SENT, new_id="b")
    row("b", state=State.SENT, new_id="a")
    Table().write([Mended(task_id="a")])
    assert set(FailedTask.objects.values_list("state", flat=True)) == {"mended"}


def test_prune__the_oldest_and_what_is_over_the_limit() -> None:
    now = timezone.now()
    for number in range(10):
        row(str(number), failed_at=now - timedelta(days=10 - number))
    row("sending", state=State.SENDING, failed_at=now - timedelta(days=99))
    assert Table(limit=None, age=timedelta(days=7.5)).prune() == 3
    assert FailedTask.objects.count() == 8
    assert Table(limit=4, age=None).prune() == 4
    assert sorted(FailedTask.objects.values_list("task_id", flat=True)) == ["7", "8", "9", "sending"]
    assert Table(limit=None, age=None).prune() == 0


def test_prune__in_small_steps_and_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 3)
    for number in range(20):
        row(str(number))
    table = Table(limit=5)
    table.write([failure("new")])
    assert FailedTask.objects.count() == 5
    for number in range(5):
        table.write([failure(f"more {number}")])
    assert FailedTask.objects.count() == 10
    monkeypatch.setattr(module, "PRUNE_EVERY", 0.0)
    table.write([failure("last")])
    assert FailedTask.objects.count() == 5


@pytest.mark.parametrize("error", [OperationalError("deadlock"), RuntimeError("a signal of the project")])
def test_prune__what_goes_wrong_is_tried_another_time(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    def fail(self: Table) -> int:
        raise error

    monkeypatch.setattr(Table, "prune", fail)
    with caplog.at_level(logging.DEBUG, "tasktools.failures"):
        Table().write([failure("1")])
    assert FailedTask.objects.count() == 1
    assert [(each.levelname, each.getMessage()) for each in caplog.records if each.name == "tasktools.failures"] == [
        ("DEBUG", "Failed tasks could not be pruned; the next time is soon.")
    ]


@pytest.mark.django_db(transaction=True)
def test_connection__is_of_this_use_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file, as a site has it: the connection that the table opens is closed, and the thread has its own again."""
    before = connections["default"]
    made: list[Any] = []
    create = connections.create_connection

    def noted(alias: str) -> Any:
        made.append(create(alias))
        options = {**made[-1].settings_dict, "NAME": str(tmp_path / "db"), "OPTIONS": {"pool": True, "timeout": 5}}
        made[-1].settings_dict = options
        return made[-1]

    monkeypatch.setattr(connections, "create_connection", noted)
    with pytest.raises(Missing):
        Table().write([failure("1")])
    assert connections["default"] is before
    assert made[0].connection is None
    assert "pool" not in made[0].settings_dict["OPTIONS"]
    (tmp_path / "db").unlink()
    (tmp_path / "db").mkdir()
    with pytest.raises(Away):
        Table().write([failure("1")])


def test_is_configured__a_dummy_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert module.is_configured() is True
    monkeypatch.setitem(connection.settings_dict, "ENGINE", "django.db.backends.dummy")
    assert module.is_configured() is False
