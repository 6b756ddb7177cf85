"""Fixtures of the command tests: a command as it is typed, and other apps."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import ModuleType
from typing import Any

import pytest
from celery import Celery
from django.core.management import load_command_class

from tasktools.discovery import django_fixup
from tasktools.project import Project, current_project
from tasktools.queues import position
from tests.conftest import Ran
from tests.nodes import node
from tests.servers import Redis, started
from tests.support import Site

Run = Callable[..., Ran]


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command as manage.py does: only there argparse and --json speak for themselves."""

    def run(*words: str) -> Ran:
        code = 0
        try:
            load_command_class("tasktools", words[0]).run_from_argv(["manage.py", *words])
        except SystemExit as error:
            code = int(error.code or 0)
        printed = capsys.readouterr()
        return Ran(printed.out, printed.err, code)

    return run


@pytest.fixture
def elsewhere(app: Any, project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Make apps for -A, which changes the project. Afterwards they are gone, and the suite's is the current one again."""
    monkeypatch.setenv("CELERY_SKIP_CHECKS", "1")
    made: list[Any] = []

    def make(**conf: Any) -> str:
        module: Any = ModuleType(f"elsewhere_{uuid.uuid4().hex}")
        module.app = Celery("elsewhere", set_as_current=False)
        module.app.conf.update(conf)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        made.append(module.app)
        return f"{module.__name__}:app"

    yield make
    for each in made:
        each.close()
    app.set_current()
    app.set_default()


@pytest.fixture
def server_that_ends_with_the_suite(suite_site: Site) -> None:
    """Have the suite end the private Valkey, which the first message of a test starts."""


@pytest.fixture(autouse=True, scope="session")
def rest() -> None:
    """Load once what a worker knows besides: what a test sees does not hang on the tests before it."""
    found = current_project().found
    assert found is not None
    django_fixup.load_rest(found)


@pytest.fixture(autouse=True)
def queues_are_read_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a command find where a task is also on a machine that is busy with other things."""
    monkeypatch.setattr(position, "BUDGET", 60.0)


@pytest.fixture
def queue() -> str:
    """The name of a queue that nobody reads."""
    return f"unread-{uuid.uuid4()}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with started(Redis, tmp_path_factory.mktemp("redis")) as made:
        yield made


@pytest.fixture
def fleet(server: Redis, elsewhere: Callable[..., str]) -> Iterator[Callable[..., str]]:
    """Start nodes by name, and return the -A of an app of their broker: fleet(a={...}, b=None); a node of None is stopped."""
    server.client().flushall()
    with ExitStack() as stack:

        def start(**nodes: Any) -> str:
            app = stack.enter_context(Celery("fleet", broker=server.url, set_as_current=False))
            for name, functions in nodes.items():
                stack.enter_context(node(app, f"{name}@h", functions or {}, answers=functions is not None))
            return elsewhere(broker_url=server.url)

        yield start
