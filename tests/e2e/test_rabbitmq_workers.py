"""showworkers and revoketask on RabbitMQ, which does not say who listens, and lets nobody look into a queue."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import celery
import pytest

from tests.servers import RabbitMQ
from tests.support import Running, Site, stop_group, wait_for

TASKS = """
import time
from pathlib import Path
from celery import shared_task

def wait(word):
    Path(f"{word}.begun").touch()
    while not Path("go").exists():
        time.sleep(0.05)

@shared_task
def hold(word):
    wait(word)

@shared_task
def alone(word):
    wait(word)

@shared_task
def add(x, y):
    return x + y
"""

SETTINGS = """
CELERY_BROKER_URL = {url!r}
CELERY_RESULT_BACKEND = {results!r}
CELERY_TASK_TRACK_STARTED = CELERY_RESULT_EXTENDED = True
CELERY_TASK_DEFAULT_QUEUE = {name!r}
CELERY_TASK_ROUTES = {{"shop.tasks.alone": {{"queue": {alone!r}}}}}
"""


@pytest.fixture
def queue(site: Site, rabbitmq: RabbitMQ, tmp_path: Path) -> str:
    """A project with queues of its own; the name of the one that is used if none is named."""
    name, results = tmp_path.name, tmp_path / "results"
    results.mkdir()
    settings = SETTINGS.format(url=rabbitmq.url, results=f"file://{results}", name=name, alone=f"{name}-alone")
    site.minimal(settings=settings)
    site.write("shop/tasks.py", TASKS)
    return name


def send(site: Site, *words: str) -> str:
    done = site.manage("enqueue", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def document(site: Site, *words: str) -> Any:
    ran = site.manage(*words, "--json")
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def stock_worker(site: Site, *words: str) -> Running:
    """A worker of plain Celery."""
    command = (sys.executable, "-m", "celery", "-A", "tasktools.celery", "worker", "-l", "INFO", "-P", "solo")
    worker = site.start(*command, "--without-mingle", *words, env={"DJANGO_SETTINGS_MODULE": "mysite.settings"})
    worker.wait_for_output(" ready.")
    return worker


def test_showworkers__all_that_is_said_there(site: Site, queue: str) -> None:
    site.start_worker("-P", "solo", "-n", "busy@h", "-Q", f"{queue}-alone")
    alone = send(site, "alone", "one")
    wait_for((site.root / "one.begun").exists)
    only_busy = document(site, "showworkers")  # only a route names its queue
    known = {"workers": [], "more_silent": None, "more_consumers": {f"{queue}-alone": 1}}
    assert only_busy == {**known, "paused": None}  # the table of the pauses is not there

    site.start_worker("-c", "1", "-n", "web@h", "-Q", f"{queue},{queue}-mails")
    stock_worker(site, "-n", "stock@h", "-Q", f"{queue}-stock")
    stopped = site.start_worker("-P", "threads", "-n", "stopped@h", "-Q", f"{queue}-mails")
    stop_group(stopped.process.pid)
    try:
        check_columns(site, queue)
        check_silent(site, alone)
    finally:
        os.killpg(stopped.process.pid, signal.SIGCONT)
    (site.root / "go").touch()
    names = ["busy@h", "stock@h", "stopped@h", "web@h"]
    wait_for(lambda: [each["name"] for each in document(site, "showworkers")["workers"]] == names)
    assert document(site, "showworkers")["more_consumers"] == {}


def check_columns(site: Site, queue: str) -> None:
    """One worker runs a task, has taken another one, and holds a third one for later; one of plain Celery has nothing to do."""
    running = send(site, "hold", "two")
    wait_for((site.root / "two.begun").exists)
    for words in ([], ["--countdown", "600"]):
        send(site, "add", "1", "2", *words)

    def has_all() -> Any:
        found = document(site, "showworkers")
        counts = [(each["running"], each["reserved"], each["scheduled"]) for each in found["workers"]]
        return found if counts == [(0, 0, 0), (1, 1, 1)] else None

    found = wait_for(has_all)
    assert (found["more_silent"], found["more_consumers"]) == (None, {f"{queue}-alone": 1, f"{queue}-mails": 1})
    stock, web = found["workers"]
    begun = datetime.fromisoformat(web.pop("up_since"))
    assert timedelta() < datetime.now(timezone.utc) - begun < timedelta(minutes=2)
    assert 10e6 < web.pop("memory" if sys.platform == "linux" else "peak_memory") < 1e9
    assert re.fullmatch("[0-9a-f]{12}", web.pop("code"))
    [task] = web.pop("tasks")
    assert 0 < task.pop("seconds") < 60
    assert abs(datetime.fromisoformat(task.pop("since")) - datetime.now(timezone.utc)) < timedelta(minutes=1)
    assert task == {"id": running, "name": "shop.tasks.hold", "args": "('two',)", "kwargs": "{}"}
    assert web.pop("pid") == site.running[1].process.pid
    known = {"name": "web@h", "state": "online", "pool": "prefork", "concurrency": 1, "processed": 1, "lacks": []}
    known |= {"queues": [queue, f"{queue}-mails"], "celery": celery.__version__, "has_more": []}
    assert web.items() >= known.items()
    assert (stock["name"], stock["pool"], stock["processed"], stock["tasks"]) == ("stock@h", "solo", 0, [])
    assert (stock["celery"], stock["code"], stock["memory"]) == (None, None, None)
    assert stock["peak_memory"] > 10e6
    table = site.manage("showworkers", "--tasks")
    assert table.returncode == 0
    assert re.search(rf"^web@h +online +prefork 1 +{queue}.* 1 +1 +1 +1 +\d+ MB ", table.stdout, re.MULTILINE)
    assert re.search(rf"^web@h +shop\.tasks\.hold +\d+ s +\('two',\) +{running}$", table.stdout, re.MULTILINE)
    for each in ("alone", "mails"):
        assert f'1 more consumer takes from the queue "{queue}-{each}", of workers' in table.stderr


def check_silent(site: Site, task_id: str) -> None:
    """A worker runs it that does not answer: only its state says so."""
    asked = site.manage("taskresult", task_id, "--json")
    found = json.loads(asked.stdout)
    assert (asked.returncode, found["state"], found["place"], found["worker"]) == (3, "STARTED", "unknown", "busy@h")
    revoked = document(site, "revoketask", task_id)
    assert (revoked["tasks"][0]["place"], revoked["confirmed_by"]) == ("unknown", ["stock@h", "web@h"])


def test_revoketask__what_is_said_and_what_becomes_of_the_tasks(site: Site, queue: str) -> None:
    worker = site.start_worker("-c", "1", "-n", "web@h")
    waiting = send(site, "add", "1", "1", "--queue", f"{queue}-unread")
    running = send(site, "hold", "one")
    wait_for((site.root / "one.begun").exists)
    taken, later = send(site, "add", "1", "2"), send(site, "add", "1", "3", "--countdown", "600")
    worker.wait_for_output(f"[{later}] received")
    ids = (waiting, running, taken, later, "no-such-id")
    found = document(site, "revoketask", *ids)
    places = [(each["place"], each["worker"]) for each in found["tasks"]]
    held = [(place, "web@h") for place in ("running", "reserved", "scheduled")]
    assert places == [("unknown", None), *held, ("unknown", None)]
    assert (found["confirmed_by"], found["failed"], found["silent"]) == (["web@h"], {}, None)
    assert document(site, "revoketask", waiting)["tasks"][0]["place"] == "revoked"  # a worker knows it now

    ended = site.manage("revoketask", running, "--terminate", "--noinput")
    said = f"{running} (shop.tasks.hold): it runs on web@h, which ends it with SIGTERM.\n"
    assert (ended.returncode, ended.stdout) == (0, said), ended.stderr
    for task_id in (running, taken):
        wait_for(lambda task_id=task_id: site.manage("taskresult", task_id).returncode == 1)
        assert state_of(site, task_id) == "REVOKED"
    site.manage("celery", "control", "add_consumer", f"{queue}-unread")
    worker.wait_for_output(f"Discarding revoked task: shop.tasks.add[{waiting}]")
    worker.end()
    for command in (("showworkers",), ("revoketask", waiting)):
        assert site.manage(*command).returncode == 69


def state_of(site: Site, task_id: str) -> Any:
    return json.loads(site.manage("taskresult", task_id, "--json").stdout)["state"]
