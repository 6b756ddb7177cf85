"""The ways to fail, over the pools: each is one row with the right words and the message as it was sent; the rest is none."""

from __future__ import annotations

import base64
import json
import re
import signal
import sqlite3
import sys
from typing import Any

import pytest
import redis

from tasktools.failures.message import Kept
from tests.support import Running, Site, wait_for

TASKS = """
import os, signal, threading, time
from pathlib import Path
from celery import shared_task
from celery.exceptions import Ignore, Reject

class Odd(Exception):
    def __init__(self, one, two):
        super().__init__(f"odd {one} {two}")
        self.lock = threading.Lock()

def first(name):
    if Path(name).exists():
        return False
    Path(name).touch()
    return True

@shared_task
def fail(word):
    secret_of_the_frame = "hush"
    raise ValueError(word)

@shared_task
def odd():
    raise Odd("one", "two")

@shared_task(bind=True, max_retries=2)
def again(self):
    raise self.retry(exc=OSError("no answer"), countdown=0)

@shared_task
def refuse():
    raise Reject("not this one", requeue=False)

@shared_task(time_limit=1)
def hard():
    time.sleep(60)

@shared_task(soft_time_limit=1)
def soft():
    time.sleep(60)

@shared_task
def killed():
    os.kill(os.getpid(), signal.SIGKILL)

@shared_task
def add(x, y):
    return x + y

@shared_task
def nap():
    print("napping", flush=True)
    time.sleep(60)

@shared_task(acks_late=True)
def put_back():
    if first("put_back"):
        raise Reject("later", requeue=True)

@shared_task
def ignored():
    raise Ignore()

@shared_task(bind=True)
def retried(self):
    if first("retried"):
        raise self.retry(countdown=0)

@shared_task(acks_late=True, reject_on_worker_lost=True)
def lost_once():
    if first("lost_once"):
        os.kill(os.getpid(), signal.SIGKILL)

@shared_task
def last():
    pass
"""

#: Sends one task of each kind, and prints their ids by what they are to show.
SENDER = """
import json, sys
import django
django.setup()
from celery import chord, current_app as app, signature
from shop.tasks import *
sent = {
    "raised": fail.apply_async(("brökên",), queue="slow").id,
    "unpicklable": odd.delay().id,
    "retries": again.delay().id,
    "rejected": refuse.delay().id,
    "unregistered": app.send_task("shop.tasks.nosuch", (1,)).id,
    "callback": add.apply_async((1, 2), link=signature("shop.tasks.add", (1,), options={"serializer": "nosuch"})).id,
}
with app.connection_for_write() as connection, app.amqp.Producer(connection) as producer:
    headers = {"id": "undecodable", "task": "shop.tasks.add", "retries": 0}
    producer.publish(
        b"\\xff{", headers=headers, routing_key="celery", content_type="application/json", content_encoding="utf-8"
    )
    sent["undecodable"] = "undecodable"
    producer.publish(
        b"x", headers={**headers, "id": "pickle"}, routing_key="celery",
        content_type="application/x-python-serialize", content_encoding="utf-8",
    )
    sent["pickle"] = "pickle"
    producer.publish({"hello": 1}, correlation_id="stray", routing_key="celery")
    sent["stray"] = "stray"
sent["chord"] = chord([fail.s("in the header"), add.s(1, 1)])(add.s(2)).parent.results[0].id
if sys.argv[1] == "prefork":
    sent["hard"], sent["soft"], sent["lost"] = hard.delay().id, soft.delay().id, killed.delay().id
    lost_once.delay()
put_back.delay(), ignored.delay(), retried.delay(), add.delay(3, 3)
add.apply_async((4, 4), expires=-1)
last.delay()
print(json.dumps(sent))
"""

