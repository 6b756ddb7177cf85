"""Where a message is, on a Redis of this process that looks by itself, or hands the messages out."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from tasktools.brokers.base import Trace
from tasktools.exceptions import Unreachable
from tasktools.queues import position
from tasktools.queues.position import Found, find


def message(task_id: str, **headers: Any) -> bytes:
    return json.dumps({"headers": {"id": task_id, "task": "shop.add", **headers}, "properties": {}}).encode()


class Bench:
    """A broker, its keys and its client. `lists` has the messages of each key, the next one first; a text is no list."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, runs_scripts: bool) -> None:
        self.runs_scripts = runs_scripts
        self.lists: dict[str, Any] = {}
        self.taken: list[list[bytes]] = []
        self.made: list[str] | None = []
        self.aside: set[bytes] = set()
        self.error: Exception | None = None
        #: What was read, by index and number, and how often the server was asked to look by itself.
        self.calls: list[tuple[int, int]] = []
        self.evals = 0
        self.client = self
        self.channel = SimpleNamespace(unacked_key="unacked")
        connection = SimpleNamespace(default_channel=None, close=lambda: None)
        app = SimpleNamespace(amqp=SimpleNamespace(queues={"celery": None}))
        self.broker: Any = SimpleNamespace(name="It", app=app, publishing_connection=lambda limit: connection)
        keys = self.keys = SimpleNamespace(
            client=self,
            channel=self.channel,
            full=str,
            lists=self.keys_of,
            bindings=self.bindings,
            saw_all_bindings=True,
            reserved_slices=self.slices,
        )
        monkeypatch.setattr(position, "Keys", lambda channel: keys)
        monkeypatch.setattr(position, "reach", self.reach)
        clock = SimpleNamespace(monotonic=lambda: time.monotonic() + len(self.calls))
        monkeypatch.setattr(position, "time", clock)
        for name, most in (("SLICE", 2), ("BUDGET", 600.0), ("MOST_READ", 8), ("MOST_FETCHED", 6)):
            monkeypatch.setattr(position, name, most)

    @staticmethod
    def reach(name: str, limit: float, call: Any, *words: Any) -> Any:
        try:
            return call(*words)
        except (redis.exceptions.ResponseError, OSError) as error:
            raise Unreachable("It fails.") from error

    @staticmethod
    def keys_of(queue: str) -> list[str]:
        return [queue, f"{queue}:3"]

    def bindings(self, most: int | None) -> Any:
        if self.made is None:
            raise redis.exceptions.NoPermissionError
        yield [SimpleNamespace(queue=each) for each in self.made]

    def smembers(self, key: str) -> Any:
        return self.aside

    def slices(self) -> Any:
        return iter(self.taken)

    def llen(self, key: str) -> int:
        found = self.lists.get(key, [])
        if isinstance(found, str):
            raise redis.exceptions.ResponseError(found)
        return len(found)

    def hlen(self, key: str) -> int:
        return sum(map(len, self.taken))

    def pipeline(self, **_: Any) -> Any:
        raise redis.exceptions.NoPermissionError  # nobody says how much memory a list has

    def some(self, key: str, at: int, count: int) -> list[bytes]:
        assert count > 0
        self.calls.append((at, count))
        return list(reversed(self.lists[key]))[at : at + count]

    def lrange(self, key: str, at: int, last: int) -> list[bytes]:
        return self.some(key, at, last - at + 1)

    def eval(self, script: str, number: int, *words: Any) -> list[Any]:
        self.evals += 1
        if self.error is not None:
            raise self.error
        if not self.runs_scripts:
            raise redis.exceptions.NoPermissionError
        (key, *others), (at, count, _, _, *ids) = words[:number], words[number:]
        found = self.some(key, at, count)
        sizes = list(map(len, found))
        result = [at + len(found), self.llen(key), sum(map(self.llen, others)), sum(sizes), max(sizes, default=0)]
        for place, raw in enumerate(found):
            if any(f'"{each}"'.encode() in raw for each in ids):
                result += [result[1] - (at + place), raw]
        return result

    def fill(self, count: int, key: str = "celery") -> list[str]:
        ids = [f"{key}-{n}" for n in range(count)]
        self.lists[key] = list(map(message, ids))
        return ids

    def positions(self, ids: list[str], **options: Any) -> list[int | None]:
        traces = find(self.broker, ids, **options).traces
        return [traces[each].position if each in traces else None for each in ids]


