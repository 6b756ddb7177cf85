from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from celery.backends.base import KeyValueStoreBackend
from celery.exceptions import TimeoutError as NotYet

from tasktools.brokers.timeouts import TimedOut
from tasktools.exceptions import ConfigurationError, Unreachable
from tasktools.results import looking
from tasktools.results.looking import Polling, Subscribed, look_at_all, watcher_of
from tasktools.results.outcome import UNREADABLE, Outcome
from tasktools.results.wait import PATIENCE, wait


class Store(KeyValueStoreBackend):
    """A key-value store in a dictionary; `answers` is how it answers a request for several."""

    def __init__(self, answers: str, **metas: Any) -> None:
        self.answers = answers
        self.values = {f"meta-{key}": json.dumps(value).encode() for key, value in metas.items()}
        self.asked: list[list[str]] = []
        #: Those that were looked at alone.
        self.alone: list[str] = []
        self.error: Exception | None = None

    def get_key_for_task(self, task_id: str, key: str = "") -> str:
        return f"meta-{task_id}"

    def mget(self, keys: list[str]) -> Any:
        self.asked.append(list(keys))
        if self.error:
            raise self.error
        if self.answers == "never":
            raise NotImplementedError
        if self.answers == "mapping":
            return {key.encode(): self.values[key] for key in reversed(keys) if key in self.values}
        return (self.values.get(key) for key in keys[self.answers == "short" :])

    def decode_result(self, value: bytes) -> Any:
        if value == b"interrupted":
            raise KeyboardInterrupt
        return json.loads(value)

    def get_task_meta(self, task_id: str, cache: bool = True) -> Any:
        self.alone.append(task_id)
        return json.loads(self.values.get(f"meta-{task_id}", b'{"status": "PENDING"}'))

    def as_uri(self, include_password: bool = True) -> str:
        return "store://host"


DONE, STEP = {"status": "SUCCESS", "result": 4}, {"status": "STEP", "result": {"n": 1}}


def looked(store: Store, *ids: str) -> list[tuple[str, Any]]:
    return [(each.state, each.result) for each in look_at_all(SimpleNamespace(backend=store), ids)]  # type: ignore[arg-type]


@pytest.mark.parametrize("answers", ["list", "mapping", "never"])
def test_look_at_all__whatever_the_store_answers(answers: str) -> None:
    store = Store(answers, a=DONE, c=STEP)
    assert looked(store, "a", "b", "c") == [("SUCCESS", 4), ("PENDING", None), ("STEP", {"n": 1})]


def test_look_at_all__so_many_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "MOST_AT_ONCE", 2)
    store = Store("list", a=DONE, b=STEP, c=DONE)
    assert [state for state, _ in looked(store, "a", "b", "c")] == ["SUCCESS", "STEP", "SUCCESS"]
    assert store.asked == [["meta-a", "meta-b"], ["meta-c"]]
    assert store.alone == []


def test_look_at_all__one_alone_is_asked_for_alone() -> None:
    store = Store("list", a=DONE)
    assert (looked(store, "a"), store.asked) == ([("SUCCESS", 4)], [])


def test_look_at_all__one_that_cannot_be_read_hides_no_other() -> None:
    store = Store("list", a=DONE)
    store.values["meta-b"] = b"no JSON"
    assert looked(store, "a", "b") == [("SUCCESS", 4), (UNREADABLE, None)]


def test_look_at_all__an_interruption_is_no_result() -> None:
    store = Store("list", b=DONE)
    store.values["meta-a"] = b"interrupted"
    with pytest.raises(KeyboardInterrupt):
        looked(store, "a", "b")


def test_look_at_all__a_store_that_answers_too_little() -> None:
    """Nobody knows to which task each of its values belongs."""
    store = Store("short", a=DONE, b=STEP)
    with pytest.raises(ConfigurationError):
        looked(store, "a", "b")


def test_look_at_all__a_store_that_fails() -> None:
    store = Store("list")
    store.error = OSError("gone")
    with pytest.raises(Unreachable, match="gone"):
        looked(store, "a", "b")


class Watcher(Polling):
    """Answers each look with the next entry; what it hears in the pauses comes from `heard`."""

    def __init__(self, looks: list[Any], heard: list[list[Outcome]]) -> None:
        self.looks, self.hears, self.now, self.paused = looks, heard, 0.0, 0

    def look(self, task_ids: Any) -> list[Outcome]:
        found = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        if isinstance(found, Exception):
            raise found
        return [Outcome(id=each, state=found) for each in task_ids]

    def pause(self, seconds: float, task_ids: Any) -> list[Outcome]:
        self.paused += 1
        if self.hears and (heard := self.hears.pop(0)):
            return heard
        self.now += seconds
        return []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def waited(monkeypatch: pytest.MonkeyPatch, watcher: Watcher, *ids: str, **options: Any) -> list[tuple[str, str]]:
    monkeypatch.setattr("tasktools.results.wait.watcher_of", lambda app, sleep: watcher)
    found = wait("app", ids, clock=watcher.clock, sleep=watcher.sleep, **options)  # type: ignore[arg-type]
    return [(each.id, each.state) for each in found]