#: By what is sent: kind, exception, the whole reason, the end of the traceback, the task and the arguments.
TABLE = {
    "raised": ("raised", "builtins.ValueError", "brökên", "ValueError: brökên", "fail", ["brökên"]),
    "unpicklable": ("raised", "shop.tasks.Odd", "odd one two", "Odd('odd one two')", "odd", []),
    "retries": ("retries", "builtins.OSError", "no answer", "OSError: no answer", "again", []),
    "rejected": (
        "rejected",
        "celery.exceptions.Reject",
        "not this one",
        "Reject: ('not this one', False)",
        "refuse",
        [],
    ),
    "unregistered": (
        "unregistered",
        "celery.exceptions.NotRegistered",
        'The task "shop.tasks.nosuch" is not registered in this worker.',
        "",
        "nosuch",
        [1],
    ),
    "callback": (
        "callback",
        "kombu.exceptions.SerializerNotInstalled",
        "No encoder installed for nosuch",
        "No encoder installed for nosuch",
        "add",
        [1, 2],
    ),
    "undecodable": (
        "undecodable",
        "kombu.exceptions.DecodeError",
        "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
        "",
        "add",
        None,
    ),
    "pickle": (
        "undecodable",
        "kombu.exceptions.ContentDisallowed",
        "Refusing to deserialize untrusted content of type pickle (application/x-python-serialize)",
        "",
        "add",
        None,
    ),
    "stray": ("undecodable", "", "The message names no task.", "", None, None),
    "chord": (
        "raised",
        "builtins.ValueError",
        'in the header\nThe body of its chord, "shop.tasks.add", does not run.',
        "ValueError: in the header",
        "fail",
        ["in the header"],
    ),
    "hard": (
        "hard_limit",
        "billiard.exceptions.TimeLimitExceeded",
        "It exceeded its time limit of 1 s, and its process was killed.",
        "",
        "hard",
        [],
    ),
    "soft": (
        "soft_limit",
        "billiard.exceptions.SoftTimeLimitExceeded",
        "It exceeded its soft time limit.",
        "SoftTimeLimitExceeded()",
        "soft",
        [],
    ),
    "lost": (
        "lost",
        "billiard.exceptions.WorkerLostError",
        r"Worker exited prematurely: signal 9 (SIGKILL) Job: N. The system ends processes so when the memory is used up.",
        "",
        "killed",
        [],
    ),
    "terminated": ("terminated", "", "It was terminated by revoke, with SIGTERM.", "", "nap", []),
}

PREFORK = {"hard", "soft", "lost", "terminated"}


def rows(site: Site) -> list[dict[str, Any]]:
    with sqlite3.connect(f"file:{site.root / 'db.sqlite3'}?mode=ro", uri=True, timeout=30) as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute("SELECT * FROM tasktools_failedtask")]


def row_of(site: Site, task_id: str) -> dict[str, Any] | None:
    found = [row for row in rows(site) if row["task_id"] == task_id]
    assert len(found) < 2
    return found[0] if found else None


def shop(site: Site, settings: str = "") -> Site:
    site.minimal(settings=settings)
    site.write("shop/tasks.py", TASKS)
    site.environment["DJANGO_SETTINGS_MODULE"] = site.settings_module
    migrated = site.manage("migrate", "-v", "0")
    assert migrated.returncode == 0, migrated.stderr
    return site


def send(site: Site, pool: str) -> tuple[dict[str, str], dict[str, Any]]:
    """Send all; return the id of each, and all messages by their ids, as they are in the broker."""
    done = site.run(sys.executable, "-c", SENDER, pool)
    assert done.returncode == 0, done.stderr
    messages = {}
    with redis.Redis(unix_socket_path=str(site.data / "valkey.sock")) as client:
        for queue in ("celery", "slow"):
            for text in client.lrange(queue, 0, -1):
                message = json.loads(text)
                messages[message["headers"].get("id") or message["properties"]["correlation_id"]] = message
    return json.loads(done.stdout), messages


def revoke(site: Site, worker: Running) -> str:
    task_id = site.manage("enqueue", "nap").stdout.strip()
    worker.wait_for_output("napping")
    site.manage("celery", "control", "terminate", "TERM", task_id)
    wait_for(lambda: row_of(site, task_id), what="the row of the task that was terminated")
    return task_id


