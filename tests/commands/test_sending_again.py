"""Failed tasks are sent again, each once."""

from __future__ import annotations

import base64
import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tasktools.brokers.once import Contended, Once, send_once
from tasktools.brokers.recording import Command
from tasktools.exceptions import TasktoolsError, Unreachable
from tasktools.failures import claims, forget, retry
from tasktools.failures.message import Kept
from tasktools.failures.remade import remade
from tasktools.failures.retried import Retried, before
from tasktools.failures.retry import Retrier, again
from tasktools.failures.sending import Sender
from tasktools.failures.sent import KEPT, MARK
from tasktools.models import FailedTask, State
from tests.failed import fail, keys_of, message_of, waiting

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("server_that_ends_with_the_suite"),
]


@pytest.fixture
def failed(app: Any, queue: str) -> Iterator[Any]:
    """Make rows of calls to the queue of the test."""

    def make(*args: Any, **options: Any) -> FailedTask:
        return fail(message_of(app, queue, "tests.site.tasks.total", *args, **options), queue=queue)

    yield make
    with keys_of(app) as keys:
        keys.client.delete(*keys.lists(queue))


def without(message: dict[str, Any], *names: str) -> dict[str, Any]:
    """Return a message without the ids and what each delivery has of its own."""
    headers = {name: each for name, each in message["headers"].items() if name not in ("id", "root_id", *names)}
    own = ("correlation_id", "delivery_tag")
    properties = {name: each for name, each in message["properties"].items() if name not in own}
    return {**message, "headers": headers, "properties": properties}


def test_again__asks_the_database_as_often_for_many_rows(app: Any, failed: Any, django_assert_num_queries: Any) -> None:
    """What a message needs of its row is read with the claim."""
    first, others = failed(1), [failed(each).pk for each in range(5)]
    with CaptureQueriesContext(connection) as of_one:
        again(app, [first.pk], "someone")
    with django_assert_num_queries(len(of_one)):
        assert len(again(app, others, "someone").sent) == 5


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_again__the_message_is_as_it_came(
    app: Any, queue: str, failed: Any, compression: str | None, clock: Any
) -> None:
    options = {"kwargs": {"é": "\x00"}, "priority": 3, "headers": {"mine": [1]}, "compression": compression}
    app.send_task("tests.site.tasks.total", (1, 2), queue=queue, **options)
    (first,) = waiting(app, queue)
    with keys_of(app) as keys:
        keys.client.delete(*keys.lists(queue))
    row = failed(1, 2, **options)
    row.task_id = row.task_id
    done = again(app, [row.pk], "someone")
    (second,) = waiting(app, queue)
    (pk, old, new) = done.sent[0]
    assert (pk, old, done.refused) == (row.pk, row.task_id, [])
    assert second["headers"]["id"] == second["headers"]["root_id"] == second["properties"]["correlation_id"] == new
    assert (second["headers"]["tasktools_retry_of"], second["headers"]["tasktools_failures"]) == (old, 1)
    assert second["body"] == first["body"]
    added = ("tasktools_retry_of", "tasktools_failures")
    assert without(second, *added) == without(first)
    assert (compression is None) == base64.b64decode(second["body"]).startswith(b"[")


def test_again__marks_the_row(app: Any, failed: Any) -> None:
    row = failed()
    ((_, _, new),) = again(app, [row.pk], "someone").sent
    row.refresh_from_db()
    assert (row.state, row.new_id, row.sent_by) == (State.SENT, new, "someone")
    assert timezone.now() - row.sent_again_at < timedelta(minutes=1)


def test_again__counts_the_failures(app: Any, queue: str, failed: Any) -> None:
    row = failed()
    FailedTask.objects.filter(pk=row.pk).update(failures=4)
    again(app, [row.pk], "someone")
    assert waiting(app, queue)[0]["headers"]["tasktools_failures"] == 5


