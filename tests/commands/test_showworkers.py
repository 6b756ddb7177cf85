"""showworkers: a real worker, and kombu's nodes for fleets of any kind."""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from redis import Redis as Client

from tasktools.control.names import connection_name
from tasktools.management import watching
from tests.conftest import Ran
from tests.hostile import HOSTILE, active
from tests.servers import Redis
from tests.support import Running, silent_port, wait_for

Run = Callable[..., Ran]

HERE = ["tests.site.tasks.total", "celery.ping"]


def handlers(**more: Any) -> dict[str, Callable[..., Any]]:
    """What a worker answers."""
    answers: dict[str, Any] = {
        "stats": {
            "pid": 7,
            "uptime": 90,
            "total": {"a.b": 2, "c.d": 3},
            "pool": {"implementation": "celery.concurrency.thread:TaskPool", "max-concurrency": 4},
            "rusage": {"maxrss": 50_000},
        },
        "active_queues": [{"name": "mails"}],
        "active": [],
        "reserved": [{"id": "1"}],
        "scheduled": [],
        "registered": [],
        **more,
    }
    return {name: (lambda answer=answer, **_: answer) for name, answer in answers.items()}


def seen(ran: Ran) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in json.loads(ran.out)["workers"]}


def test_worker__is_described(worker: Running, typed: Run, app: Any, tmp_path: Path) -> None:
    path = tmp_path / "done"
    app.send_task("tests.site.tasks.snooze", [600, str(path)])
    wait_for(lambda: (run := typed("showworkers", "--json")) and any(each["running"] for each in seen(run).values()))
    (name,) = found = seen(typed("showworkers", "--json"))
    assert (
        found[name].items()
        >= {
            "state": "online",
            "pool": "prefork",
            "concurrency": 2,
            "queues": ["celery", "slow"],
            "lacks": [],
            "has_more": [],
        }.items()
    )
    assert found[name]["peak_memory"] > 10_000_000
    ran = typed("showworkers", "--tasks")
    assert ran.code == 0
    assert ran.out.startswith("WORKER ")
    assert f"{name}  online  prefork 2  celery, slow  1 " in ran.out
    assert "tests.site.tasks.snooze  " in ran.out
    assert f"[600, '{path}']"[:20] in ran.out
    path.with_name("done.end").touch()
    wait_for(path.exists)


def test_up_since__is_the_same_in_two_calls_and_true(worker: Running, typed: Run) -> None:
    times = set()
    for _ in range(4):
        (found,) = seen(typed("showworkers", "--json")).values()
        times.add(found["up_since"])
    (since,) = times
    began = Path(f"/proc/{found['pid']}").stat().st_ctime
    assert -1 < datetime.fromisoformat(since).timestamp() - began < 30  # it imports Celery and the project first


def test_up_since__of_plain_celery_has_no_seconds(fleet: Callable[..., str], typed: Run) -> None:
    name = fleet(a=handlers(stats={"uptime": 90}))
    assert re.search(r" \d\d:\d\d +-", typed("showworkers", "-A", name).out)


def test_table__of_a_fleet(fleet: Callable[..., str], typed: Run) -> None:
    ran = typed("showworkers", "-A", fleet(a=handlers(), b=None))
    assert ran.code == 0
    heading, first, second = (line.split() for line in ran.out.splitlines())
    assert heading[:5] == ["WORKER", "STATE", "POOL", "QUEUES", "RUNNING"]
    assert first[:10] == ["a@h", "online", "threads", "4", "mails", "0", "1", "0", "5", "51"]
    assert second == ["b@h", "silent", *["-"] * 10]
    assert "1 worker listened and did not answer: busy (a solo pool that runs a task) or stopped.\n" in ran.err


def test_same_name__is_marked(fleet: Callable[..., str], typed: Run) -> None:
    """They were one row, and nothing was said."""
    fleet(a=handlers(), b=handlers())
    name = fleet(a=handlers(active_queues=[{"name": "slow"}]))
    ran = typed("showworkers", "--json", "-A", name, "--timeout", "60s")
    found = seen(ran)
    assert {each: what["same_name"] for each, what in found.items()} == {"a@h": 2, "b@h": 1}
    assert sorted(found["a@h"]["queues"]) == ["mails", "slow"]
    ran = typed("showworkers", "-A", name, "--timeout", "60s")
    assert "\na@h     online: 2 workers have this name  threads 4" in ran.out
    assert "\nb@h     online                            threads 4" in ran.out
    sentence = '2 workers have the name "a@h": what is sent to one may reach the other, or both.'
    assert f"{sentence}\nHint: give each worker a name of its own: manage.py runworker -n worker2@%h\n" in ran.err


