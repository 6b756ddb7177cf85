"""showworkers with real workers of which some are busy, stopped, killed, or of plain Celery."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers import Redis, started
from tests.support import Running, Site, stop_group, wait_for

TASKS = """
import os, time
from celery import shared_task

@shared_task
def hold(word):
    open("holds", "w").close()
    while not os.path.exists("go"):
        time.sleep(0.05)
"""


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[Redis]:
    with started(Redis, tmp_path / "redis") as server:
        yield server


def document(site: Site) -> Any:
    ran = site.manage("showworkers", "--json")
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def states(found: Any) -> dict[str, str]:
    return {each["name"]: each["state"] for each in found["workers"]}


def solo(site: Site, name: str, *words: str) -> Running:
    return site.start_worker("-P", "solo", "-n", f"{name}@h", *words)


def kill(running: Running, signum: int) -> None:
    os.killpg(running.process.pid, signum)


def test_workers__that_are_busy_stopped_and_killed(site: Site, redis_server: Redis) -> None:
    site.minimal(settings=f"CELERY_BROKER_URL = CELERY_RESULT_BACKEND = {redis_server.url!r}")
    site.write("shop/tasks.py", TASKS)
    solo(site, "busy")
    assert site.manage("enqueue", "hold", "x").returncode == 0
    wait_for((site.root / "holds").exists)
    site.start_worker("-P", "threads", "-n", "well@h")
    stopped, killed = solo(site, "stopped"), solo(site, "killed")
    wait_for(lambda: {"stopped@h", "killed@h"} <= set(states(document(site))))  # " ready." comes before they listen
    stop_group(stopped.process.pid)
    kill(killed, signal.SIGKILL)
    killed.wait()
    try:
        found = document(site)
        assert states(found) == {"busy@h": "silent", "stopped@h": "silent", "well@h": "online"}
        assert found["more_silent"] == 0
        (well,) = (each for each in found["workers"] if each["state"] == "online")
        assert (well["pool"], well["lacks"], well["has_more"]) == ("threads", [], [])
        assert len(well["code"]) == 12
        if sys.platform == "linux":
            assert 10e6 < well["memory"] < 1e9
    finally:
        kill(stopped, signal.SIGCONT)
    (site.root / "go").touch()
    wait_for(lambda: states(document(site))["busy@h"] == "online")


def test_workers__of_plain_celery_one_of_them_stopped(site: Site, redis_server: Redis) -> None:
    site.minimal(settings=f"CELERY_BROKER_URL = CELERY_RESULT_BACKEND = {redis_server.url!r}")
    words = ["-m", "celery", "-A", "tasktools.celery", "worker", "-l", "INFO", "-P", "solo"]
    variables = {"DJANGO_SETTINGS_MODULE": "mysite.settings"}
    workers = [
        site.start(sys.executable, *words, "--without-mingle", "-n", f"{name}@h", env=variables) for name in "ab"
    ]
    for each in workers:
        each.wait_for_output(" ready.")
    wait_for(lambda: states(document(site)) == {"a@h": "online", "b@h": "online"})  # " ready." comes before they listen
    stop_group(workers[1].process.pid)
    try:
        found = document(site)
        assert states(found) == {"a@h": "online", "b@h": "silent"}
        (online,) = (each for each in found["workers"] if each["state"] == "online")
        assert (online["celery"], online["code"], online["memory"]) == (None, None, None)
        assert online["peak_memory"] > 10e6
    finally:
        kill(workers[1], signal.SIGCONT)


def test_frozen_broker__ends_with_69_in_time(site: Site, redis_server: Redis) -> None:
    site.minimal(settings=f"CELERY_BROKER_URL = CELERY_RESULT_BACKEND = {redis_server.url!r}")
    redis_server.suspend()
    try:
        began = time.monotonic()
        ran = site.manage("showworkers", "--json")
        assert (ran.returncode, ran.stdout) == (69, "")
        assert time.monotonic() - began < 40
    finally:
        redis_server.resume()


#: How long a worker has to answer at the start of another one: the machine may be busy with other things.
PATIENT = "from tasktools.control import namesakes\nnamesakes.LIMITS, namesakes.OVERALL = {'redis': 60.0}, 120.0"

ALREADY = 'A worker with the name "same@h" already runs: what is sent to one may reach the other, or both.\nHint: give'


def consumers(site: Site) -> dict[str, Any]:
    ran = site.manage("showqueues", "--json")
    assert ran.returncode == 0, ran.stderr
    return {each["name"]: each["consumers"] for each in json.loads(ran.stdout)["queues"]}


def doubted(site: Site, name: str) -> list[tuple[str, str]]:
    """What taskdoctor says of the name of a worker: the status, and the sentence up to its colon."""
    found = json.loads(site.manage("taskdoctor", "--live", "--json").stdout)
    lines = [line for each in found["sections"] for line in each["lines"] if line["name"] == f"{name} name"]
    return [(line["status"], line["text"].partition(":")[0]) for line in lines]


def test_workers__with_one_name(site: Site, redis_server: Redis) -> None:
    """They were shown as one, and nobody said anything."""
    broker = f"CELERY_BROKER_URL = CELERY_RESULT_BACKEND = {redis_server.url!r}"
    site.minimal(settings=f"{broker}\n{PATIENT}")
    first = site.start_worker("-P", "threads", "-n", "same@h")
    wait_for(lambda: site.manage("showworkers").returncode == 0)  # " ready." comes before it listens
    second = site.start_worker("-P", "threads", "-n", "same@h")
    assert ALREADY in second.output
    assert "already runs" not in first.output
    wait_for(lambda: [each["same_name"] for each in document(site)["workers"]] == [2])
    wait_for(lambda: consumers(site).get("celery") == 2)  # they may answer late
    wait_for(lambda: doubted(site, "same@h") == [("warning", '2 workers have the name "same@h"')])
    assert [first.end(), second.end()] == [0, 0]
    assert "already runs" not in site.start_worker("-P", "threads", "-n", "same@h").output
