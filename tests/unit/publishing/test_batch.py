"""What a batch says when its broker fails, and how far it then has come; the broker is a stand-in."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from celery import Celery
from kombu.exceptions import EncodeError, OperationalError
from redis.exceptions import ResponseError

from tasktools.arguments.call import Call
from tasktools.brokers.reach import HINT
from tasktools.brokers.transactions import NotBegun, SentInPart
from tasktools.exceptions import ArgumentError, InDoubt, ProjectError, TasktoolsError, Unreachable
from tasktools.publishing import batch
from tasktools.publishing.batch import Publisher, enqueue_many
from tasktools.publishing.one_by_one import Applier, Tally, require_fit


@pytest.fixture
def shop() -> Iterator[Any]:
    with Celery("shop", broker="memory://", set_as_current=False) as app:

        @app.task(name="shop.add", shared=False)
        def add(x: int, y: int = 2) -> int:
            return x + y

        yield app


@pytest.fixture
def publisher(shop: Any) -> Publisher:
    """One whose connection is there, to a broker with transactions."""
    made = Publisher(shop)
    made.broker = cast(
        "Any", SimpleNamespace(name='The broker "redis://h"', supports_transactions=True, supports_confirms=False)
    )
    made._connection = object()
    made._errors = (OperationalError, OSError)
    made._keys = cast("Any", object())
    made._maker = cast("Any", SimpleNamespace(batch=contextlib.nullcontext, one=None))
    return made


def fail(error: BaseException) -> Any:
    def call(*args: Any, **options: Any) -> Any:
        raise error

    return call


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (NotBegun("gone"), 'The broker "redis://h" broke off: gone. This batch was not sent.'),
        (ResponseError("no room"), 'The broker "redis://h" refuses: no room. This batch was not sent.'),
    ],
)
def test_transact__nothing_was_sent(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch, error: Exception, sentence: str
) -> None:
    monkeypatch.setattr(batch, "transact", fail(error))
    tally = Tally()
    with pytest.raises(Unreachable) as caught:
        publisher._transact(cast("Any", None), None, tally, 3)
    assert caught.value.sentence == sentence
    assert type(caught.value) is Unreachable
    assert tally == Tally()


@pytest.mark.parametrize(
    ("error", "sentence", "hint"),
    [
        (NotBegun("gone"), 'The broker "redis://h" broke off: gone.', "start it"),
        (
            SentInPart(["slow"], ResponseError("WRONGTYPE")),
            'The broker "redis://h" refuses: WRONGTYPE. What was for "slow" was not sent, the rest was.',
            "see what these keys of the broker hold",
        ),
    ],
)
def test_transact__of_no_run(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch, error: Exception, sentence: str, hint: str
) -> None:
    """Beat logs such an error, which spoke of a batch and of a file."""
    publisher._is_run = False
    monkeypatch.setattr(batch, "transact", fail(error))
    with pytest.raises(TasktoolsError) as caught:
        publisher._transact(cast("Any", None), None, Tally(), 3)
    assert caught.value.sentence == sentence
    assert caught.value.hint.partition(",")[0] == hint


def test_transact__the_mark_is_somebody_else_s(publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "transact", fail(ArgumentError("another process")))
    tally = Tally()
    with pytest.raises(ArgumentError):
        publisher._transact(cast("Any", None), None, tally, 3)
    assert tally == Tally()


def test_transact__in_part(publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "transact", fail(SentInPart(["celery", "sl\now"], ResponseError("WRONGTYPE"))))
    with pytest.raises(InDoubt) as caught:
        publisher._transact(cast("Any", None), None, Tally(), 3)
    assert caught.value.sentence == (
        'The broker "redis://h" refuses: WRONGTYPE. '
        'What was for "celery", "sl\\now" was not sent, the rest of this batch was.'
    )
    assert caught.value.hint == (
        "see what these keys of the broker hold, and send what was for them from a file of its own"
    )
    assert caught.value.in_part


def test_transact__broke_off(publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "transact", fail(OSError("gone")))
    tally = Tally()
    with pytest.raises(InDoubt) as caught:
        publisher._transact(cast("Any", None), None, tally, 3)
    assert (caught.value.sentence, caught.value.hint) == ('The broker "redis://h" broke off: gone.', HINT)
    assert (caught.value.calls, tally) == (3, Tally(begun=3))


def test_transact__sent(publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "transact", lambda *_: None)
    tally = Tally()
    publisher._transact(cast("Any", None), None, tally, 3)
    assert tally == Tally(sent=3, begun=3)


def test_write__a_mark_that_is_not_written(publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "transact", fail(NotBegun("gone")))
    with pytest.raises(Unreachable) as caught:
        publisher.write(cast("Any", None))
    assert caught.value.sentence == (
        'The broker "redis://h" broke off: gone. How far the run has come was not written down.'
    )


@pytest.mark.parametrize("ask", [lambda each: each.read("key", "it is kept"), lambda each: each.length("queue")])
def test_read__a_broker_that_breaks_off(publisher: Publisher, monkeypatch: pytest.MonkeyPatch, ask: Any) -> None:
    for name in ("read_mark", "queue_length"):
        monkeypatch.setattr(batch, name, fail(OSError("gone")))
    with pytest.raises(Unreachable) as caught:
        ask(publisher)
    assert (caught.value.sentence, caught.value.hint) == ('The broker "redis://h" broke off: gone.', HINT)


def test_new_ids__the_calls_own_or_random_ones() -> None:
    calls = [Call(task="shop.add", args=(), kwargs={}, options=options) for options in ({}, {"task_id": "a"})]
    random, own = Publisher.new_ids(calls)
    assert own == "a"
    assert len(random) == 36


class EachApplier:
    """Sends one by one, up to an error."""

    def __init__(self, error: Exception | None, batch: Any = None) -> None:
        self.error, self.batch = error, batch

    def each(self, calls: Any, ids: Any, tally: Tally, send: Any) -> None:
        tally.sent, tally.begun = 1, 2
        if self.error:
            raise self.error


CALL = Call(task="shop.add", args=(1,), kwargs={}, options={})


def test_send_each__broke_off(publisher: Publisher) -> None:
    publisher._applier = cast("Any", EachApplier(OSError("gone")))
    tally = Tally()
    with pytest.raises(InDoubt) as caught:
        publisher._send_each([CALL], ["a"], tally)
    assert (caught.value.sentence, caught.value.hint) == ('The broker "redis://h" broke off: gone.', HINT)
    assert (caught.value.calls, tally.sent) == (2, 0)


@pytest.mark.parametrize("error", [EncodeError("x"), ProjectError("y")])
def test_send_each__an_error_of_the_project(publisher: Publisher, error: Exception) -> None:
    publisher._applier = cast("Any", EachApplier(error))
    tally = Tally()
    with pytest.raises(type(error)):
        publisher._send_each([CALL], ["a"], tally)
    assert tally.sent == 1


@pytest.mark.parametrize(("kombus", "more"), [(None, ""), (object(), "; batched by kombu")])
def test_send_each__says_why_it_is_slow(publisher: Publisher, kombus: Any, more: str) -> None:
    publisher._applier = cast("Any", EachApplier(None, kombus))
    sent = publisher._send_each([CALL], ["a"], Tally())
    assert sent.ids == ["a"]
    assert sent.slow == {"shop.add": f"this broker takes no transaction{more}"}


def test_enqueue_many__in_batches(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(Publisher, "send", lambda self, calls: sizes.append(len(calls)) or len(calls))
    assert list(enqueue_many(shop, iter([CALL] * 5), batch_size=2)) == [2, 2, 1]
    assert sizes == [2, 2, 1]
    bad = Call(task="shop.add", args=(), kwargs={}, options={})
    with pytest.raises(TypeError, match="missing"):
        list(enqueue_many(shop, [CALL, bad]))


@pytest.mark.parametrize(
    ("args", "kwargs", "text"),
    [
        ("ab", {}, "the arguments of a call are a tuple and a mapping"),
        ((1,), [("y", 2)], "the arguments of a call are a tuple and a mapping"),
        ((1,), {"z": 2}, "unexpected keyword argument 'z'"),
    ],
)
def test_require_fit__what_apply_async_refuses(shop: Any, args: Any, kwargs: Any, text: str) -> None:
    with pytest.raises(TypeError, match=text):
        require_fit(shop.tasks["shop.add"], Call(task="shop.add", args=args, kwargs=kwargs, options={}))


def test_require_fit__what_it_takes(shop: Any) -> None:
    require_fit(shop.tasks["shop.add"], Call(task="shop.add", args=[1], kwargs={"y": 2}, options={}))
    require_fit(None, Call(task="elsewhere", args=(1, 2, 3), kwargs={}, options={}))
    shop.tasks["shop.add"].typing = False
    require_fit(shop.tasks["shop.add"], Call(task="shop.add", args=(), kwargs={}, options={}))


class Producer:
    """Publishes up to an error; with `buffers` it has kombu's batch."""

    def __init__(self, error: BaseException | None = None, after: int = 99, *, buffers: bool = False) -> None:
        self.error, self.after, self.flushed, self.published = error, after, 0, 0
        self.sizes: list[int] = []
        self.supports_batch_publish = buffers

    def publish(self, *args: Any, **options: Any) -> None:
        if self.published == self.after and self.error:
            raise self.error
        self.published += 1

    def batch(self, max_size: int) -> Any:
        self.sizes.append(max_size)
        return self

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None: ...

    def flush(self) -> None:
        self.flushed += 1


