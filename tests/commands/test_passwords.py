"""Odd URLs of brokers and backends: no command shows the password, whoever quotes the URL."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tasktools.discovery import celery_app
from tasktools.exceptions import ProjectError
from tasktools.management import run_base
from tasktools.management.commands import rundev
from tasktools.project import Project
from tasktools.results import backend
from tests.conftest import Ran
from tests.fuzz_texts import SECRET, no_network

Run = Callable[..., Ran]

URLS = [
    f"redis://:{SECRET}@host:6379/0",
    f"redis://:{SECRET}#x@host:6379/0",
    f"redis://me:x/{SECRET}@host",
    f"redis://:x?{SECRET}@host",
    f"redis://me:{SECRET}%40@host:port",
    f"redis:/u:{SECRET}@host",
    f"A;redis://:{SECRET}@B",
    f"redis://u:{SECRET}",
    f"redis://{SECRET}@host",
    f"redis://host/0?password={SECRET}",
    f"redis://[::1:{SECRET}@host",
    f"amqp://me:{SECRET}@host:5672//;amqp://me:x{SECRET}@[b",
    f"u:{SECRET}@host",
    f"nosuch://me:{SECRET}@host",
    f"sentinel://:{SECRET}@a:26379;sentinel://:@b",
    f"db+nosuch://me:{SECRET}@host/name",
    f"rediss://:{SECRET}@host?ssl_cert_reqs=nonsense",
    f"mongodb://me:{SECRET}:x@host",
]


@pytest.fixture(autouse=True)
def nothing_is_reached(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(backend, "LOOK_LIMIT", 0.5)  # Sentinel is asked again and again
    with no_network():
        yield


def hidden(done: Ran) -> None:
    assert SECRET.lower() not in (done.out + done.err).lower()
    assert done.out + done.err


@pytest.fixture(params=URLS)
def name(request: pytest.FixtureRequest, elsewhere: Callable[..., str]) -> str:
    options = {"password": SECRET, "sentinel_kwargs": {"password": SECRET}}
    return elsewhere(
        broker_url=request.param,
        result_backend=request.param,
        broker_transport_options=options,
        result_backend_transport_options=options,
    )


@pytest.mark.parametrize(
    "words",
    [
        ("enqueue", "nothing", "--wait", "--json"),
        ("enqueue", "nothing", "--traceback"),
        ("taskresult", "one", "--traceback"),
    ],
    ids=" ".join,
)
def test_command(typed: Run, name: str, words: tuple[str, ...]) -> None:
    done = typed(*words, "-A", name)
    hidden(done)
    assert done.code in (2, 69)


def test_runworker__its_first_line(run_command: Run, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_base.RunCommand, "start", lambda *_: 0)
    hidden(run_command("runworker", "-A", name, skip_checks=True))


def test_rundev__its_line(typed: Run, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rundev, "become", lambda plan: None)
    monkeypatch.setattr("tasktools.management.site_parts.get_child_arguments", lambda: ["manage.py", *sys.argv[1:]])
    hidden(typed("rundev", "--no-web", "-A", name))


@pytest.mark.parametrize("url", URLS)
def test_check(run_command: Run, elsewhere: Callable[..., str], url: str, project: Project) -> None:
    app = celery_app.find(elsewhere(broker_url=url)).app
    assert app.conf.broker_url == url
    project.found = celery_app.Found(app=app)
    problem = ProjectError(f'"{url}" is wrong: {url[8:]}, {SECRET}', hint=f"fix {SECRET!r}")
    project.problems = [problem]
    hidden(run_command("check", tags=["tasktools"]))


def test_failure__that_a_worker_has_written(run_command: Run, typed: Run, elsewhere: Callable[..., str]) -> None:
    name = elsewhere(broker_url=f"redis://:{SECRET}@host", result_backend="cache+memory://")
    app: Any = celery_app.find(name).app
    app.backend.store_result(
        "with-a-secret", ConnectionError(f"AUTH {SECRET}"), "FAILURE", traceback=f"...\nAUTH {SECRET}"
    )
    for more in ((), ("--traceback",), ("--json",)):
        done = run_command("taskresult", "-A", name, "with-a-secret", *more)
        hidden(done)
        assert done.code == 1
    app.backend.store_result("is-a-secret", SECRET, "SUCCESS")
    assert run_command("taskresult", "-A", name, "is-a-secret").out == f"{SECRET}\n"  # what a task returns is data
