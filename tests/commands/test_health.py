"""--health and --stuck-after as they are typed; a worker that answers is in tests/e2e/test_health.py."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from tasktools.exceptions import UsageError
from tasktools.health.answer import Answer, Limits
from tasktools.health.worker_watch import WorkerWatch
from tasktools.management import health
from tests.commands.conftest import Run
from tests.support import Site

DRAIN = ("runworker", "--noreload", "--drain", "-P", "solo", "--without-mingle", "--without-gossip")


@pytest.mark.parametrize("command", ["runworker", "runbeat"])
def test_health__that_is_no_address(typed: Run, command: str) -> None:
    ran = typed(command, "--noreload", "--health", "somewhere")
    expected = '--health "somewhere" is neither a port nor an address with a port.\nHint: give a port (8001), '
    assert (ran.code, ran.err.startswith(expected)) == (2, True)


@pytest.mark.parametrize(("word", "said"), [("soon", "soon"), ("0s", "--stuck-after is not longer than nothing.")])
def test_stuck_after__that_is_no_duration(typed: Run, word: str, said: str) -> None:
    ran = typed("runworker", "--noreload", "--stuck-after", word)
    assert ran.code == 2
    assert said in ran.err


def test_limits__are_as_typed_and_of_no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESTS_HEALTH_LIMITS", "loop=1 stuck=1")
    assert health.read({"health": None, "stuck_after": "10m"}) == (None, Limits(stuck=600.0))
    address, limits = health.read({"health": "8001"})
    assert (str(address), limits) == ("127.0.0.1:8001", Limits())
    assert health.read({"health": None, "stuck_after": "10m"}, Limits(loop=1.0))[1] == Limits(loop=1.0, stuck=600.0)


def test_file__that_cannot_be_written_is_said_once_and_the_worker_runs(site: Site) -> None:
    site.minimal().write("probes", "a file")
    ran = site.manage(*DRAIN, env={"TASKTOOLS_PROBE_DIR": str(site.root / "probes")})
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.count("No probe can read a file of this worker: ") == 1
    assert f'"{site.root}/probes" is not a folder.' in ran.stderr


def test_socket__may_be_of_a_path_and_is_reported(site: Site) -> None:
    ran = site.minimal().manage(*DRAIN, "--health", "unix:w.sock")
    assert ran.returncode == 0, ran.stderr
    assert f"\nhealth: unix:{site.root}/w.sock\n" in ran.stderr


@pytest.fixture
def routes() -> Any:
    return health._routes(WorkerWatch(Limits()), list, None)


def test_routes__say_what_the_watch_says(routes: Any) -> None:
    live, ready = routes["/livez"](), routes["/readyz"]()
    assert (live.status, live.body) == (200, b"ok: starting\n")
    assert (ready.status, ready.body) == (503, b"not ok: starting\n")


def test_reply__with_half_a_character() -> None:
    assert health._reply(Answer(False, "\ud800")).body == b"not ok: ?\n"


def test_metrics__are_text_for_prometheus(routes: Any) -> None:
    reply = routes["/metrics"]()
    assert (reply.status, reply.type.partition(";")[0]) == (200, "text/plain")


@pytest.fixture
def without_library(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.delitem(sys.modules, "tasktools.health.exposition", raising=False)
    monkeypatch.delattr("tasktools.health.exposition", raising=False)
    yield
    sys.modules.pop("tasktools.health.exposition", None)


def test_metrics__without_the_library_name_the_pip_install(without_library: None) -> None:
    reply = health._routes(WorkerWatch(Limits()), list, None)["/metrics"]()
    assert reply.status == 501
    assert b"pip install 'django-tasktools[metrics]'" in reply.body


def test_server__of_a_later_process_waits_for_the_address() -> None:
    """The process before it has the address: this one must not fail."""
    address: Any = SimpleNamespace(listen=lambda: pytest.fail("it tried at once"))
    command: Any = SimpleNamespace(line=SimpleNamespace(before=1), note=pytest.fail)
    assert health._server(command, address, dict) is not None
    assert health._server(command, None, dict) is None


def test_server__of_the_first_process_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    command: Any = SimpleNamespace(line=None, note=said.append)
    address, _ = health.read({"health": "0"})
    server = health._server(command, address, dict)
    assert server is not None
    server.stop()
    assert said[0].startswith("health: http://127.0.0.1:")
    assert not said[0].endswith(":0")
    with pytest.raises(UsageError):
        health.read({"health": "x"})