@pytest.fixture(params=[True, False], ids=["script", "no script"])
def bench(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Bench:
    return Bench(monkeypatch, runs_scripts=request.param)


def test_find__all_that_a_message_says(bench: Bench) -> None:
    bench.lists["celery"] = [message("1", eta="2030-01-01"), message("2")]
    trace = Trace(place="queued", queue="celery", task="shop.add", eta="2030-01-01", position=1)
    assert find(bench.broker, ["1"]) == Found({"1": trace})
    assert bench.evals == 1


def test_find__nobody_is_asked_for_nothing(bench: Bench) -> None:
    bench.broker.publishing_connection = lambda limit: pytest.fail("it asks")
    assert find(bench.broker, []) == Found()


def test_find__in_each_queue_and_each_priority(bench: Bench) -> None:
    """Those of a higher priority are before it; not those of another queue."""
    bench.made = ["mails"]
    first, second, other = bench.fill(3), bench.fill(2, "celery:3"), bench.fill(1, "mails")
    assert bench.positions([*first, *second, *other]) == [1, 2, 3, 4, 5, 1]


def test_find__a_user_that_may_not_list_the_queues(bench: Bench) -> None:
    bench.made = None
    [task_id] = bench.fill(1)
    found = find(bench.broker, [task_id, "mails-0"])
    assert (found.is_listed, found.traces.keys()) == (False, {task_id})


def test_find__a_database_with_too_many_keys(bench: Bench) -> None:
    assert find(bench.broker, ["mails-0"]).is_complete
    bench.keys.saw_all_bindings = False
    assert not find(bench.broker, ["mails-0"]).is_complete


def test_find__a_key_of_another_program_is_passed_over(bench: Bench) -> None:
    bench.lists["celery"] = "WRONGTYPE Operation against a key holding the wrong kind of value"
    ids = bench.fill(2, "celery:3")
    assert bench.positions(ids) == [1, 2]


def test_find__another_error_of_the_server(bench: Bench) -> None:
    bench.lists["celery"] = "BUSY Redis is busy running a script"
    with pytest.raises(Unreachable):
        find(bench.broker, ["1"])


def test_find__a_server_that_goes_away_meanwhile(bench: Bench) -> None:
    bench.fill(1)
    bench.error = OSError("gone")
    with pytest.raises(Unreachable):
        find(bench.broker, ["1"])


def test_read__ends_when_all_are_found(bench: Bench) -> None:
    ids = bench.fill(6)
    assert bench.positions(ids[-1:]) == [6]
    assert bench.calls == [(0, 2 if bench.runs_scripts else 1)]  # the newest messages are read first


def test_read__each_message_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers: list[int] = []
    saw = position.Pace.saw

    def spy(self: position.Pace, number: int, size: int, longest: int) -> None:
        numbers.append(number)
        saw(self, number, size, longest)

    monkeypatch.setattr(position.Pace, "saw", spy)
    bench.fill(5)
    assert find(bench.broker, ["nosuch"]) == Found()
    assert numbers == ([2, 2, 1] if bench.runs_scripts else [1, 2, 2])
    assert bench.calls == ([(0, 2), (2, 2), (4, 2)] if bench.runs_scripts else [(0, 1), (1, 2), (3, 2)])
    assert bench.evals == (3 if bench.runs_scripts else 1)


def test_read__the_ends_of_a_long_queue(bench: Bench) -> None:
    ids = bench.fill(9)
    assert bench.positions(ids) == [1, 2, 3, 4, None, 6, 7, 8, 9]
    assert find(bench.broker, ["nosuch"]).unread == {"celery": 1}
    assert find(bench.broker, ["nosuch"], deep=True).unread == {}
    assert bench.positions(ids, deep=True) == list(range(1, 10))


def test_read__two_of_three(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(position, "MOST_READ", 2)
    assert bench.positions(bench.fill(3)) == [1, None, 3]


def test_read__time_is_up(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(position, "SLICE", 1)
    monkeypatch.setattr(position, "BUDGET", 1.5)
    bench.fill(10)
    assert find(bench.broker, ["nosuch"]).unread == {"celery": 8}
    assert len(bench.calls) == 2
    assert find(bench.broker, ["nosuch"], deep=True).unread == {}


def test_read__where_it_is_most_likely_comes_first(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Time may be up before the last of very many queues."""
    monkeypatch.setattr(position, "BUDGET", 1.5)
    bench.fill(10)
    bench.lists["sent"], bench.made = [message("1")], ["sent"]
    assert find(bench.broker, ["1"]).traces == {}
    bench.calls.clear()  # its clock goes on with each
    found = find(bench.broker, ["1"], first=["sent"]).traces
    assert found == {"1": Trace(place="queued", queue="sent", task="shop.add", position=1)}


def test_find__a_message_without_the_header_of_celery(bench: Bench) -> None:
    bench.lists["celery"] = [json.dumps({"headers": {}, "properties": {"correlation_id": "1"}}).encode()]
    assert find(bench.broker, ["1"]).traces == {"1": Trace(place="queued", queue="celery", position=1)}


def test_reserved__so_many_are_read(bench: Bench) -> None:
    bench.taken = [[message(f"{n}"), message(f"other-{n}")] for n in range(5)]
    found = find(bench.broker, ["0", "2", "4"])
    assert found.traces == {each: Trace(place="reserved", task="shop.add") for each in "02"}
    assert found.unread == {"unacked": 4}
    found = find(bench.broker, ["0", "4"], deep=True)
    assert (set(found.traces), found.unread) == ({"0", "4"}, {})


@pytest.mark.parametrize("number", [1, 20])
def test_traces__garbage_that_looks_like_a_message(bench: Bench, number: int) -> None:
    ids = [f"celery-{n}" for n in range(number)]
    garbage = [
        b'"celery-0"',
        b'["celery-0"]',
        b'{"headers": 5, "id": "celery-0"}',
        b'{"id": "celery-0"',
        b'[{}, "celery-0"]',
    ]
    bench.lists["celery"] = [*garbage, message("celery-0")]
    assert find(bench.broker, ids).traces.keys() == {"celery-0"}
