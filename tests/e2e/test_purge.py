"""purgequeue --task while workers run, and what a signal in the middle of it leaves."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from tests.servers import RabbitMQ
from tests.support import Site, stop, wait_for

TASKS = """
import time
from celery import shared_task

def record(name, n):
    with open(f"{name}.ran", "a") as file:
        file.write(f"{n}\\n")
    time.sleep(0.001)

@shared_task
def keep(n):
    record("keep", n)

@shared_task
def drop(n):
    record("drop", n)
"""

PRODUCER = """
import os
import time
import django
os.environ["DJANGO_SETTINGS_MODULE"] = "mysite.settings"
django.setup()
from shop.tasks import drop, keep

n = 0
while not os.path.exists("stop"):
    keep.delay(n)
    drop.delay(n)
    n += 1
    if n == 1000:
        print("many", flush=True)
    time.sleep(PAUSE)
print(f"sent={n}.", flush=True)
"""


def ran(site: Site, name: str) -> Counter[str]:
    file = site.root / f"{name}.ran"
    return Counter(file.read_text().split() if file.exists() else [])


@pytest.mark.parametrize("broker", ["private", "rabbitmq"])
def test_purge_of_one_task__while_workers_and_a_producer_run(
    site: Site, broker: str, request: pytest.FixtureRequest
) -> None:
    """Every other task runs exactly once, every purged one does not run, and the count is true."""
    is_private = broker == "private"
    url = "" if is_private else request.getfixturevalue("rabbitmq").url
    settings = "" if is_private else f"CELERY_BROKER_URL = {url!r}\nCELERY_TASK_DEFAULT_QUEUE = 'busy'\n"
    queue = "celery" if is_private else "busy"
    site.minimal(settings=settings)
    site.write("shop/tasks.py", TASKS)
    # A pass over a queue of RabbitMQ takes each message in turn: on a slow machine, a quick producer makes it a long one.
    site.write("producer.py", PRODUCER.replace("PAUSE", "0" if is_private else "0.002"))
    producer = site.start(sys.executable, "producer.py")
    producer.wait_for_output("many")
    workers = [site.start_worker("-n", f"{name}@%h") for name in ("one", "two")]
    removed = []
    for _ in range(3):
        done = site.manage("purgequeue", queue, "--task", "drop", "--noinput", "--json")
        assert done.returncode == 0, done.stderr
        [found] = json.loads(done.stdout)["queues"]
        removed.append(found["removed"])
    (site.root / "stop").touch()
    sent = int(producer.wait_for_rest("sent=").partition(".")[0])
    wait_for(lambda: len(ran(site, "keep")) == sent)
    wait_for(lambda: ran(site, "drop").total() + sum(removed) >= sent)
    for each in workers:
        assert each.end() == 0
    assert removed[0] > (500 if is_private else 0)
    assert ran(site, "keep") == Counter(map(str, range(sent)))
    assert ran(site, "drop").total() + sum(removed) == sent
    assert set(ran(site, "drop").values()) <= {1}


#: Has a command be slow at each step if the environment says so: a test that is slow itself still meets it in the middle.
SLOWLY = """
import os
import time
from redis.connection import AbstractConnection

send = AbstractConnection.send_packed_command

def slowly(self, *words, **options):
    time.sleep(float(os.environ.get("SLOWLY", 0)))
    return send(self, *words, **options)

