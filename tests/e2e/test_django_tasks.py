"""A site whose tasks are those of Django's Tasks framework."""

from __future__ import annotations

import json
import signal
import sys

import pytest

from tasktools.framework import library
from tests.support import CELERY_APP, Site, wait_for

LIBRARY = library.name()

pytestmark = pytest.mark.skipif(not LIBRARY, reason="neither a Django with the framework nor django-tasks")

SETTINGS = """
TASKS = {"default": {"BACKEND": "tasktools.backend.CeleryBackend", "QUEUES": ["default", "mails"]}}
CELERY_BEAT_SCHEDULE = {"sums": {"task": "shop.tasks.add", "schedule": 3600, "args": (1, 2)}}
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
"""

TASKS = f"""
import os, signal, time
from {LIBRARY} import task

@task
def add(x: int, y: int = 2) -> int:
    return x + y

@task(queue_name="mails", priority=10, takes_context=True)
def mail(context, to):
    return [to, context.attempt]

@task
async def later(x):
    return x

@task(takes_context=True)
def die(context, path):
    if context.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return context.attempt
"""

CLIENT = """
import sys, time
from shop import tasks
sent = [tasks.add.enqueue(1), tasks.mail.enqueue("a"), tasks.later.enqueue(7), tasks.die.enqueue("x")]
assert [each.task.get_result(each.id).id for each in sent] == [each.id for each in sent]
end = time.monotonic() + 30
while not all(each.is_finished for each in sent) and time.monotonic() < end:
    time.sleep(0.05)
    for each in sent:
        each.refresh()
print([(each.return_value, each.attempts) for each in sent])
"""


@pytest.fixture
def shop(site: Site) -> Site:
    site.minimal("shop", settings=SETTINGS)
    site.write("shop/tasks.py", TASKS)
    return site


def ran(shop: Site) -> str:
    done = shop.manage("shell", "-c", CLIENT)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.mark.smoke
def test_runworker__runs_what_is_enqueued(shop: Site) -> None:
    assert shop.manage("check").returncode == 0
    shop.start_worker("-Q", "celery,mails")
    assert ran(shop) == "[(3, 1), (['a', 1], 1), (7, 1), (2, 2)]"


def test_stock_worker__runs_them_as_well(shop: Site) -> None:
    shop.write("mysite/celery.py", CELERY_APP)
    shop.write("mysite/__init__.py", "from .celery import app\n")
    stock = (
        sys.executable,
        "-m",
        "celery",
        "-A",
        "mysite",
        "worker",
        "--without-mingle",
        "--without-gossip",
        "-c",
        "2",
    )
    worker = shop.start(
        *stock, "-l", "INFO", "-Q", "celery,mails", env={"DJANGO_SETTINGS_MODULE": shop.settings_module}
    )
    worker.wait_for_output(" ready.")
    assert ran(shop) == "[(3, 1), (['a', 1], 1), (7, 1), (2, 2)]"
    worker.end(signal.SIGTERM)


def test_commands__find_them_by_name(shop: Site) -> None:
    names = [each["name"] for each in json.loads(shop.manage("showtasks", "--json").stdout)]
    assert names == [f"shop.tasks.{name}" for name in ("add", "die", "later", "mail")]
    assert json.loads(shop.manage("runtask", "add", "1", "5", "--json").stdout)["result"] == 6
    assert json.loads(shop.manage("runtask", "mail", "me", "--json").stdout)["result"] == ["me", 1]
    assert json.loads(shop.manage("runtask", "later", "4", "--json").stdout)["result"] == 4
    wrong = shop.manage("enqueue", "add", "one")
    assert (wrong.returncode, '"x"' in wrong.stderr) == (2, True)
    assert "shop.tasks.add" in shop.manage("showschedule").stdout
    sent = shop.manage("enqueue", "add", "1", "--json")
    shop.start_worker()
    task_id = json.loads(sent.stdout)["id"]
    wait_for(lambda: json.loads(shop.manage("taskresult", task_id, "--json").stdout).get("result") == 3)
