"""Several beats of one site as real processes: one sends, the others stand by, and no tick is sent twice."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests import servers
from tests.support import LIMIT, Running, Site, stop, wait_for

SCHEDULE = """
CELERY_BEAT_SCHEDULE = {f'often {n}': {'task': 'shop.tasks.add', 'schedule': 0.3, 'args': (n, 2)} for n in range(3)}
"""

#: A lease that does not end by itself during a test: whoever goes on before LIMIT has not waited for that.
LONG = SCHEDULE + "TASKTOOLS_BEAT_LEASE = '5m'\n"


@contextlib.contextmanager
def broker(site: Site) -> Iterator[Any]:
    """Connect to the private Valkey."""
    with redis.Redis(unix_socket_path=str(site.data / "valkey.sock")) as client:
        yield client


def start(site: Site, *words: str) -> Running:
    return site.start_manage("runbeat", "--noreload", "-l", "INFO", *words)


def pair(site: Site, settings: str = SCHEDULE) -> tuple[Running, Running]:
    """Return the beat in charge and one that stands by."""
    site.minimal(settings=settings)
    first = start(site)
    first.wait_for_output("Sending due task often")
    second = start(site)
    second.wait_for_output("beat: standing by. In charge: ")
    return first, second


def sent_and_kept(client: Any) -> tuple[int, int]:
    """Return how many messages there are, and how many runs beat has noted: of one moment."""
    [key] = [each for each in client.scan_iter("tasktools:beat:*") if client.type(each) == b"hash"]
    with client.pipeline(transaction=True) as pipe:
        length, fields = pipe.llen("celery").hgetall(key).execute()
    return length, sum(json.loads(value)["count"] for name, value in fields.items() if name.startswith(b"entry:"))


def assert_none_twice(client: Any) -> None:
    sent, kept = sent_and_kept(client)
    assert sent == kept > 0


def goes_on(client: Any, timeout: float = LIMIT) -> float:
    """Wait until something more is sent; return how long that took, in seconds."""
    before, began = client.llen("celery"), time.monotonic()
    wait_for(lambda: client.llen("celery") > before, timeout)
    return time.monotonic() - began


def test_killed__another_one_sends_soon(site: Site) -> None:
    first, second = pair(site)
    with broker(site) as client:
        first.end(signal.SIGKILL)
        assert goes_on(client) < 20  # 1.4 s and a tick on a machine that is idle
        assert "beat: in charge now, after " in second.output
        assert_none_twice(client)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_signal__hands_over(site: Site, signum: int) -> None:
    first, second = pair(site, LONG)
    first.process.send_signal(signum)
    second.wait_for_output("beat: in charge now, after ")
    assert first.wait() == 0
    with broker(site) as client:
        goes_on(client)
        assert_none_twice(client)
    assert "Traceback" not in first.output


def test_standby__ends_at_once(site: Site) -> None:
    first, second = pair(site, LONG)
    assert second.end(signal.SIGTERM) == 0
    with broker(site) as client:
        goes_on(client)
        assert client.keys("*:standing-by") == []
    assert first.process.poll() is None


def test_interrupted_twice__hands_over(site: Site) -> None:
    """The second signal, as a terminal and a supervisor may each send one, broke off giving up the lease."""
    first, second = pair(site, LONG)
    first.process.send_signal(signal.SIGINT)
    time.sleep(0.001)
    with contextlib.suppress(ProcessLookupError):
        first.process.send_signal(signal.SIGINT)
    assert first.wait() == 0
    second.wait_for_output("beat: in charge now, after ")
    assert "Traceback" not in first.output


def test_stopped_and_continued__sends_nothing_twice_and_stands_by(site: Site) -> None:
    first, second = pair(site)
    stop(first.process.pid)
    second.wait_for_output("beat: in charge now, after ")
    with broker(site) as client:
        goes_on(client)
        first.process.send_signal(signal.SIGCONT)
        first.wait_for_output("beat: standing by. In charge: ")
        goes_on(client)
        assert_none_twice(client)
    assert "Traceback" not in first.output


def test_no_standby__ends_with_75_and_a_sentence(site: Site) -> None:
    pair(site, LONG)
    ran = site.manage("runbeat", "--noreload", "--no-standby")
    assert ran.returncode == 75, ran.stderr
    error, hint = ran.stderr.splitlines()[-2:]
    assert error.startswith("Another beat is in charge: ")
    assert hint == "Hint: leave out --no-standby to wait for it"
    assert "Traceback" not in ran.stderr


def test_no_standby__alone_it_is_in_charge(site: Site) -> None:
    site.minimal(settings=SCHEDULE)
    beat = start(site, "--no-standby")
    beat.wait_for_output("Sending due task often")
    assert beat.end() == 0


def test_worker_with_beat__takes_part(site: Site) -> None:
    site.minimal(settings=LONG)
    worker = site.start_worker("-B", "-Q", "other")
    worker.wait_for_output("Sending due task often")
    beat = start(site)
    beat.wait_for_output("beat: standing by. In charge: ")
    worker.process.send_signal(signal.SIGTERM)
    beat.wait_for_output("beat: in charge now, after ")
    with broker(site) as client:
        goes_on(client)
        assert_none_twice(client)
        assert beat.end() == 0
        wait_for(lambda: worker.process.poll() is not None)


def test_whole_site_in_a_terminal__its_beat_takes_part(site: Site) -> None:
    site.minimal(settings=LONG)
    rundev = site.start_manage("rundev", "--no-web", "--no-worker")
    rundev.wait_for_output("Sending due task often")
    beat = start(site)
    beat.wait_for_output("beat: standing by. In charge: ")
    assert rundev.end(signal.SIGINT) == 0
    beat.wait_for_output("beat: in charge now, after ")
    with broker(site) as client:
        goes_on(client)
        assert_none_twice(client)


def test_reload__with_a_standby_nothing_is_sent_twice(site: Site) -> None:
    site.minimal(settings="from mysite.schedule import *")
    site.write("mysite/schedule.py", LONG)
    reloading = site.start_manage("runbeat", "-l", "INFO")
    reloading.wait_for_output("Sending due task often")
    other = start(site)
    other.wait_for_output("beat: standing by. In charge: ")
    site.write("mysite/schedule.py", LONG.replace("0.3", "0.45"))
    reloading.wait_for_output("new code runs")
    reloading.wait_for_output(", with other code and another schedule.")
    with broker(site) as client:
        goes_on(client)
        assert_none_twice(client)
    assert reloading.end() == 0


def test_other_version__is_named(site: Site) -> None:
    first, _ = pair(site, LONG)
    site.minimal(settings=LONG.replace("0.3", "0.45"))
    newer = start(site)
    said = newer.wait_for_output(", with other code and another schedule.")
    assert "beat: standing by. In charge: " in said
    first.process.send_signal(signal.SIGTERM)
    with broker(site) as client:
        goes_on(client)


@pytest.mark.parametrize("how", ["paused", "killed"])
def test_server_away_for_a_while__no_beat_ends_and_ticks_go_on(site: Site, tmp_path: Path, how: str) -> None:
    with servers.started(servers.Redis, tmp_path / "redis") as server:
        first, second = pair(site, f"{SCHEDULE}CELERY_BROKER_URL = {server.url!r}\n")
        if how == "paused":
            server.suspend()
            first.wait_for_output("Hint: ")  # an answer has taken too long, longer than a lease lasts
            server.resume()
        else:
            server.kill()
            second.wait_for_output("Hint: ")
            server.start()
        with server.client() as client:
            assert goes_on(client) < 30
            assert_none_twice(client)
        assert (first.process.poll(), second.process.poll()) == (None, None)
        assert "Traceback" not in first.output + second.output


def test_read_only_working_folder__nothing_is_written(site: Site) -> None:
    """Nobody, root included, can write into /proc."""
    site.minimal(settings=SCHEDULE)
    manage = str(site.root / "manage.py")
    beat = site.start("env", "-C", "/proc", sys.executable, manage, "runbeat", "--noreload", "-l", "INFO")
    beat.wait_for_output("Sending due task often")
    assert "cannot be written" not in beat.output
    assert beat.end() == 0
    assert not list(site.root.rglob("*beat-schedule*"))
    assert not os.path.exists("/proc/celerybeat-schedule")