def check_message(row: dict[str, Any], sent: dict[str, Any]) -> None:
    """Compare what is kept with what the broker had, byte for byte."""
    kept = Kept.read(row["message"], row["body"])
    delivery = ("delivery_tag", "delivery_info", "body_encoding", "delivery_mode")
    assert kept.body == base64.b64decode(sent["body"])
    assert (kept.content_type, kept.content_encoding) == (sent["content-type"], sent["content-encoding"])
    if row["kind"] == "retries":  # it has Celery's own retry
        assert kept.headers["retries"] == 2
        return
    assert kept.headers == sent["headers"]
    of_sent, of_kept = (
        {name: value for name, value in each.items() if name not in delivery}
        for each in (sent["properties"], kept.properties)
    )
    assert of_kept == of_sent
    assert kept.delivery_info["routing_key"] == sent["properties"]["delivery_info"]["routing_key"]


@pytest.mark.parametrize(("pool", "late"), [("prefork", False), ("prefork", True), ("threads", False), ("solo", False)])
def test_failure__each_is_one_row_with_the_right_words(site: Site, pool: str, late: bool) -> None:
    shop(site, f"CELERY_TASK_ACKS_LATE = {late}\n")
    sent, messages = send(site, pool)
    worker = site.start_worker("-P", pool, "-Q", "celery,slow", "-n", "w1@here")
    wait_for(lambda: set(sent.values()) <= {row["task_id"] for row in rows(site)}, what="all rows")
    if pool == "prefork":
        sent["terminated"] = revoke(site, worker)
    wait_for(lambda: re.search(r"Task shop\.tasks\.last\[\S+ succeeded", worker.output))
    assert worker.end(signal.SIGTERM) == 0
    assert set(sent) == set(TABLE) - (set() if pool == "prefork" else PREFORK)
    found = {row["task_id"]: row for row in rows(site)}
    assert len(rows(site)) == len(found) == len(sent)
    for what, task_id in sent.items():
        kind, exception, reason, traceback, task, args = TABLE[what]
        row = found[task_id]
        told = re.sub(r"Job: \d+", "Job: N", row["reason"])
        assert (row["kind"], row["exception"], told) == (kind, exception, reason), what
        assert row["traceback"].rstrip().endswith(traceback), what
        assert bool(row["traceback"]) is bool(traceback)
        assert row["task"] == (f"shop.tasks.{task}" if task else "")
        assert row["arguments"] == (
            "" if args is None else json.dumps({"args": args, "kwargs": {}}, ensure_ascii=False)
        )
        assert (row["queue"], row["worker"]) == ("slow" if what == "raised" else "celery", "w1@here")
        assert (row["state"], row["retries"], row["failures"]) == ("failed", 2 if what == "retries" else 0, 0)
        assert "hush" not in str(row)
        begun = kind not in ("unregistered", "undecodable")
        assert bool(row["started_at"]) is begun
        assert not begun or row["sent_at"] <= row["started_at"] <= row["failed_at"]
        if what != "terminated":
            check_message(row, messages[task_id])


@pytest.mark.parametrize("pool", ["gevent", "eventlet"])
def test_failure__of_a_greenlet(site: Site, pool: str) -> None:
    shop(site)
    worker = site.start_manage("runworker", "--noreload", "-P", pool, "-l", "INFO", "-c", "10")
    worker.wait_for_output(" ready.")
    failed = site.manage("enqueue", "fail", "broken").stdout.strip()
    wait_for(lambda: row_of(site, failed), what="the row")
    unknown = site.run(sys.executable, "-c", _SEND_UNKNOWN).stdout.strip()
    wait_for(lambda: row_of(site, unknown), what="the row of an unregistered task")
    assert worker.end() == 0
    assert [row["kind"] for row in rows(site)] == ["raised", "unregistered"]


_SEND_UNKNOWN = """
import django
django.setup()
from celery import current_app
print(current_app.send_task("shop.tasks.nosuch").id)
"""