def test_same_name__of_one_that_is_replaced(fleet: Callable[..., str], typed: Run) -> None:
    fleet(a=handlers())
    name = fleet(a=handlers(stats={"pid": 8, "tasktools": {"leaves": True}}))
    found = seen(typed("showworkers", "--json", "-A", name, "--timeout", "60s"))
    assert (found["a@h"]["same_name"], found["a@h"]["pid"]) == (1, 7)


def test_json__what_is_not_known_is_null(fleet: Callable[..., str], typed: Run) -> None:
    ran = typed("showworkers", "--json", "-A", fleet(a=handlers(stats={"error": "broken"}), b=None))
    found = seen(ran)
    assert (found["a@h"]["pid"], found["a@h"]["processed"], found["a@h"]["up_since"]) == (None, None, None)
    assert found["a@h"]["queues"] == ["mails"]
    silent = {key: value for key, value in found["b@h"].items() if value is not None}
    assert silent == {"name": "b@h", "state": "silent"}
    assert json.loads(ran.out)["more_silent"] == 0


def test_dead__is_not_shown_as_alive(fleet: Callable[..., str], typed: Run, server: Redis) -> None:
    name = fleet(a=handlers(), b=None)
    bind(server, "dead@h")
    ran = typed("showworkers", "--json", "-A", name)
    assert {each: what["state"] for each, what in seen(ran).items()} == {
        "a@h": "online",
        "b@h": "unknown",
        "dead@h": "unknown",
    }
    assert json.loads(ran.out)["more_silent"] == 1
    text = '1 more worker listens and does not answer. It is among those marked with "gone?"; the others were killed.'
    assert text in typed("showworkers", "-A", name).err


def test_dead__is_told_from_a_worker_of_ours(fleet: Callable[..., str], typed: Run, server: Redis) -> None:
    name = fleet(a=handlers(), b=None)
    bind(server, "dead@h")
    named = Client(host="127.0.0.1", port=server.port, client_name=connection_name("b@h"))
    named.ping()
    ran = typed("showworkers", "--json", "-A", name)
    named.close()
    assert {each: what["state"] for each, what in seen(ran).items()} == {"a@h": "online", "b@h": "silent"}


def test_dead__alone_is_no_worker(fleet: Callable[..., str], typed: Run, server: Redis) -> None:
    name = fleet()
    bind(server, "dead@h")
    ran = typed("showworkers", "-A", name)
    assert (ran.code, ran.out) == (69, "")
    assert ran.err.startswith("No worker answers within 1 s.\n")


def bind(server: Redis, name: str) -> None:
    """Leave what a worker leaves that was killed."""
    server.client().sadd("_kombu.binding.celery.pidbox", f"\x06\x16\x06\x16{name}.celery.pidbox")