class Task:
    """A task whose apply_async publishes, and fails before or after it."""

    def __init__(self, *, before: int = 99, after: int = 99, declines: bool = False) -> None:
        self.before, self.after, self.declines, self.count = before, after, declines, 0
        self.options: list[Any] = []

    def apply_async(self, args: Any, kwargs: Any, *, producer: Any, **options: Any) -> Any:
        number = self.count
        self.count += 1
        self.options.append((args, kwargs, options))
        if number == self.before:
            raise ValueError("before")
        producer.publish()
        if number == self.after:
            raise ValueError("after")
        return None if self.declines else SimpleNamespace(id=options["task_id"])


def applier(task: Any, producer: Producer) -> Applier:
    app: Any = SimpleNamespace(tasks={"shop.add": task})
    return Applier(app, producer, (OSError,), Counter())


def each(made: Applier, calls: list[Call], ids: list[str], tally: Tally) -> None:
    made.each(calls, ids, tally, made.apply)


@pytest.mark.parametrize("buffers", [False, True])
def test_each__all_are_sent(buffers: bool) -> None:
    task, producer, tally = Task(), Producer(buffers=buffers), Tally()
    each(applier(task, producer), [CALL] * 3, ["a", "b", "c"], tally)
    assert tally == Tally(sent=3, begun=3)
    assert producer.sizes == [3] * buffers
    assert [options for _, _, options in task.options] == [{"retry": False, "task_id": each} for each in "abc"]