AbstractConnection.send_packed_command = slowly
"""


@pytest.fixture
def client(site: Site) -> Iterator[Any]:
    """A queue of 20,000 messages, of two tasks in turn, and a client of the broker."""
    site.minimal(settings=SLOWLY)
    site.write("shop/tasks.py", TASKS)
    assert site.manage("enqueue", "keep", "0", "--task-id", "number-0000000").returncode == 0
    with redis.Redis(unix_socket_path=str(site.data / "valkey.sock")) as client:
        [model] = client.lrange("celery", 0, -1)
        client.delete("celery")
        for start in range(0, 20_000, 500):
            client.lpush("celery", *(message(model, n) for n in range(start, start + 500)))
        yield client


def message(model: bytes, n: int) -> bytes:
    found = model.replace(b"number-0000000", b"number-%07d" % n)
    return found.replace(b"shop.tasks.keep", b"shop.tasks.drop") if n % 2 else found


def ids(client: Any, task: str) -> list[int]:
    waiting = [json.loads(each)["headers"] for each in reversed(client.lrange("celery", 0, -1))]
    return [int(each["id"][-7:]) for each in waiting if each["task"] == f"shop.tasks.{task}"]


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_purge__that_a_signal_ends_loses_nothing(site: Site, client: Any, signum: int) -> None:
    purge = site.start_manage("purgequeue", "celery", "--task", "drop", "--noinput", "--json", env={"SLOWLY": "0.02"})
    wait_for(lambda: client.llen("celery") < 20_000, pause=0.001)
    code = purge.end(signum)
    left = ids(client, "drop")
    assert len(left) > 0, "it was not in the middle"
    assert ids(client, "keep") == list(range(0, 20_000, 2))
    assert left == sorted(set(left))
    assert set(client.keys("celery*")) == {b"celery"}
    if signum != signal.SIGKILL:
        document = purge.output[purge.output.index("{\n") :]  # it says how far it is ahead of that, if it takes long
        [found] = json.loads(document)["queues"]
        assert (code, found["removed"], found["left"]) == (130, 10_000 - len(left), 10_000 + len(left))
    again = site.manage("purgequeue", "celery", "--task", "drop", "--noinput", "--json")
    assert json.loads(again.stdout)["queues"][0]["removed"] == len(left)
    assert ids(client, "keep") == list(range(0, 20_000, 2))


def test_purge__of_a_broker_that_freezes_in_the_middle_ends_in_time(site: Site, client: Any) -> None:
    purge = site.start_manage("purgequeue", "celery", "--task", "drop", "--noinput", env={"SLOWLY": "0.02"})
    wait_for(lambda: client.llen("celery") < 19_500, pause=0.001)
    server = site.server_pid()
    assert server is not None
    stop(server)
    try:
        began = time.monotonic()
        code = purge.wait()
        seconds = time.monotonic() - began
    finally:
        os.kill(server, signal.SIGCONT)
    assert (code, seconds < 40) == (69, True)
    found = re.search(r"Before that, ([\d,]+) messages have been removed\.", purge.output)
    assert found is not None, purge.output
    removed = 10_000 - len(ids(client, "drop"))
    assert 0 < int(found[1].replace(",", "")) <= removed
    assert ids(client, "keep") == list(range(0, 20_000, 2))


def test_purge__on_rabbitmq(site: Site, rabbitmq: RabbitMQ) -> None:
    site.minimal(settings=f"CELERY_BROKER_URL = {rabbitmq.url!r}\nCELERY_TASK_DEFAULT_QUEUE = 'purged'")
    site.write("shop/tasks.py", TASKS)
    for words in (["--task", "drop"], []):
        unmade = site.manage("purgequeue", "purged", "--noinput", *words)
        assert (unmade.returncode, unmade.stdout.split()[-3:]) == (0, ["purged", "0", "0"]), unmade.stderr
    for n in range(10):
        for name in ("keep", "drop"):
            assert site.manage("enqueue", name, str(n)).returncode == 0
    dry = site.manage("purgequeue", "purged", "--task", "drop", "--dry-run", "--json")
    assert json.loads(dry.stdout) == {
        "dry_run": True,
        "task": "shop.tasks.drop",
        "with_workers": None,
        "queues": [{"queue": "purged", "waiting": 20, "chosen": None, "removed": 0, "left": 20}],
    }, dry.stderr
    done = site.manage("purgequeue", "purged", "--task", "drop", "--noinput")
    assert done.stdout.splitlines()[1].split() == ["purged", "10", "10"], done.stderr
    assert "goes back to its place" in done.stderr
    assert rabbitmq.lengths()["purged"] == (10, 0)
    worker = site.start_worker("-c", "1", "-P", "solo")
    wait_for(lambda: ran(site, "keep").total() == 10)
    assert (site.root / "keep.ran").read_text().split() == [str(n) for n in range(10)]
    worker.end()
    assert ran(site, "drop") == Counter()
    assert site.manage("enqueue", "keep", "11").returncode == 0
    whole = site.manage("purgequeue", "purged", "--noinput", "--json")
    assert json.loads(whole.stdout)["queues"][0]["removed"] == 1
    missing = site.manage("purgequeue", "purge", "--noinput")
    assert (missing.returncode, missing.stdout) == (4, "")
    assert 'There is no queue "purge" at amqp://guest:**@' in missing.stderr


def test_two_purges_at_once__on_rabbitmq(site: Site, rabbitmq: RabbitMQ) -> None:
    """Each would hold what the other seeks: the second waits."""
    site.minimal(settings=f"CELERY_BROKER_URL = {rabbitmq.url!r}\nCELERY_TASK_DEFAULT_QUEUE = 'twice'")
    site.write("shop/tasks.py", TASKS)
    site.write("fill.py", FILL)
    assert site.run(sys.executable, "fill.py").returncode == 0
    purges = [
        site.start_manage("purgequeue", "twice", "--task", name, "--noinput", "--json") for name in ("keep", "drop")
    ]
    assert [each.wait() for each in purges] == [0, 0], [each.output for each in purges]
    found = [re.search(r'"removed": (\d+)', each.output) for each in purges]
    assert [each and each[1] for each in found] == ["1500", "1500"]
    assert rabbitmq.lengths() | {"twice": (0, 0)} == rabbitmq.lengths()
    assert not [name for name in rabbitmq.lengths() if name.startswith("tasktools.purge")]


FILL = """
import os
import django
os.environ["DJANGO_SETTINGS_MODULE"] = "mysite.settings"
django.setup()
from shop.tasks import drop, keep

for n in range(1500):
    keep.delay(n)
    drop.delay(n)
"""
