"""Fixtures: a project on disk, the app of the suite, a worker of it."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import sys
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import Empty
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError

from tasktools.project import Project
from tests.fork_server import ForkServer
from tests.order import dealt
from tests.servers import RabbitMQ, listens, started
from tests.support import Running, Site, wait_for

#: A moment, in seconds since 1970.
SENT = 1_700_000_000

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what goes to the background so, and the processes that tests start would never see a Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the tests for the processes that share them."""
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if processes > 1:
        items[:] = dealt(items, processes)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add what the processes of the test printed to the report of a test that failed."""
    report = yield
    made = getattr(item, "funcargs", {}).get("site")
    if report.failed and isinstance(made, Site):
        for running in made.running:
            report.sections.append((" ".join(map(str, running.process.args)), running.output[-20_000:]))
    return report


@dataclass(frozen=True)
class Ran:
    """What a command printed, and how it ended."""

    out: str
    err: str
    code: int


@pytest.fixture
def run_command() -> Callable[..., Ran]:
    """Run a management command in this process: run_command("enqueue", "add", "2", "2")."""

    def run(*words: str, **options: Any) -> Ran:
        out, err, code = io.StringIO(), io.StringIO(), 0
        try:
            call_command(*words, stdout=out, stderr=err, **options)
        except CommandError as error:
            err.write(str(error))
            code = error.returncode
        except SystemExit as error:
            code = int(error.code or 0)
        return Ran(out.getvalue(), err.getvalue(), code)

    return run


@pytest.fixture(autouse=True)
def memory_is_empty() -> None:
    """Forget what an earlier test left at memory:// and cache+memory://: there is one of each for a whole process."""
    made = sys.modules.get("kombu.transport.memory")
    if made is not None:
        made.Channel.queues.clear()
    results = sys.modules.get("celery.backends.cache")
    if results is not None:
        results._DUMMY_CLIENT_CACHE.clear()


@pytest.fixture(scope="session")
def fork_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer | None]:
    """What starts manage.py quickly, for this test process; None where the system has no such sockets (macOS)."""
    try:
        server = ForkServer(Site(tmp_path_factory.getbasetemp()).variables())
    except OSError:
        yield None
        return
    yield server
    server.close()


@pytest.fixture
def site(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Site]:
    """A Django project on disk; what a test starts in it is ended, and its private Valkey has gone when the test is over."""
    measured, *fresh = (request.node.get_closest_marker(name) is not None for name in ("measured", "smoke", "fresh"))
    server = None if any(fresh) else request.getfixturevalue("fork_server")
    with Site(tmp_path, measured=measured, fork_server=server, short_waits=not any(fresh)) as made:
        yield made


@pytest.fixture(scope="session")
def app() -> Any:
    """The ready-made app of the suite's own settings, on the private Valkey of this test process."""
    from tasktools.project import current_project

    found = current_project().found
    assert found is not None
    return found.app


@pytest.fixture
def broker_queue(app: Any) -> Iterator[Callable[[], list[Any]]]:
    """Take the messages of the queue "failed-tests" from the broker."""
    with app.connection_for_write() as opened:
        queue = opened.SimpleQueue("failed-tests")

        def take() -> list[Any]:
            found = []
            with contextlib.suppress(Empty):
                while True:
                    found.append(queue.get(block=False))
                    found[-1].ack()
            return found

        take()
        yield take
        take()
        queue.close()


@pytest.fixture
def project() -> Iterator[Project]:
    """What start-up found for the suite, as a copy that the test may change."""
    from tasktools.project import replaced

    with replaced() as made:
        yield made


@pytest.fixture(scope="session")
def suite_site() -> Iterator[Site]:
    """The suite's own settings as a project, for workers that serve the tests of this process."""
    base = Path(settings.BASE_DIR)
    with Site(
        base, "tests.settings", environment={"TESTS_BASE_DIR": str(base), "DJANGO_SETTINGS_MODULE": "tests.settings"}
    ) as made:
        yield made  # its worker ends before the server, which it would start again
    shutil.rmtree(base, ignore_errors=True)


@pytest.fixture(scope="module")
def worker(suite_site: Site) -> Iterator[Running]:
    """A worker of the suite's app: a real process. It ends with its module: others look at what waits in its queues."""
    words = ("-l", "INFO", "--without-mingle", "--without-gossip", "-c", "2", "-Q", "celery,slow")
    started = suite_site.start(sys.executable, "-m", "django", "runworker", "--noreload", *words)
    started.wait_for_output(" ready.")
    yield started
    started.end()


@pytest.fixture(scope="session")
def rabbitmq_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    """The RabbitMQ of this test process: a start costs six seconds of a processor."""
    with started(RabbitMQ, tmp_path_factory.mktemp("rabbitmq")) as server:
        yield server


@pytest.fixture(scope="module")
def rabbitmq(rabbitmq_server: RabbitMQ) -> RabbitMQ:
    """A running RabbitMQ, without the queues that other modules have filled. The tests of a module share it."""
    if listens(rabbitmq_server.port):
        rabbitmq_server.clear()
    else:  # a test that had killed it has failed
        rabbitmq_server.start()
    return rabbitmq_server


__all__ = ["wait_for"]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Be at a moment that `clock.at` changes, when messages are sent: 0.9 seconds after SENT."""
    from tasktools.brokers import recording
    from tasktools.publishing import sent_time

    clock = SimpleNamespace(at=SENT + 0.9, time=lambda: clock.at)
    monkeypatch.setattr(sent_time, "time", clock)
    monkeypatch.setattr(recording, "time", clock)
    return clock
