from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

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
    assert [each for each in found(worker(tasks=set(), queues=queues)) if each[1] == "w@h tasks"] == [error]


def test_tasks__of_a_worker_whose_queues_are_not_known() -> None:
    error = ("error", "w@h tasks", "The worker w@h does not know shop.any, and throws such messages away.")
    assert error in found(worker(tasks=set(), queues=None))


def test_tasks__that_this_process_does_not_know() -> None:
    text = "The worker w@h knows tasks that this process does not: shop.old."
    told = found(worker(tasks={*HERE.tasks, "shop.old"}))
    assert [each for each in told if each[1] == "w@h tasks"] == [("warning", "w@h tasks", text)]
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


class Inspect:
    """Remote control with two workers, of which one answers a ping and nothing else."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def __call__(self, **options: Any) -> Inspect:
        self.asked.append(options)
        return self

    def ping(self) -> Any:
        return {"a": {"ok": "pong"}, "b": {"ok": "pong"}}

    def active_queues(self) -> Any:
        return {"a": [{"name": "celery"}, "garbage"]}

    def registered(self) -> Any:
        return {"a": ["shop.add [rate_limit=1/s]", "shop.mail"]}

    def stats(self) -> Any:
        return {"a": {"broker": {"port": 1}, "pool": {"max-concurrency": 3}}}


def test_ask__all_that_workers_say() -> None:
    inspect, into = Inspect(), dict[str, Worker]()
    app: Any = SimpleNamespace(control=SimpleNamespace(inspect=inspect))
    workers.ask(app, "connection", into)
    known = {"tasks": {"shop.add", "shop.mail"}, "queues": ["celery"], "broker": {"port": 1}, "processes": 3}
    assert into == {"a": Worker(name="a", **known), "b": Worker(name="b")}  # type: ignore[arg-type]
    first, second = inspect.asked
    assert (first["destination"], first["limit"]) == (None, None)
    assert (second["destination"], second["limit"]) == (["a", "b"], 2)


def test_ask__nobody() -> None:
    inspect = Inspect()
    inspect.ping = lambda: None  # type: ignore[method-assign]
    into: dict[str, Worker] = {}
    workers.ask(SimpleNamespace(control=SimpleNamespace(inspect=inspect)), None, into)  # type: ignore[arg-type]
    assert (into, len(inspect.asked)) == ({}, 1)


def test_ask__answers_of_another_kind_are_left_out() -> None:
    inspect, into = Inspect(), dict[str, Worker]()
    inspect.active_queues = lambda: {"a": {"error": "broken"}, "stranger": []}  # type: ignore[method-assign]
    inspect.registered = lambda: {"a": {"error": "broken"}}  # type: ignore[method-assign]
    inspect.stats = lambda: {"a": {"broker": "garbage", "pool": "garbage"}, "b": "garbage"}  # type: ignore[method-assign]
    workers.ask(SimpleNamespace(control=SimpleNamespace(inspect=inspect)), None, into)  # type: ignore[arg-type]
    assert into == {"a": Worker(name="a"), "b": Worker(name="b")}
