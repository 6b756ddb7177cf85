from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tasktools.control.answers import Answers
from tasktools.doctor import workers
from tasktools.doctor.workers import Here, Worker, address, lines

HERE = Here(broker="redis://here/1", tasks={"shop.add": "celery", "shop.mail": "mails", "shop.any": ""})


def worker(**what: Any) -> Worker:
    return Worker(**{"name": "w@h", "tasks": set(HERE.tasks), "queues": ["celery"], **what})


def found(one: Worker, here: Here = HERE) -> list[tuple[str, str, str]]:
    return [(line.status, line.name, line.text) for line in lines([one], here)]


def test_lines__of_a_worker_like_this_process() -> None:
    broker = {"transport": "redis", "hostname": "there", "port": 6379, "virtual_host": "1"}
    assert found(worker(broker=broker, processes=4)) == [
        ("ok", "w@h", "takes from celery, 4 at once"),
        ("ok", "w@h broker", "redis://there:6379/1; this process: redis://here/1"),
        ("ok", "w@h tasks", "the same 3 as here"),
    ]


def test_lines__of_several_with_one_name() -> None:
    text = '2 workers have the name "w@h": what is sent to one may reach the other, or both.'
    (line,) = [line for line in lines([worker(same_name=2)], HERE) if line.status == "warning"]
    assert (line.name, line.text) == ("w@h name", text)
    assert line.remedy == "give each worker a name of its own: manage.py runworker -n worker2@%h"


@pytest.mark.parametrize(
    ("queues", "text"), [([], "takes from no queue"), (None, "has answered a ping and nothing else")]
)
def test_lines__of_a_worker_that_takes_nothing(queues: Any, text: str) -> None:
    assert found(worker(queues=queues, tasks=None)) == [("ok", "w@h", text)]


@pytest.mark.parametrize(
    ("queues", "missing"),
    [
        (["celery"], "shop.add, shop.any"),
        (["mails"], "shop.any, shop.mail"),
        (["celery", "mails"], "shop.add, shop.any, shop.mail"),
    ],
)
def test_tasks__that_a_worker_gets_and_does_not_know(queues: list[str], missing: str) -> None:
    error = ("error", "w@h tasks", f"The worker w@h does not know {missing}, and throws such messages away.")
    assert error in found(worker(tasks=set(), queues=queues))


def test_tasks__that_this_process_does_not_know() -> None:
    text = "The worker w@h knows tasks that this process does not: shop.old."
    told = found(worker(tasks={*HERE.tasks, "shop.old"}))
    assert ("warning", "w@h tasks", text) in told
    assert "error" not in [status for status, _, _ in told]


@pytest.mark.parametrize(
    ("broker", "text"),
    [
        ({"transport": "amqp", "hostname": "there", "port": 5672, "virtual_host": "/"}, "amqp://there:5672/"),
        ({"transport": "sqs", "hostname": None}, "sqs://localhost/"),
        ({"transport": "x", "hostname": "tasktools+socket:///srv/v.sock", "port": 1}, "redis+socket:///srv/v.sock"),
        ({"transport": "x", "hostname": "redis://:secret@host"}, "redis://:**@host"),
    ],
)
def test_address__of_its_broker(broker: dict[str, Any], text: str) -> None:
    assert address(broker) == text


@pytest.mark.parametrize(
    ("listens", "has_run", "control", "status", "text"),
    [
        (False, None, True, "error", "No worker answers within 1 s"),
        (True, True, True, "warning", "No worker answers, but somebody takes messages from this broker."),
        (True, False, True, "error", "No worker answers or takes a message, although somebody is connected"),
        (True, False, False, "error", "No worker answers or takes a message, although somebody is connected"),
        (True, None, True, "error", "No worker answers, although somebody is connected to take messages."),
        (True, None, False, "warning", "No worker answers, but somebody takes messages from this broker."),
    ],
)
def test_nobody__has_answered(listens: bool, has_run: bool | None, control: bool, status: str, text: str) -> None:
    line = workers.nobody(listens=listens, has_run=has_run, control=control)
    assert (line.status, line.text.startswith(text)) == (status, True), line


def asked(monkeypatch: pytest.MonkeyPatch, said: dict[str, Any], failed: dict[str, Any] | None = None) -> Any:
    """Return what the doctor makes of these answers."""
    into: dict[str, Worker] = {}
    answers = Answers(said=said, failed=failed or {}, listening=None, silent=None)
    monkeypatch.setattr(workers, "ask_all", lambda app, commands, limit: answers)
    workers.ask(SimpleNamespace(), into)  # type: ignore[arg-type]
    return into


def test_ask__all_that_workers_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of the two answers a ping and nothing else."""
    said = {
        "a": {
            "active_queues": [{"name": "celery"}],
            "registered": ["shop.add [rate_limit=1/s]", "shop.mail"],
            "stats": {"broker": {"port": 1}, "pool": {"max-concurrency": 3}},
        },
        "b": {"ping": {"ok": "pong"}},
    }
    known = {"tasks": {"shop.add", "shop.mail"}, "queues": ["celery"], "broker": {"port": 1}, "processes": 3}
    assert asked(monkeypatch, said) == {"a": Worker(name="a", **known), "b": Worker(name="b")}  # type: ignore[arg-type]


def test_ask__nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked(monkeypatch, {}) == {}


def test_ask__answers_of_another_kind_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {
        "a": {"stats": {"broker": "garbage", "pool": "garbage"}, "registered": {}},
        "b": {"stats": "garbage", "active_queues": ["garbage"]},
    }
    found = asked(monkeypatch, said, {"c": {"ping": "broken"}})
    assert found == {"a": Worker(name="a"), "b": Worker(name="b", queues=[]), "c": Worker(name="c")}