@pytest.mark.parametrize("buffers", [False, True])
def test_each__the_project_s_code_fails_before_it_is_sent(buffers: bool) -> None:
    task, producer, tally = Task(before=1), Producer(buffers=buffers), Tally()
    with pytest.raises(ProjectError) as caught:
        each(applier(task, producer), [CALL] * 3, ["a", "b", "c"], tally)
    assert caught.value.sentence == "shop.add could not be sent: ValueError: before."
    assert tally == Tally(sent=1, begun=1, failed=1)
    assert producer.flushed == buffers


def test_each__the_project_s_code_fails_after_it_was_sent() -> None:
    task, producer, tally = Task(after=1), Producer(), Tally()
    with pytest.raises(TasktoolsError) as caught:
        each(applier(task, producer), [CALL] * 3, ["a", "b", "c"], tally)
    assert caught.value.sentence == "shop.add was sent, and code of the project failed then: ValueError: after."
    assert tally == Tally(sent=2, begun=2, failed=1)


def test_each__interrupted() -> None:
    task, producer, tally = Task(), Producer(KeyboardInterrupt(), after=1), Tally()
    with pytest.raises(KeyboardInterrupt):
        each(applier(task, producer), [CALL] * 3, ["a", "b", "c"], tally)
    assert tally == Tally(sent=1, begun=2)


def test_apply__one_that_its_task_declines() -> None:
    made = applier(Task(declines=True), Producer())
    made.apply(CALL, "a")
    assert made.declined == {"shop.add": 1}


def test_apply__a_task_of_which_only_the_name_is_known() -> None:
    sent: list[Any] = []
    made = applier(Task(), Producer())
    made.app.send_task = lambda *words, **options: sent.append((words, options))
    made.apply(Call(task="elsewhere", args=(1,), kwargs={"y": 2}, options={"queue": "q"}), "a")
    [(args, options)] = sent
    assert args == ("elsewhere", (1,), {"y": 2})
    assert options == {"queue": "q", "retry": False, "task_id": "a", "producer": made.producer}