def test_tasks__that_a_worker_lacks_and_has_more(
    fleet: Callable[..., str], typed: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasktools.management import worker_options

    monkeypatch.setattr(worker_options, "queues_of_tasks", lambda *_: {"shop.add": "mails", "shop.far": "other"})
    name = fleet(a=handlers(registered=["shop.old [rate_limit=1/s]"]), b=handlers(registered=["shop.old"]))
    found = seen(typed("showworkers", "--json", "-A", name))
    assert [(each["lacks"], each["has_more"]) for each in found.values()] == [(["shop.add"], ["shop.old"])] * 2
    err = typed("showworkers", "-A", name).err
    assert "a@h, b@h do not know shop.add, and throw such messages away.\nHint: start it again" in err
    assert "a@h, b@h know tasks that this process does not: shop.old.\nHint: give both the same code" in err


def test_no_worker__ends_with_69(fleet: Callable[..., str], typed: Run) -> None:
    began = time.monotonic()
    ran = typed("showworkers", "--json", "-A", fleet())
    assert time.monotonic() - began < 30
    assert (ran.code, ran.out) == (69, "")
    assert json.loads(ran.err)["error"] == "No worker answers within 1 s."


def test_broker__that_is_silent_is_unreachable(elsewhere: Callable[..., str], typed: Run) -> None:
    with silent_port() as port:
        name = elsewhere(broker_url=f"redis://127.0.0.1:{port}/0")
        began = time.monotonic()
        ran = typed("showworkers", "-A", name)
    assert (ran.code, ran.out) == (69, "")
    assert time.monotonic() - began < 30
    assert ran.err.startswith(f'The broker "redis://127.0.0.1:{port}/0" ')


def test_hostile_text__is_harmless(fleet: Callable[..., str], typed: Run) -> None:
    task = {"id": HOSTILE, "name": HOSTILE, "args": HOSTILE * 1000, "kwargs": {HOSTILE: 1}, "time_start": 1e300}
    bad = handlers(
        active=[task, "no task"],
        active_queues=[{"name": HOSTILE}, 5],
        registered=[HOSTILE],
        stats={"pool": {"implementation": HOSTILE}, "total": {HOSTILE: "x"}, "uptime": "y", "pid": True},
    )
    name = fleet(a=bad)
    ran = typed("showworkers", "--tasks", "-A", name)
    assert ran.code == 0
    assert active(ran.out.replace("\n", "") + ran.err.replace("\n", "")) == []
    assert len(ran.out.splitlines()) == 5  # two tables of two lines, and an empty one
    (found,) = seen(typed("showworkers", "--json", "-A", name)).values()
    assert (found["tasks"][0]["name"], found["tasks"][0]["since"], found["pid"]) == (HOSTILE, None, None)


@pytest.mark.parametrize("typed_limit", ["0", "2h", "x", "-1"])
def test_timeout__that_is_no_time(typed: Run, typed_limit: str) -> None:
    assert typed("showworkers", f"--timeout={typed_limit}").code == 2


def test_eager__asks_nobody(elsewhere: Callable[..., str], typed: Run) -> None:
    ran = typed("showworkers", "-A", elsewhere(broker_url="memory://", task_always_eager=True))
    assert (ran.code, "CELERY_TASK_ALWAYS_EAGER is set" in ran.err) == (2, True)


def test_table__long_lists_of_queues_and_tasks(fleet: Callable[..., str], typed: Run) -> None:
    now = time.time()
    runs = [{"id": str(each), "name": f"shop.run{each}", "time_start": now - each} for each in (10, 30, 20)]
    names = ["celery", "mails", "reports", "slow", "another"]
    name = fleet(a=handlers(active=runs, active_queues=[{"name": each} for each in names]))
    ran = typed("showworkers", "--tasks", "-A", name)
    assert "  celery, mails, reports +2  3  " in ran.out
    assert [line.split()[1] for line in ran.out.splitlines()[-3:]] == ["shop.run30", "shop.run20", "shop.run10"]


class Stop(Exception):
    """The test has seen enough."""


def test_watch__shows_them_again(fleet: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            raise Stop

    monkeypatch.setattr(watching, "pause", pause)
    out = io.StringIO()
    with pytest.raises(Stop):
        call_command("showworkers", app=fleet(a=handlers()), watch=True, as_json=True, stdout=out)
    looks = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [[each["name"] for each in look["workers"]] for look in looks] == [["a@h"], ["a@h"]]
    assert pauses == [watching.PERIOD] * 2


def test_watch__as_text_says_who_is_silent(fleet: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    def pause(seconds: float) -> None:
        raise Stop

    monkeypatch.setattr(watching, "pause", pause)
    out, err = io.StringIO(), io.StringIO()
    with pytest.raises(Stop):
        call_command("showworkers", app=fleet(a=handlers(), b=None), watch=True, stdout=out, stderr=err)
    assert [line.split()[:2] for line in out.getvalue().splitlines()[1:]] == [["a@h", "online"], ["b@h", "silent"]]
    assert "1 worker listened and did not answer" in err.getvalue()


def test_watch__without_a_worker_at_first(fleet: Callable[..., str], typed: Run) -> None:
    assert typed("showworkers", "-A", fleet(), "--watch").code == 69
