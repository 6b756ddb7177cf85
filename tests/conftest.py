"""Fixtures: a project on disk, the app of the suite, a worker of it."""

from __future__ import annotations

import io
import shutil
import signal
import sys
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError

from tasktools.project import Project
from tests.fork_server import ForkServer
from tests.support import Running, Site, wait_for

#: A moment, in seconds since 1970.
SENT = 1_700_000_000

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what goes to the background so, and the processes that tests start would never see a Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)


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
    server = None if measured or any(fresh) else request.getfixturevalue("fork_server")
    with Site(tmp_path, measured=measured, fork_server=server) as made:
        yield made


@pytest.fixture(scope="session")
def app() -> Any:
    """The ready-made app of the suite's own settings, on the private Valkey of this test process."""
    from tasktools.project import current_project

    found = current_project().found
    assert found is not None
    return found.app


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


@pytest.fixture(scope="session")
def worker(suite_site: Site) -> Running:
    """A worker of the suite's app: a real process."""
    words = ("-l", "INFO", "--without-mingle", "--without-gossip", "-c", "2", "-Q", "celery,slow")
    started = suite_site.start(sys.executable, "-m", "django", "runworker", "--noreload", *words)
    started.wait_for_output(" ready.")
    return started


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
