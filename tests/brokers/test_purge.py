"""The steps of a purge on Redis, while others push and pop."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from tasktools.brokers import broker_of
from tasktools.queues import purge_redis, purge_script
from tasktools.queues.purge import purger_of
from tasktools.queues.purge_redis import RedisPurger

pytestmark = pytest.mark.usefixtures("server_that_ends_with_the_suite")

QUEUE = "purge-steps"
DROP = "shop.drop"


@pytest.fixture
def purger(app: Any) -> Iterator[RedisPurger]:
    broker = broker_of(app)
    broker.prepare()
    with broker.publishing_connection(5) as connection:
        made = purger_of(connection)
        assert isinstance(made, RedisPurger)
        made.client.delete(*made.keys.lists(QUEUE))
        yield made
        made.client.delete(*made.keys.lists(QUEUE))


def message(n: int, size: int = 0) -> bytes:
    task = DROP if n % 3 else "shop.keep"
    return json.dumps({"headers": {"id": n, "task": task}, "body": "x" * size, "properties": {}}).encode()


def number(raw: bytes) -> int:
    return int(json.loads(raw)["headers"]["id"])


def waiting(purger: RedisPurger) -> list[int]:
    """Return what waits, the oldest first."""
    return [number(raw) for raw in reversed(purger.client.lrange(QUEUE, 0, -1))]


def fill(purger: RedisPurger, count: int, size: int = 0) -> None:
    for start in range(0, count, 1000):
        purger.client.lpush(QUEUE, *(message(n, size) for n in range(start, min(count, start + 1000))))


def always_changed(self: Any, key: str, *_: Any) -> None:
    """Have the transaction fail as on a list that others change all the time."""


@pytest.mark.parametrize("is_busy", [False, True])
@pytest.mark.parametrize("runs_scripts", [False, True])
def test_remove__keeps_the_order_of_the_rest(
    purger: RedisPurger, monkeypatch: pytest.MonkeyPatch, runs_scripts: bool, is_busy: bool
) -> None:
    """Without scripts, on a list that others change all the time, each message is removed for itself."""
    purger.runs_scripts = runs_scripts
    if is_busy:
        monkeypatch.setattr(RedisPurger, "_marked", always_changed)
    fill(purger, 2000)
    assert sum(purger.remove(QUEUE, DROP)) == 1333
    assert waiting(purger) == list(range(0, 2000, 3))


def test_remove__one_that_is_popped_in_the_middle_is_not_counted(
    purger: RedisPurger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pop_first(self: Any, key: str, *_: Any) -> None:
        if waiting(purger)[0] == 0:
            assert [number(purger.client.rpop(QUEUE)) for _ in range(2)] == [0, 1]

    fill(purger, 6)
    purger.runs_scripts = False
    monkeypatch.setattr(RedisPurger, "_marked", pop_first)
    assert sum(purger.remove(QUEUE, DROP)) == 3
    assert waiting(purger) == [3]


def meddled_with(purger: RedisPurger, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Have another client push a message to the queue, and pop one, before each command of the purge; list these."""
    sent: list[str] = []
    other = redis.Redis(connection_pool=purger.client.connection_pool)
    call, run = redis.Redis.execute_command, redis.client.Pipeline.execute

    def change(name: str) -> None:
        sent.append(name)
        with other.client() as single:
            call(single, "LPUSH", QUEUE, message(3 * (100_000 + len(sent))))
            call(single, "RPOP", QUEUE)

    def execute_command(self: Any, *words: Any, **options: Any) -> Any:
        change(words[0])
        return call(self, *words, **options)

    def execute(self: Any, *words: Any, **options: Any) -> Any:
        change("pipeline")
        return run(self, *words, **options)

    monkeypatch.setattr(redis.Redis, "execute_command", execute_command)
    monkeypatch.setattr(redis.client.Pipeline, "execute", execute)
    return sent