def done(task_id: str) -> Outcome:
    return Outcome(id=task_id, state="SUCCESS")


def test_wait__what_is_heard_counts_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    watcher = Watcher(["PENDING"], [[done("b")], [done("a")]])
    assert waited(monkeypatch, watcher, "a", "b", timeout=None) == [("b", "SUCCESS"), ("a", "SUCCESS")]
    assert watcher.now == 0


def test_wait__what_is_heard_twice_or_of_others_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    watcher = Watcher(["PENDING"], [[done("a"), done("a"), done("c")], [done("b")]])
    assert waited(monkeypatch, watcher, "a", "b", timeout=None) == [("a", "SUCCESS"), ("b", "SUCCESS")]


def test_wait__what_is_heard_and_not_final_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    step = Outcome(id="a", state="STEP", result=1)
    watcher = Watcher(["PENDING"], [[], [step], [done("a")]])
    watcher.now = 100.0

    def note(some: Any, seconds: float) -> None:
        seen.append((round(seconds, 3), [each.state for each in some]))

    waited(monkeypatch, watcher, "a", timeout=None, on_look=note)
    assert seen == [(0.0, ["PENDING"]), (0.01, ["PENDING"]), (0.01, ["STEP"])]


def test_wait__what_is_final_is_no_news(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    watcher = Watcher([], [])
    looks = [[done("a"), Outcome(id="b", state="PENDING")], [done("b")]]
    monkeypatch.setattr(watcher, "look", lambda task_ids: looks.pop(0))
    waited(monkeypatch, watcher, "a", "b", timeout=None, on_look=lambda some, seconds: seen.append(some))
    assert [[each.id for each in some] for some in seen] == [["b"]]


def test_wait__a_backend_that_is_restarted(monkeypatch: pytest.MonkeyPatch) -> None:
    watcher = Watcher(["PENDING", *[Unreachable("gone")] * 30, "SUCCESS"], [])
    assert waited(monkeypatch, watcher, "a", timeout=None) == [("a", "SUCCESS")]


def test_wait__a_backend_that_stays_away(monkeypatch: pytest.MonkeyPatch) -> None:
    watcher = Watcher(["PENDING", Unreachable("gone")], [])
    watcher.now = 100.0
    with pytest.raises(Unreachable):
        waited(monkeypatch, watcher, "a", timeout=None)
    assert PATIENCE <= watcher.now - 100 <= PATIENCE + 1


def test_wait__a_backend_is_not_asked_again_when_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    watcher = Watcher(["PENDING", *[Unreachable("gone")] * 2, "SUCCESS"], [])
    monkeypatch.setattr(watcher, "sleep", lambda seconds: setattr(watcher, "now", watcher.paused * 0.01 + PATIENCE))
    monkeypatch.setattr(watcher, "pause", lambda seconds, task_ids: [])
    with pytest.raises(Unreachable):
        waited(monkeypatch, watcher, "a", timeout=None)


def test_wait__a_backend_that_was_never_there(monkeypatch: pytest.MonkeyPatch) -> None:
    watcher = Watcher([Unreachable("gone")], [])
    with pytest.raises(Unreachable):
        waited(monkeypatch, watcher, "a", timeout=None)
    assert watcher.now == 0


class Channel:
    """A subscription of redis-py that hears what the test says."""

    def __init__(self, *messages: Any) -> None:
        self.messages = list(messages)
        self.keys: list[bytes] = []
        self.timeouts: list[float] = []
        self.closed = False
        self.error: BaseException | None = None

    def subscribe(self, *keys: bytes) -> None:
        if self.error is not None:
            raise self.error
        self.keys += keys

    def get_message(self, timeout: float) -> Any:
        self.timeouts.append(timeout)
        message = self.messages.pop(0) if self.messages else None
        if isinstance(message, BaseException):
            raise message
        return message

    def close(self) -> None:
        self.closed = True


def message(task_id: str, meta: Any) -> dict[str, Any]:
    return {"type": "message", "channel": f"meta-{task_id}".encode(), "data": json.dumps(meta).encode()}


@pytest.fixture
def subscribed() -> Iterator[Any]:
    store: Any = Store("list")
    store.made = []
    channels = [Channel(), Channel()]

    def pubsub(ignore_subscribe_messages: bool) -> Channel:
        assert ignore_subscribe_messages
        store.made.append(channels[len(store.made)])
        return store.made[-1]  # type: ignore[no-any-return]

    store.client = SimpleNamespace(pubsub=pubsub)
    store.channels = channels
    store.slept = []
    with Subscribed(SimpleNamespace(backend=store), store.slept.append) as watcher:  # type: ignore[arg-type]
        watcher.store = store  # type: ignore[attr-defined]
        yield watcher
    assert all(each.closed for each in store.made)


def test_subscribed__before_it_looks_and_to_all_at_once(subscribed: Any) -> None:
    assert [each.state for each in subscribed.look(["a", "b"])] == ["PENDING", "PENDING"]
    assert [each.keys for each in subscribed.store.made] == [[b"meta-a", b"meta-b"]]
    subscribed.look(["b"])
    assert len(subscribed.store.made) == 1


def test_subscribed__a_server_that_fails_then_is_unreachable(subscribed: Any) -> None:
    subscribed.store.channels[0].error = redis.exceptions.ConnectionError("gone")
    with pytest.raises(Unreachable, match="gone"):
        subscribed.look(["a"])
    assert subscribed.store.made[0].closed


def test_subscribed__hears_all_that_is_there(subscribed: Any) -> None:
    subscribed.look(["a", "b"])
    other = {"type": "subscribe", "channel": b"meta-a", "data": 1}
    [channel] = subscribed.store.made
    channel.messages = [None, other, message("a", DONE), message("x", DONE), message("b", STEP)]
    assert [(each.id, each.state) for each in subscribed.pause(0.9, {"a", "b"})] == [("a", "SUCCESS"), ("b", "STEP")]
    assert len(channel.timeouts) == 6
    assert all(0 < each <= 0.9 for each in channel.timeouts[:3])
    assert channel.timeouts[3:] == [0.0] * 3  # it waits for one alone


def test_subscribed__hears_of_those_that_are_waited_for(subscribed: Any) -> None:
    subscribed.look(["a", "b"])
    subscribed.store.made[0].messages = [message("b", DONE), message("a", DONE)]
    assert [each.id for each in subscribed.pause(5.0, {"a"})] == ["a"]


@pytest.mark.parametrize("error", [TimedOut("late"), KeyboardInterrupt()])
def test_subscribed__who_ends_the_pause_is_heard(subscribed: Any, error: BaseException) -> None:
    subscribed.look(["a"])
    subscribed.store.made[0].messages = [error]
    with pytest.raises(type(error)):
        subscribed.pause(5.0, {"a"})


def test_subscribed__ends_when_time_is_up(subscribed: Any) -> None:
    subscribed.look(["a"])
    assert subscribed.pause(0.01, {"a"}) == []


def test_subscribed__again_when_the_connection_is_lost(subscribed: Any) -> None:
    subscribed.look(["a"])
    subscribed.store.made[0].messages = [redis.exceptions.ConnectionError("gone")]
    assert subscribed.pause(5.0, {"a"}) == []
    assert subscribed.store.slept == [looking.BREATH]
    subscribed.look(["a"])
    assert [each.closed for each in subscribed.store.made] == [True, False]


def test_subscribed__a_user_that_may_not_only_looks(subscribed: Any) -> None:
    subscribed.look(["a"])
    subscribed.store.made[0].messages = [redis.exceptions.NoPermissionError("no")]
    subscribed.pause(5.0, {"a"})
    subscribed.look(["a"])
    subscribed.pause(3.0, {"a"})
    assert len(subscribed.store.made) == 1
    assert subscribed.store.slept == [looking.BREATH, 3.0]


def test_polling__only_waits() -> None:
    slept: list[float] = []
    with Polling(None, slept.append) as watcher:  # type: ignore[arg-type]
        assert watcher.pause(3.0, {"a"}) == []
    assert slept == [3.0]


@pytest.mark.parametrize("ends", ["in time", "too late"])
def test_replies__are_heard_of_those_that_are_waited_for(monkeypatch: pytest.MonkeyPatch, ends: str) -> None:
    """Celery hands on whatever has come to the queue of this process."""
    limits: list[float] = []
    reach = looking.reach

    class Result:
        def __init__(self, task_id: str) -> None:
            assert task_id == "a"

        def get(self, seconds: float, *, on_message: Any, **options: Any) -> None:
            assert (seconds, options) == (7.0, {"propagate": False, "disable_sync_subtasks": False})
            for task_id in ("x", None, "a"):
                on_message({"task_id": task_id, **DONE} if task_id else {})
            if ends == "too late":
                raise NotYet

    def spy(name: str, limit: float, *call: Any) -> Any:
        limits.append(limit)
        return reach(name, limit, *call)

    monkeypatch.setattr(looking, "reach", spy)
    app: Any = SimpleNamespace(AsyncResult=Result, backend=Store("list"))
    found = looking.Replies(app).pause(7.0, {"a": None})
    assert [(each.id, each.state, each.result) for each in found] == [("a", "SUCCESS", 4)]
    assert limits == [7.0 + looking.backend.LOOK_LIMIT]


@pytest.mark.parametrize(
    ("url", "kind"), [("redis://h/0", Subscribed), ("rpc://", looking.Replies), ("cache+memory://", Polling)]
)
def test_watcher_of__each_backend(url: str, kind: type) -> None:
    from celery import Celery

    with Celery("shop", broker="memory://", backend=url, set_as_current=False) as app:
        assert type(watcher_of(app)) is kind
