from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from tasktools.control import workers
from tasktools.control.answers import Answers
from tasktools.control.presence import Presence
from tasktools.control.workers import ONLINE, SILENT, UNKNOWN, Look, RunningTask, Worker, look


def seen(monkeypatch: pytest.MonkeyPatch, said: dict[str, Any], here: Any = None, **other: Any) -> Look:
    answers = Answers(said=said, failed={}, listening=None, silent=None)
    monkeypatch.setattr(workers, "ask", lambda app, commands, limit, destination=(): answers)
    taken: list[str] = []

    def presence(app: Any, answers: Any, queues: list[str], routed: list[str]) -> Presence:
        taken.extend(queues)
        assert routed == list(filter(None, (here or {}).values()))
        return Presence(**{"silent": [], "unknown": [], **other})

    monkeypatch.setattr(workers, "presence", presence)
    found = look(None, here)  # type: ignore[arg-type]
    assert taken == [queue for each in found.workers for queue in each.queues or ()]
    return found


def one(monkeypatch: pytest.MonkeyPatch, here: Any = None, **said: Any) -> Worker:
    (found,) = seen(monkeypatch, {"w@h": said}, here).workers
    return found


def test_look__all_that_a_worker_says(monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.now(timezone.utc)
    began = now - timedelta(seconds=7)
    task = {"id": "1", "name": "shop.add", "args": "(1,)", "kwargs": "{}", "time_start": began.timestamp()}
    found = one(
        monkeypatch,
        here={"shop.add": "mails"},
        stats={
            "pid": 7,
            "uptime": 90,
            "total": {"a": 2, "b": 3},
            "pool": {"implementation": "celery.concurrency.prefork:TaskPool", "max-concurrency": 4},
            "rusage": {"maxrss": 1000},
            "tasktools": {"celery": "5.7.0", "code": "abc", "memory": 5},
        },
        active_queues=[{"name": "mails"}],
        active=[task],
        reserved=[1, 2],
        scheduled=[1],
        registered=["shop.old"],
    )
    assert found.up_since is not None
    assert abs(found.up_since - (now - timedelta(seconds=90))) < timedelta(minutes=1)
    assert found.tasks is not None
    (runs,) = found.tasks
    assert 7 <= (runs.seconds or 0) < 60
    expected = RunningTask(id="1", name="shop.add", args="(1,)", kwargs="{}", since=began, seconds=runs.seconds)
    assert runs == expected
    assert found == Worker(
        name="w@h",
        state=ONLINE,
        same_name=1,
        pid=7,
        pool="prefork",
        concurrency=4,
        queues=["mails"],
        running=1,
        reserved=2,
        scheduled=1,
        processed=5,
        memory=5,
        peak_memory=1000 * workers._UNIT,
        up_since=found.up_since,
        celery="5.7.0",
        code="abc",
        tasks=[expected],
        lacks=["shop.add"],
        has_more=["shop.old"],
    )


def test_look__lists_are_asked_for_only_where_they_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    said = {
        "own@h": {"stats": {"tasktools": {"reserved": 2, "scheduled": 20_000}}},
        "stock@h": {"stats": {"pid": 1}, "active": []},
    }
    lists = {"stock@h": {"reserved": [1], "scheduled": []}}

    def ask(app: Any, commands: Any, limit: float, destination: Any = None) -> Answers:
        asked.append((sorted(commands), destination))
        return Answers(said=lists if destination else said, failed={}, listening=2, silent=0)

    monkeypatch.setattr(workers, "ask", ask)
    found = look(None, None).workers  # type: ignore[arg-type]
    assert [(each.name, each.reserved, each.scheduled) for each in found] == [("own@h", 2, 20_000), ("stock@h", 1, 0)]
    assert asked == [(sorted(workers.COMMANDS), None), (["reserved", "scheduled"], ["stock@h"])]
    del said["stock@h"]
    look(None, None)  # type: ignore[arg-type]
    assert len(asked) == 3


@pytest.mark.parametrize("odd", [1e300, float("inf"), float("nan"), -1, 10**400, True])
def test_look__numbers_that_no_worker_has_are_not_known(monkeypatch: pytest.MonkeyPatch, odd: Any) -> None:
    stats = {"uptime": odd, "pid": odd, "rusage": {"maxrss": odd}, "tasktools": {"memory": odd, "scheduled": odd}}
    found = one(monkeypatch, stats=stats, active=[{"id": "1", "time_start": odd}], scheduled=[1])
    assert (found.up_since, found.pid, found.peak_memory, found.memory, found.scheduled) == (None, None, None, None, 1)
    assert [each.since for each in found.tasks or ()] == [None]


def test_look__a_worker_that_does_not_say_its_queues_lacks_what_may_come_from_any(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = one(monkeypatch, here={"shop.add": "mails", "shop.any": ""}, registered=[])
    assert (found.queues, found.lacks) == (None, ["shop.any"])


def test_look__a_task_that_is_counted_in_garbage(monkeypatch: pytest.MonkeyPatch) -> None:
    assert one(monkeypatch, stats={"total": {"a": "many", "b": 3}}).processed == 3


def test_look__arguments_that_are_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    found = one(monkeypatch, active=[{"id": "1", "name": "a", "args": [1, "x"], "kwargs": None}])
    assert [(each.args, each.kwargs) for each in found.tasks or ()] == [("[1, 'x']", "")]


def test_look__a_worker_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert one(monkeypatch, here={"shop.add": "mails"}) == Worker(name="w@h", state=ONLINE, same_name=1)


@pytest.mark.parametrize("garbage", ["text", 5, None, [5], {"x": 1}, True])
def test_look__garbage_is_not_known(monkeypatch: pytest.MonkeyPatch, garbage: Any) -> None:
    found = one(monkeypatch, {}, **dict.fromkeys(workers.COMMANDS, garbage))
    assert (found.pid, found.pool, found.processed, found.memory, found.up_since) == (None,) * 5
    inner = one(
        monkeypatch, {}, stats=dict.fromkeys(("pid", "uptime", "total", "pool", "rusage", "tasktools"), garbage)
    )
    assert (inner.pool, inner.concurrency, inner.memory, inner.peak_memory) == (None,) * 4


@pytest.mark.parametrize(
    ("implementation", "pool"),
    [
        ("celery.concurrency.thread:TaskPool", "threads"),
        ("celery.concurrency.gevent:TaskPool", "gevent"),
        ("own.pools:Pool", "own.pools:Pool"),
        (None, None),
    ],
)
def test_pool__has_the_name_that_p_takes(monkeypatch: pytest.MonkeyPatch, implementation: Any, pool: Any) -> None:
    assert one(monkeypatch, stats={"pool": {"implementation": implementation}}).pool == pool


def test_look__those_that_do_not_answer_are_among_them(monkeypatch: pytest.MonkeyPatch) -> None:
    found = seen(monkeypatch, {"m": {}}, silent=["a"], unknown=["z"], unnamed=1, consumers=None)
    assert [(each.name, each.state) for each in found.workers] == [("a", SILENT), ("m", ONLINE), ("z", UNKNOWN)]
    assert (found.more_silent, found.more_consumers) == (1, None)


@pytest.mark.parametrize(
    ("found", "is_empty"),
    [
        (Look(), True),
        (Look(more_silent=0, more_consumers={}), True),
        (Look(workers=[Worker(name="a", state=UNKNOWN)], more_silent=0), True),
        (Look(workers=[Worker(name="a", state=SILENT)]), False),
        (Look(more_silent=1), False),
        (Look(more_consumers={"celery": 1}), False),
    ],
)
def test_is_empty__if_nobody_lives(found: Look, is_empty: bool) -> None:
    assert found.is_empty is is_empty


def test_look__a_queue_without_a_name_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert one(monkeypatch, active_queues=[{"name": None}, {"name": "null"}, {}]).queues == ["null"]


def test_look__what_runs_and_is_no_object_is_no_task(monkeypatch: pytest.MonkeyPatch) -> None:
    found = one(monkeypatch, active=[{"id": 5}, "no task", None, {"id": "1", "name": "shop.add"}])
    assert (found.running, [(each.id, each.name) for each in found.tasks or ()]) == (
        2,
        [(None, None), ("1", "shop.add")],
    )


@pytest.mark.parametrize("added", [{}, {"tasktools": {"since": "soon"}}])
def test_up_since__of_a_worker_that_says_it_itself(monkeypatch: pytest.MonkeyPatch, added: Any) -> None:
    """Celery says the uptime in whole seconds: the time that follows from it differs from call to call."""
    began = datetime(2030, 1, 31, 9, 14, 3, 700_000, timezone.utc)
    found = one(monkeypatch, stats={"uptime": 90, "tasktools": {"since": began.timestamp()}})
    assert (found.up_since, found.is_exact) == (began, True)
    assert not one(monkeypatch, stats={"uptime": 90, **added}).is_exact
