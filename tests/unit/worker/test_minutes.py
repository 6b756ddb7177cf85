"""How a worker counts the ends of its tasks for all, and writes the numbers."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from billiard.exceptions import WorkerLostError
from celery import Celery
from celery.exceptions import Retry
from redis.client import Pipeline

from tasktools.health.minutes import Minutes, hashes_of, keys_of, minutes_of
from tasktools.worker import minutes as module
from tasktools.worker.minutes import Writer, counted, install
from tests.support import refusing_port


def ends_of(**calls: Any) -> dict[str, int]:
    """Return what is counted of a task whose callbacks are called with these arguments, in this order."""
    made = Minutes()
    before: list[str] = []
    names = ("accept_callback", "callback", "error_callback", "timeout_callback")
    options = counted({name: lambda *_, _name=name, **__: before.append(_name) for name in names}, made)
    for name, args in calls.items():
        options[name](*args)
    assert before == [*calls]  # Celery's own are called, too
    return {what: count for (_, what), count in made.take().items() if what in ("succeeded", "failed", "retried")}


def info(error: BaseException) -> Any:
    return SimpleNamespace(exception=error)


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ({"accept_callback": (1, 2.0), "callback": ((0, "value", 0.5),)}, {"succeeded": 1}),
        ({"callback": ((1, info(ValueError()), 0.5),)}, {"failed": 1}),
        ({"callback": ((1, info(Retry()), 0.5),)}, {"retried": 1}),
        ({"error_callback": (info(WorkerLostError()),)}, {"failed": 1}),
        ({"timeout_callback": (True, 3)}, {}),
        ({"timeout_callback": (False, 3), "error_callback": (info(WorkerLostError()),)}, {"failed": 1}),
        ({"callback": (None,)}, {}),  # nothing that goes wrong here reaches the worker
    ],
)
def test_end__is_counted_once(calls: dict[str, Any], expected: dict[str, int]) -> None:
    assert ends_of(**calls) == expected


def test_writer__adds_to_what_others_have_written(app: Any) -> None:
    now = time.time()
    writer = Writer(app, Minutes(now=lambda: now))
    before = seen(app, now)
    for _ in range(3):
        writer.minutes.ended("succeeded", 0.2)
    writer.write()
    writer.minutes.ended("succeeded", 0.2)
    writer.write()
    assert seen(app, now) == before + 4
    assert not writer.minutes.take()
    with app.connection_for_read() as connection:
        assert 3600 < connection.default_channel.client.ttl(f"{hashes_of(app)}{int(now // 3600)}") <= module.KEPT


def test_writer__keeps_what_it_cannot_write() -> None:
    away = Celery("away", broker=f"redis://127.0.0.1:{refusing_port()}/0", set_as_current=False)
    writer = Writer(away, Minutes())
    writer.minutes.ended("succeeded", 0.2)
    writer.write()
    assert sum(writer.minutes.take().values()) == 202  # one task, one range, and its milliseconds


def test_writer__drops_what_may_have_been_added(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    writer, execute = Writer(app, Minutes(now=lambda: now)), Pipeline.execute

    def lose(self: Any, *args: Any, **options: Any) -> Any:
        execute(self, *args, **options)
        raise redis.exceptions.TimeoutError("Timeout reading from socket")

    before = seen(app, now)
    writer.minutes.ended("succeeded", 0.2)
    with monkeypatch.context() as patch:
        patch.setattr(Pipeline, "execute", lose)
        writer.write()
    writer.write()
    assert seen(app, now) == before + 1


def test_writer__of_a_refused_number_waits_and_warns_once(
    app: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now, clock = time.time(), [0.0]
    writer, execute = Writer(app, Minutes(now=lambda: now), clock=lambda: clock[0]), Pipeline.execute
    asked: list[Any] = []

    def refuse(self: Any, *args: Any, **options: Any) -> Any:
        asked.append(self)
        self.command_stack = self.command_stack[1:]  # the first is refused, and all others are done, EXPIRE too
        return [redis.exceptions.OutOfMemoryError("OOM command not allowed"), *execute(self, *args, **options)]

    writer.minutes.ended("succeeded", 0.2)
    monkeypatch.setattr(Pipeline, "execute", refuse)
    writer.write()
    writer.write()
    assert len(asked) == 1
    clock[0] += module.REFUSED
    writer.write()
    assert len(asked) == 2
    assert [each.levelname for each in caplog.records] == ["WARNING"]
    assert "OOM" in caplog.text
    assert "TASKTOOLS_HOUR" in caplog.text
    assert len(writer.minutes.take()) == 1  # what the broker has done is not added again


def test_writer__of_another_app_has_its_own_numbers(app: Any) -> None:
    now = time.time()
    other = Celery("other-site", broker=app.conf.broker_url, set_as_current=False)
    other.conf.broker_transport_options = app.conf.broker_transport_options
    before, writer = seen(app, now), Writer(other, Minutes(now=lambda: now))
    writer.minutes.ended("succeeded", 0.2)
    writer.write()
    assert (seen(app, now), seen(other, now)) == (before, 1)


def test_writer__writes_the_rest_at_the_end(app: Any) -> None:
    now = time.time()
    before, writer = seen(app, now), Writer(app, Minutes())
    writer.start()
    writer.minutes.ended("succeeded", 0.2)
    writer.finish()
    assert seen(app, time.time()) >= before + 1


def test_step__counts_on_redis_only(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(Writer, "count", lambda self, pool: asked.append(pool))
    for url, expected in (("memory://", []), ("redis://h", ["the pool"])):
        made = Celery("made", broker=url, set_as_current=False)
        install(made)
        (step,) = made.steps["consumer"]
        step(SimpleNamespace(app=made, pool="the pool"))
        assert asked == expected


def test_pool__is_wrapped_once(app: Any) -> None:
    pool: Any = SimpleNamespace(apply_async=lambda target, **options: options)
    writer = Writer(app, Minutes())
    writer.count(pool)
    wrapped = pool.apply_async
    writer.count(pool)
    assert pool.apply_async is wrapped
    assert wrapped("target", timeout=3) == {"timeout": 3}  # of no task


def test_worker__counts_what_it_runs(app: Any, worker: Any) -> None:
    from tests.support import wait_for

    before = seen(app, time.time())
    app.tasks["tests.site.tasks.total"].delay(1).get(timeout=60)
    assert wait_for(lambda: seen(app, time.time()) > before)


def seen(app: Any, now: float) -> int:
    """Return how many tasks have succeeded in the last hour, as the page reads it."""
    with app.connection_for_read() as connection:
        client = connection.default_channel.client
        found = minutes_of([client.hgetall(key) for key in keys_of(now, hashes_of(app))], now)
    return sum(each.counts["succeeded"] for each in found)