def test_failure__of_a_stock_worker(site: Site) -> None:
    shop(site)
    worker = site.start_manage("celery", "worker", "-c", "1", "-l", "INFO", "--without-mingle")
    worker.wait_for_output(" ready.")
    failed = site.manage("enqueue", "fail", "broken").stdout.strip()
    wait_for(lambda: row_of(site, failed), what="the row")


@pytest.mark.parametrize("pool", ["prefork", "gevent"])
def test_cold_stop__what_it_cuts_off_is_lost(site: Site, pool: str) -> None:
    shop(site)
    worker = site.start_manage("runworker", "--noreload", "-P", pool, "-c", "2", "-l", "INFO")
    worker.wait_for_output(" ready.")
    task_id = site.manage("enqueue", "nap").stdout.strip()
    worker.wait_for_output("napping")
    with redis.Redis(unix_socket_path=str(site.data / "valkey.sock")) as client:
        wait_for(lambda: not client.hlen("unacked"), what="the message to be acknowledged")
    worker.end(signal.SIGQUIT)
    row = row_of(site, task_id)
    assert row is not None
    assert (row["kind"], row["reason"]) == ("lost", "It was cut off when its worker stopped.")


def test_success__of_a_retry_mends_its_row(site: Site) -> None:
    shop(site)
    worker = site.start_worker()
    failed = site.manage("enqueue", "fail", "broken").stdout.strip()
    wait_for(lambda: row_of(site, failed), what="the row")
    with sqlite3.connect(site.root / "db.sqlite3") as database:
        database.execute("UPDATE tasktools_failedtask SET state = 'sent', new_id = 'second'")
    send_retry(site, "fail", '"again"', "second", failed)
    wait_for(lambda: row_of(site, "second"), what="the row of the retry")
    second = row_of(site, "second")
    assert second is not None
    assert (second["retry_of"], second["failures"]) == (failed, 1)
    with sqlite3.connect(site.root / "db.sqlite3") as database:
        database.execute("UPDATE tasktools_failedtask SET state = 'sent', new_id = 'third' WHERE task_id = 'second'")
    send_retry(site, "add", "1, 2", "third", "second")
    wait_for(lambda: [row["state"] for row in rows(site)] == ["mended", "mended"], what="both rows to be mended")
    assert all(row["mended_at"] for row in rows(site))
    assert worker.end() == 0


def send_retry(site: Site, task: str, args: str, task_id: str, retry_of: str) -> None:
    headers = {"tasktools_retry_of": retry_of, "tasktools_failures": 1}
    call = f"{task}.apply_async(({args},), task_id={task_id!r}, headers={headers!r})"
    code = f"import django; django.setup(); from shop.tasks import *; {call}"
    done = site.run(sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr


def test_site__that_is_not_migrated_is_told_once(site: Site) -> None:
    site.minimal()
    site.write("shop/tasks.py", TASKS)
    worker = site.start_worker()
    for _ in range(3):
        assert site.manage("enqueue", "fail", "x", "--wait", "--timeout", "60s").returncode == 1
    assert site.manage("enqueue", "add", "1", "2", "--wait", "--timeout", "60s").stdout == "3\n"
    assert site.manage("migrate", "tasktools").returncode == 0
    assert site.manage("enqueue", "fail", "x", "--wait", "--timeout", "60s").returncode == 1
    worker.wait_for_output("their table is there")
    assert worker.end() == 0
    assert worker.output.count("manage.py migrate tasktools") == 1
    assert len(rows(site)) == 4


@pytest.mark.parametrize("settings", ["DATABASES = {}\n", "TASKTOOLS_FAILED = False\n"])
def test_site__without_a_database_or_with_the_record_off(site: Site, settings: str) -> None:
    site.minimal(settings=settings)
    site.write("shop/tasks.py", TASKS)
    worker = site.start_worker()
    assert site.manage("enqueue", "fail", "x", "--wait", "--timeout", "60s").returncode == 1
    assert worker.end() == 0
    assert "recorded" not in worker.output