def test_remove__takes_few_steps_on_a_list_that_changes_between_any_two_of_its_commands(
    purger: RedisPurger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a worker is nearer to the server than the purge, a transaction would never be without a change of others."""
    fill(purger, 12_000)
    with monkeypatch.context() as patch:
        commands = meddled_with(purger, patch)
        removed = sum(purger.remove(QUEUE, DROP))
    rest = waiting(purger)
    assert len(commands) < 200
    assert removed > 7800
    assert rest == sorted(set(rest))
    assert all(n % 3 == 0 for n in rest)


def test_script__finds_what_others_have_moved(purger: RedisPurger) -> None:
    """A message that is not there any more is not counted, and nor is one beyond the places that are looked at."""
    fill(purger, 9)
    assert purge_script.remove(purger.client, QUEUE, 2, 3, 1, [message(4), message(5), message(99)]) == (2, False)
    assert waiting(purger) == [0, 1, 2, 3, 6, 7, 8]
    assert purge_script.remove(purger.client, QUEUE, 2, 2, -1, [message(2)]) == (0, False)
    assert purge_script.remove(purger.client, QUEUE, 2, 3, -1, [message(2), message(2)]) == (1, True)
    assert waiting(purger) == [0, 1, 3, 6, 7, 8]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (redis.exceptions.NoPermissionError("this user has no permissions to run the 'eval' command"), None),
        (redis.exceptions.ResponseError("unknown command 'EVAL', with args beginning with: "), None),
        (redis.exceptions.ResponseError("Error running script: 9: -OOM command not allowed"), "OutOfMemoryError"),
        (redis.exceptions.OutOfMemoryError("OOM command not allowed"), "OutOfMemoryError"),
        (redis.exceptions.ResponseError("WRONGTYPE"), "ResponseError"),
    ],
)
def test_script__that_the_server_refuses(
    purger: RedisPurger, monkeypatch: pytest.MonkeyPatch, error: Exception, expected: str | None
) -> None:
    """A full server gets each message removed for itself; without scripts there are transactions."""

    def refuse(*_: Any) -> None:
        asked.append(1)
        raise error

    asked: list[int] = []
    fill(purger, 200)
    monkeypatch.setattr(type(purger.client), "eval", refuse)
    if expected == "ResponseError":
        with pytest.raises(redis.exceptions.ResponseError, match="WRONGTYPE"):
            sum(purger.remove(QUEUE, DROP))
        return
    monkeypatch.setattr(RedisPurger, "_one_by_one" if expected is None else "_marked", never)
    assert sum(purger.remove(QUEUE, DROP)) == 133
    assert waiting(purger) == list(range(0, 200, 3))
    assert purger.runs_scripts is (expected is not None)
    assert len(asked) == 1 or expected


def never(*_: Any) -> None:
    raise AssertionError("not to be called")


def test_transaction__fails_if_somebody_changes_the_list(purger: RedisPurger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its places would be those of other messages."""
    fill(purger, 6)
    real = redis.client.Pipeline.multi

    def push_first(self: Any) -> None:
        other.lpush(QUEUE, message(6))
        real(self)

    other = redis.Redis(connection_pool=purger.client.connection_pool)
    monkeypatch.setattr(redis.client.Pipeline, "multi", push_first)
    chosen = frozenset(map(message, (1, 2, 4, 5)))
    assert purger._marked(QUEUE, 0, 6, 1, chosen) is None
    assert waiting(purger) == [0, 1, 2, 3, 4, 5, 6]


def test_remove__while_others_push_and_pop(purger: RedisPurger) -> None:
    """At each step others may change the list 20 times: however slow the machine is, they do not empty it before the purge."""
    fill(purger, 3000)
    popped: list[int] = []
    turns, stop = threading.Semaphore(0), threading.Event()
    pushed = 3000

    def change() -> None:
        nonlocal pushed
        while turns.acquire() and not stop.is_set():
            for _ in range(10):
                purger.client.lpush(QUEUE, message(pushed))
                pushed += 1
                raw = purger.client.rpop(QUEUE)
                if raw is not None:
                    popped.append(number(raw))

    thread = threading.Thread(target=change)
    thread.start()
    removed = steps = 0
    for step in purger.remove(QUEUE, DROP):
        removed, steps = removed + step, steps + 1
        turns.release()
    stop.set()
    turns.release()
    thread.join()
    rest = popped + waiting(purger)
    assert steps > 5
    assert popped
    assert removed >= 2000 - 10 * steps
    assert rest == sorted(set(rest))
    assert len(rest) + removed == pushed
    assert {n for n in range(pushed) if n % 3 == 0} <= set(rest)


def test_remove__of_messages_that_slide_ahead_while_others_remove(
    purger: RedisPurger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another purge takes out most of what is read already: the rest comes nearer to the head."""
    fill(purger, 3000)
    real = purger._slice
    slices = 0

    def slice_of(*args: Any) -> Any:
        nonlocal slices
        slices += 1
        if slices in (4, 9):
            keep, gone = b"shop.keep", purger.client.lrange(QUEUE, 0, 399)
            with purger.client.pipeline() as pipeline:
                for raw in gone:
                    if keep in raw:
                        pipeline.lrem(QUEUE, 1, raw)
                pipeline.execute()
        return real(*args)

    monkeypatch.setattr(purger, "_slice", slice_of)
    assert sum(purger.remove(QUEUE, DROP)) == 2000
    assert purger.is_sure
    rest = waiting(purger)
    assert rest == sorted(set(rest))
    assert all(n % 3 == 0 for n in rest)


@pytest.mark.parametrize("others", [1, 2])
def test_remove__two_at_once_leave_nothing(purger: RedisPurger, app: Any, others: int) -> None:
    """The second is about the other task, or about the same."""
    fill(purger, 9000)
    task = "shop.keep" if others == 1 else DROP
    counts: dict[str, int] = {}
    with broker_of(app).publishing_connection(5) as connection:
        second = RedisPurger(connection)

        def run(name: str, which: RedisPurger, task: str) -> None:
            counts[name] = sum(which.remove(QUEUE, task))

        threads = [threading.Thread(target=run, args=each) for each in (("a", purger, DROP), ("b", second, task))]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert second.is_sure
    assert purger.is_sure
    assert waiting(purger) == ([] if others == 1 else list(range(0, 9000, 3)))
    assert sum(counts.values()) == (9000 if others == 1 else 6000)


def test_remove__says_that_it_is_not_sure(purger: RedisPurger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody removes all that was read, each time."""
    fill(purger, 400)
    monkeypatch.setattr(purge_redis.Pass, "is_in_place", lambda self, _: self.start == 0)
    monkeypatch.setattr(purge_redis.Pass, "find", lost)
    assert sum(purger.remove(QUEUE, DROP)) > 0
    assert not purger.is_sure


def lost(self: Any, around: Any, first: int, **_: Any) -> Any:
    self.is_sure = False
    return around[self.start - first :]


def test_remove__reads_few_of_large_messages_at_once(purger: RedisPurger, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(purger, 100, size=200_000)
    sizes = []
    real = purger._slice

    def slice_of(*args: Any) -> Any:
        found = real(*args)
        sizes.append(len(found[0]))
        return found

    monkeypatch.setattr(purger, "_slice", slice_of)
    assert sum(purger.remove(QUEUE, DROP)) == 66
    assert max(sizes) <= 5
    assert waiting(purger) == list(range(0, 100, 3))


def test_tasks__are_counted_over_all_priorities(purger: RedisPurger) -> None:
    fill(purger, 100)
    [_, second, *_] = purger.keys.lists(QUEUE)
    purger.client.lpush(second, message(1), b"garbage")
    counted = sum(purger.tasks(QUEUE), start=type(next(purger.tasks(QUEUE)))())
    assert counted == {DROP: 67, "shop.keep": 34}
    assert sum(purger.remove(QUEUE, DROP)) == 67
    assert sum(purger.empty(QUEUE)) == 35
    assert purger.length(QUEUE, is_declared=True) == 0


def test_marked__a_lost_answer_is_not_taken_for_a_change_of_others(
    purger: RedisPurger, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(purger, 6)
    execute = redis.client.Pipeline.execute

    def lose_the_answer(self: Any, *words: Any, **options: Any) -> Any:
        execute(self, *words, **options)
        try:
            raise redis.exceptions.ConnectionError("lost")
        except redis.exceptions.ConnectionError:
            raise redis.exceptions.WatchError  # noqa: B904 - as redis-py does while keys are watched

    monkeypatch.setattr(redis.client.Pipeline, "execute", lose_the_answer)
    with pytest.raises(redis.exceptions.ConnectionError, match="lost"):
        purger._marked(QUEUE, 0, 6, 1, {message(1)})