def test_again__twice_is_once(app: Any, queue: str, failed: Any) -> None:
    row = failed()
    ((_, _, new),) = again(app, [row.pk], "ann").sent
    done = again(app, [row.pk, row.pk + 1], "bob")
    assert done.sent == []
    assert done.refused == [
        (row.pk, f"it was sent again by ann as {new}"),
        (row.pk + 1, "it is no longer in the table"),
    ]
    assert len(waiting(app, queue)) == 1


def test_again__more_rows_than_a_batch(app: Any, queue: str, failed: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(retry, "BATCH_SIZE", 2)
    made = [failed(number) for number in range(5)]
    assert len(again(app, [each.pk for each in made], "me").sent) == 5
    assert [each["headers"]["tasktools_retry_of"] for each in waiting(app, queue)] == [each.task_id for each in made]


def test_again__without_a_body_it_is_refused_and_stays_failed(app: Any, failed: Any) -> None:
    bare, good = failed(), failed()
    FailedTask.objects.filter(pk=bare.pk).update(body=None)
    done = again(app, [bare.pk, good.pk], "me")
    assert [pk for pk, _, _ in done.sent] == [good.pk]
    assert [(pk, why.startswith("its body was not kept")) for pk, why in done.refused] == [(bare.pk, True)]
    bare.refresh_from_db()
    assert (bare.state, bare.new_id, bare.sent_by, bare.sent_again_at) == (State.FAILED, "", "", None)


def test_again__in_a_transaction_waits_for_its_end(app: Any, queue: str, failed: Any) -> None:
    row = failed()
    with transaction.atomic():
        done = again(app, [row.pk], "me")
        assert (len(done.sent), done.is_deferred) == (1, True)
        assert waiting(app, queue) == []
    assert len(waiting(app, queue)) == 1
    row.refresh_from_db()
    assert row.state == State.SENT


def test_again__a_transaction_that_is_rolled_back_sends_nothing(app: Any, queue: str, failed: Any) -> None:
    row = failed()
    with transaction.atomic():
        again(app, [row.pk], "me")
        transaction.set_rollback(True)
    row.refresh_from_db()
    assert (row.state, waiting(app, queue)) == (State.FAILED, [])


def test_again__a_broker_that_is_away_claims_nothing(app: Any, failed: Any, elsewhere: Any) -> None:
    import sys

    from tests.support import refusing_port

    name = elsewhere(broker_url=f"redis://127.0.0.1:{refusing_port()}/0").partition(":")[0]
    row = failed()
    with pytest.raises(Unreachable):
        again(sys.modules[name].app, [row.pk], "me")
    row.refresh_from_db()
    assert row.state == State.FAILED


class Killed(BaseException):
    """A signal that ends the process."""


@pytest.mark.parametrize("is_sent", [False, True])
def test_finish__what_another_process_has_left(
    app: Any, queue: str, failed: Any, monkeypatch: pytest.MonkeyPatch, is_sent: bool
) -> None:
    """It was killed before or after its transaction: in both cases, the message is sent once."""
    row = failed()
    send = Sender._send_once

    def killed(self: Any, *args: Any) -> None:
        if is_sent:
            send(self, *args)
        raise Killed

    monkeypatch.setattr(Sender, "_send_once", killed)
    with pytest.raises(Killed):
        again(app, [row.pk], "dead")
    monkeypatch.undo()
    row.refresh_from_db()
    assert (row.state, len(waiting(app, queue))) == (State.SENDING, int(is_sent))
    with Sender(app) as sender:
        heir = Retrier(sender, "heir")
        assert heir.finish([row.pk]).sent == []  # it may still be alive
        monkeypatch.setattr(retry, "LEASE", 0)
        assert heir.finish([row.pk]).sent == [(row.pk, row.task_id, row.new_id)]
        assert heir.finish([row.pk]).sent == []
    assert [each["headers"]["id"] for each in waiting(app, queue)] == [row.new_id]
    row.refresh_from_db()
    assert (row.state, row.sent_by) == (State.SENT, "heir")


def test_again__finishes_what_another_process_has_left(app: Any, queue: str, failed: Any) -> None:
    row, young = failed(), failed()
    long_ago = timezone.now() - timedelta(seconds=retry.LEASE + 1)
    FailedTask.objects.filter(pk=row.pk).update(
        state=State.SENDING, new_id=queue, sent_by="dead", sent_again_at=long_ago
    )
    FailedTask.objects.filter(pk=young.pk).update(
        state=State.SENDING, new_id="other", sent_by="ann", sent_again_at=timezone.now()
    )
    done = again(app, [row.pk, young.pk], "me")
    assert done.sent == [(row.pk, row.task_id, queue)]
    assert done.refused == [(young.pk, "it is being sent by ann")]
    assert [each["headers"]["id"] for each in waiting(app, queue)] == [queue]


def test_send__who_comes_too_late_sends_nothing_and_gives_back(
    app: Any, queue: str, failed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that was stopped for long: certainly nothing was sent, so nothing is in doubt."""
    row = failed()
    monkeypatch.setattr(retry, "LATEST", -1)
    with pytest.raises(TasktoolsError, match=r"A batch was not sent: more than .* s had passed"):
        again(app, [row.pk], "me")
    row.refresh_from_db()
    assert (row.state, row.new_id, waiting(app, queue)) == (State.FAILED, "", [])


def test_finish__who_comes_too_late_leaves_it_in_doubt(
    app: Any, queue: str, failed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first process may have sent it."""
    row = failed()
    left(row, queue, timedelta(minutes=1))
    monkeypatch.setattr(retry, "LATEST", -1)
    done = again(app, [row.pk], "me")
    assert (done.sent, [pk for pk, _ in done.doubtful]) == ([], [row.pk])
    row.refresh_from_db()
    assert (row.state, row.new_id, waiting(app, queue)) == (State.SENDING, queue, [])


def left(row: FailedTask, new_id: str, age: timedelta) -> None:
    """Make it a row that a process has claimed so long ago, and left."""
    claimed = {"state": State.SENDING, "new_id": new_id, "sent_by": "dead", "sent_again_at": timezone.now() - age}
    FailedTask.objects.filter(pk=row.pk).update(**claimed)


def test_finish__what_the_broker_may_have_forgotten_needs_a_word(app: Any, queue: str, failed: Any) -> None:
    """Its key has ended: that it is not there says nothing."""
    row = failed()
    left(row, queue, timedelta(seconds=KEPT - 600))
    done = again(app, [row.pk], "me")
    assert [(pk, "no longer knows" in why) for pk, why in done.doubtful] == [(row.pk, True)]
    assert waiting(app, queue) == []
    with Sender(app) as sender:
        assert len(Retrier(sender, "me").finish([row.pk], again=True).sent) == 1
    assert [each["headers"]["id"] for each in waiting(app, queue)] == [queue]


@pytest.mark.parametrize("is_killed", [False, True])
def test_finish__the_key_stays_as_long_as_the_row_looks_young(
    app: Any, queue: str, failed: Any, monkeypatch: pytest.MonkeyPatch, is_killed: bool
) -> None:
    """Who takes a row over writes a new time: the key must live from then on, also if that process is killed at once."""
    row = failed()
    left(row, queue, timedelta(days=6))
    with keys_of(app) as keys:
        mark = keys.full(MARK.format(queue))
        keys.client.set(mark, "", ex=86400)
        monkeypatch.setattr(claims, "mark", lambda sent: None)  # nor does it come to this
        monkeypatch.setattr(Sender, "forget", lambda self, new_ids: None)

        def killed(*args: Any) -> None:
            raise Killed

        if is_killed:
            monkeypatch.setattr(Sender, "send", killed)
            with pytest.raises(Killed):
                again(app, [row.pk], "heir")
        else:
            assert len(again(app, [row.pk], "heir").sent) == 1
        row.refresh_from_db()
        assert row.sent_by == "heir"
        assert keys.client.ttl(mark) > KEPT - 60
        keys.client.delete(mark)
    assert waiting(app, queue) == []


def test_again__of_a_batch_with_a_message_that_breaks_the_preparing(
    app: Any, queue: str, failed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [failed(number) for number in range(3)]
    prepare = Sender._prepared

    def breaking(self: Any, message: Any) -> Any:
        if message.headers["tasktools_retry_of"] == rows[1].task_id:
            raise RecursionError("too deep")
        return prepare(self, message)

    monkeypatch.setattr(Sender, "_prepared", breaking)
    done = again(app, [each.pk for each in rows], "me")
    assert [pk for pk, _, _ in done.sent] == [rows[0].pk, rows[2].pk]
    assert done.refused == [(rows[1].pk, "its message cannot be prepared: RecursionError: too deep")]
    rows[1].refresh_from_db()
    assert (rows[1].state, len(waiting(app, queue))) == (State.FAILED, 2)


def test_again__of_a_message_that_cannot_be_remade(app: Any, failed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [failed(), failed()]

    def breaking(kept: Any, *, old_id: str, **more: Any) -> Any:
        if old_id == rows[0].task_id:
            raise RuntimeError("a serializer of its own")
        return remade(kept, old_id=old_id, **more)

    monkeypatch.setattr("tasktools.failures.retry.remade", breaking)
    done = again(app, [each.pk for each in rows], "me")
    assert ([pk for pk, _, _ in done.sent], [pk for pk, _ in done.refused]) == ([rows[1].pk], [rows[0].pk])
    rows[0].refresh_from_db()
    assert rows[0].state == State.FAILED


def test_again__an_error_before_anything_is_sent_gives_all_back(
    app: Any, failed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = failed()

    def broken(*args: Any) -> None:
        raise LookupError("nobody foresaw it")

    monkeypatch.setattr(Sender, "_placed", broken)
    with pytest.raises(LookupError):
        again(app, [row.pk], "me")
    row.refresh_from_db()
    assert (row.state, row.new_id) == (State.FAILED, "")


def test_again__an_error_says_what_was_sent_before(
    app: Any, queue: str, failed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "BATCH_SIZE", 1)
    rows = [failed(), failed()]
    send, calls = Sender.send, []

    def breaking(self: Any, *args: Any) -> Any:
        calls.append(args)
        if len(calls) == 2:
            raise Unreachable("The broker is gone.")
        return send(self, *args)

    monkeypatch.setattr(Sender, "send", breaking)
    with pytest.raises(Unreachable) as caught:
        again(app, [each.pk for each in rows], "me")
    assert [pk for pk, _, _ in before(caught.value).sent] == [rows[0].pk]
    assert len(waiting(app, queue)) == 1


def test_again__a_table_that_cannot_be_marked_takes_nothing_from_the_report(
    app: Any, queue: str, failed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = failed()

    def away(sent: Any) -> None:
        raise Unreachable("The database is gone.")

    monkeypatch.setattr(claims, "mark", away)
    with pytest.raises(Unreachable) as caught:
        again(app, [row.pk], "me")
    assert [pk for pk, _, _ in before(caught.value).sent] == [row.pk]
    assert len(waiting(app, queue)) == 1


def test_again__a_long_transaction_is_not_too_late(
    app: Any, queue: str, failed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time counts from its end."""
    row = failed()
    with transaction.atomic():
        again(app, [row.pk], "me")
        row.refresh_from_db()
        late = time.time() + 10 * retry.LATEST
        monkeypatch.setattr("tasktools.failures.retry.time", SimpleNamespace(time=lambda: late))
    assert len(waiting(app, queue)) == 1
    claimed_at = row.sent_again_at
    row.refresh_from_db()
    assert row.sent_again_at > claimed_at  # until now, nobody else could see the claim


def test_again__after_a_transaction_the_log_says_what_was_not_sent(
    app: Any, queue: str, failed: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    row, other, third = failed(), failed(), failed()
    with transaction.atomic():
        again(app, [row.pk, other.pk], "me")
        again(app, [third.pk], "me")
        FailedTask.objects.filter(pk=other.pk).update(sent_again_at=timezone.now() + timedelta(seconds=1), sent_by="b")
        monkeypatch.setattr(Sender, "_prepared", lambda self, message: 1 / 0)
        monkeypatch.setattr(logging.getLogger("tasktools"), "propagate", True)
    assert f"Failed task #{row.pk} was claimed to be sent again, and was not" in caplog.text
    assert "its message cannot be prepared: ZeroDivisionError" in caplog.text
    assert f"Failed task #{other.pk} was claimed to be sent again, and was not" in caplog.text
    assert "another process has taken it over" in caplog.text
    row.refresh_from_db()
    assert (row.state, waiting(app, queue)) == (State.FAILED, [])


def test_again__after_a_transaction_all_batches_go_over_one_connection(
    app: Any, queue: str, failed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "BATCH_SIZE", 1)
    rows = [failed() for _ in range(3)]
    opened: list[Any] = []
    connect = Sender._connect
    with transaction.atomic():
        done = again(app, [each.pk for each in rows], "me")
        monkeypatch.setattr(Sender, "_connect", lambda self, *given: opened.append(self) or connect(self, *given))
    assert {each["headers"]["id"] for each in waiting(app, queue)} == {new for _, _, new in done.sent}
    assert (len(opened), len(done.sent)) == (1, 3)


def test_again__in_a_transaction_keeps_no_messages(app: Any, failed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """They may be many, and the transaction may last long."""
    kept: list[Any] = []
    monkeypatch.setattr(retry, "send_claimed", lambda retrier, claimed, size: kept.append(claimed) or Retried())
    row = failed()
    with transaction.atomic():
        ((_, _, new),) = again(app, [row.pk], "me").sent
    row.refresh_from_db()
    assert kept == [{row.pk: claims.Claimed(pk=row.pk, new_id=new, sent_again_at=row.sent_again_at)}]


def test_again__after_a_transaction_what_follows_an_error_is_given_back(
    app: Any, queue: str, failed: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(retry, "BATCH_SIZE", 1)
    rows = [failed() for _ in range(3)]
    tried: list[Any] = []

    def gone(self: Any, *_: Any) -> Any:
        tried.append(self)
        raise Unreachable("The broker is gone.")

    with transaction.atomic():
        again(app, [each.pk for each in rows], "me")
        monkeypatch.setattr(Sender, "_connect", gone)
        monkeypatch.setattr(logging.getLogger("tasktools"), "propagate", True)
    assert (len(tried), set(FailedTask.objects.values_list("state", "new_id"))) == (1, {(State.FAILED, "")})
    assert "some were not sent: The broker is gone." in caplog.text


def test_mark__ends_soon_after_the_table_knows(app: Any, failed: Any) -> None:
    row = failed()
    ((_, _, new),) = again(app, [row.pk], "me").sent
    with keys_of(app) as keys:
        assert 3000 < keys.client.ttl(keys.full(MARK.format(new))) <= 3600


def test_send__a_queue_that_is_no_list_is_refused_and_can_be_sent_later(app: Any, queue: str, failed: Any) -> None:
    row = failed()
    with keys_of(app) as keys:
        keys.client.set(keys.full(queue), "mine")
        done = again(app, [row.pk], "me")
        assert [(pk, "WRONGTYPE" in why) for pk, why in done.refused] == [(row.pk, True)]
        row.refresh_from_db()
        assert row.state == State.FAILED
        keys.client.delete(keys.full(queue))
        assert len(again(app, [row.pk], "me").sent) == 1
    assert len(waiting(app, queue)) == 1


def test_forget__leaves_what_is_being_sent(app: Any, failed: Any) -> None:
    gone, kept = failed(), failed()
    FailedTask.objects.filter(pk=kept.pk).update(state=State.SENDING)
    assert list(forget.steps([gone.pk, kept.pk, kept.pk + 1])) == [1]
    assert list(FailedTask.objects.values_list("pk", flat=True)) == [kept.pk]


def test_batches__have_a_limit_of_rows_and_of_bytes(failed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [failed() for _ in range(6)]
    monkeypatch.setattr(claims, "MOST_BYTES", 40_000)
    small, big, gone = rows[0].pk, rows[1].pk, rows[-1].pk + 100
    FailedTask.objects.filter(pk=big).update(body=b"x" * 50_000)
    FailedTask.objects.filter(pk=rows[2].pk).update(body=b"x" * 14_000)
    FailedTask.objects.filter(pk=rows[3].pk).update(message="x" * 14_000, body=None)
    ids = [row.pk for row in rows] + [gone]
    assert list(claims.batches(ids, 2)) == [[small], [big], ids[2:4], ids[4:6], [gone]]
    assert list(claims.batches(ids, 500)) == [[small], [big], ids[2:]]
    monkeypatch.setattr(claims, "MOST", 3)
    assert list(claims.batches(ids[4:] * 2, 500)) == [ids[4:], ids[4:]]
    assert list(claims.batches([], 2)) == []


def test_claim__reads_no_text_that_no_message_needs(failed: Any) -> None:
    (row,) = claims.claim([failed().pk], "me")
    assert row.get_deferred_fields() >= {"reason", "traceback", "arguments"}


def test_again__sends_big_messages_in_several_batches(
    app: Any, queue: str, failed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [failed() for _ in range(3)]
    monkeypatch.setattr(claims, "MOST_BYTES", 1)
    batches: list[int] = []
    send = Sender.send
    monkeypatch.setattr(Sender, "send", lambda self, some, *more: batches.append(len(some)) or send(self, some, *more))
    assert len(again(app, [row.pk for row in rows], "me").sent) == 3
    assert batches == [1, 1, 1]


def test_release__leaves_what_another_process_has_taken_over(failed: Any) -> None:
    row = failed()
    (claimed,) = claims.claim([row.pk], "slow")
    (taken_over,) = claims.take_over([row.pk], "heir", timedelta(0))
    assert taken_over.new_id == claimed.new_id
    claims.release([claimed])
    row.refresh_from_db()
    assert (row.state, row.sent_by) == (State.SENDING, "heir")
    claims.release([taken_over])
    row.refresh_from_db()
    assert (row.state, row.new_id) == (State.FAILED, "")


def test_claim__by_two_is_one(failed: Any) -> None:
    row = failed()
    assert len(claims.claim([row.pk], "ann")) == 1
    assert claims.claim([row.pk], "bob") == []
    assert claims.take_over([row.pk], "bob", timedelta(minutes=1)) == []


def test_mark__leaves_what_a_worker_has_mended_meanwhile(failed: Any) -> None:
    row = failed()
    (claimed,) = claims.claim([row.pk], "me")
    FailedTask.objects.filter(pk=row.pk).update(state=State.MENDED)
    claims.mark([claimed])
    row.refresh_from_db()
    assert row.state == State.MENDED


def test_release__restores_what_was_edited(failed: Any) -> None:
    row = failed(1)
    before = Kept.read(row.message, row.body)
    edited = claims.Edited(before=before, after=replace(before, headers={"id": "x"}, body=b"[[2], {}, {}]"))
    (claimed,) = claims.claim([row.pk], "me", edited)
    row.refresh_from_db()
    assert Kept.read(row.message, row.body) == edited.after
    claims.release([claimed], edited)
    row.refresh_from_db()
    assert Kept.read(row.message, row.body) == before


def test_send_once__fails_if_others_write_the_key_all_the_time(app: Any, queue: str, monkeypatch: Any) -> None:
    """Between the look and the transaction another process writes the key: the next look finds it."""
    with keys_of(app) as keys:
        mark = MARK.format(queue)
        message = Once(mark=mark, commands=[Command("lpush", keys.full(queue), {}, "text")])
        others = [lambda: keys.client.set(keys.full(mark), "", ex=60)]
        done = send_once(keys, [message], keep=60, is_late=lambda: bool(others and others.pop()()) and False)
        assert (done.sent, done.before) == ([], [0])
        assert keys.client.llen(keys.full(queue)) == 0
        keys.client.delete(keys.full(mark))

        def meddle() -> bool:
            keys.client.set(keys.full(mark), "", ex=60)
            keys.client.delete(keys.full(mark))
            return False

        with pytest.raises(Contended):
            send_once(keys, [message], keep=60, is_late=meddle)
        assert keys.client.llen(keys.full(queue)) == 0
