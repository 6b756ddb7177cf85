"""pausequeue and resumequeue while workers run: nothing begins, nothing is lost, the order is kept."""

from __future__ import annotations

import json
import signal
import sys
import time
from datetime import datetime
from typing import Any

import pytest

from tests.servers import free_port
from tests.support import LIMIT, Running, Site, stop, wait_for

TASKS = """
import time
from celery import shared_task

def record(name, n, seconds):
    with open(f"{name}.ran", "a") as file:
        file.write(f"{n} {time.time()}\\n")
    time.sleep(seconds)

def is_held(n):
    try:
        with open("hold") as file:
            return n % 1000 >= int(file.read())
    except FileNotFoundError:
        return False

@shared_task
def work(n, seconds=0.01):
    record("work", n, seconds)
    while is_held(n):
        time.sleep(0.01)

@shared_task
def other(n):
    record("other", n, 0.01)
"""

SENDER = """
import os
import django
os.environ["DJANGO_SETTINGS_MODULE"] = "mysite.settings"
django.setup()
from shop import tasks

for n in range({number}):
    tasks.work.apply_async((n, 0.02), queue="busy")
"""


#: It sends up to a thousand tasks to each row, until the file `enough` is there.
ROWS_SENDER = """
import os
import pathlib
import time
import django
os.environ["DJANGO_SETTINGS_MODULE"] = "mysite.settings"
django.setup()
from shop import tasks

sent = 0
while sent < 1000 and not os.path.exists("enough"):
    for row, queue in enumerate(["row-prefork", "row-threads"]):
        tasks.work.apply_async((1000 * row + sent, 0.002), queue=queue)
    sent += 1
    time.sleep(0.1)
pathlib.Path("sent").write_text(str(sent))
"""


def prepare(site: Site, settings: str = "") -> None:
    site.minimal(settings=settings)
    site.write("shop/tasks.py", TASKS)


def prepare_for(site: Site, broker: str, request: pytest.FixtureRequest) -> None:
    """Prepare a site of a broker: "private" or "rabbitmq"."""
    if broker == "private":
        prepare(site)
        return
    prepare(site, f"CELERY_BROKER_URL = {request.getfixturevalue('rabbitmq').url!r}\n")
    assert site.manage("migrate", "-v", "0").returncode == 0


def hold(site: Site, first: int) -> None:
    """Have each task `work` from this number on wait: a slow command must not come when all is done."""
    (site.root / "hold.new").write_text(str(first))
    (site.root / "hold.new").rename(site.root / "hold")


def let_go(site: Site) -> None:
    (site.root / "hold").unlink()


def send(site: Site, name: str, queue: str, first: int, last: int) -> None:
    lines = site.root / "lines.jsonl"
    lines.write_text("".join(f"[{n}]\n" for n in range(first, last)))
    done = site.manage("enqueue", name, "--queue", queue, "--from", str(lines))
    assert done.returncode == 0, done.stderr


def begun(site: Site, name: str, row: int = 0) -> list[tuple[int, float]]:
    """Return the number of each task of a row (of a thousand) that has begun, and when, in the order of their beginnings."""
    file = site.root / f"{name}.ran"
    lines = file.read_text().splitlines() if file.exists() else []
    found = [(int(n), float(at)) for n, at in (line.split() for line in lines if line.count(" ") == 1)]
    return sorted((each for each in found if each[0] // 1000 == row), key=lambda each: each[1])


#: The exit code where a worker has not confirmed in time.
UNCONFIRMED = 3


def command(site: Site, *words: str) -> dict[str, Any]:
    """Run a command. On a busy machine a worker may confirm late: it is paused again; what is resumed needs no more than that."""
    done = site.manage(*words, "--json")
    deadline = time.monotonic() + LIMIT
    while done.returncode == UNCONFIRMED and words[0] == "pausequeue" and time.monotonic() < deadline:
        done = site.manage(*words, "--json")
    assert done.returncode in (0, *[UNCONFIRMED] * (words[0] == "resumequeue")), done.stderr + done.stdout
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def ready(site: Site, *queues: str) -> dict[str, int]:
    """Return how many messages wait in these queues, or in each that is known."""
    return {each["name"]: each["ready"] for each in command(site, "showqueues", *queues)["queues"]}


def start(site: Site, name: str) -> Running:
    """Start one of four: prefork and threads, by runworker (the threads with --health) and by Celery's own command."""
    common = ("-l", "INFO", "-c", "2", "-Q", "busy,quiet", "--without-mingle", "--without-gossip", "-n", f"{name}@%h")
    more = ("-P", "threads") if name in ("two", "four") else ()
    if name in ("one", "two"):
        health = ("--health", str(free_port())) if name == "two" else ()
        return site.start_manage("runworker", "--noreload", *common, *more, *health)
    stock = (sys.executable, "-m", "celery", "-A", "tasktools", "worker", *common, *more)
    return site.start(*stock, env={"DJANGO_SETTINGS_MODULE": "mysite.settings"})


def workers(site: Site, *names: str) -> list[Running]:
    made = [start(site, each) for each in names]
    for each in made:
        each.wait_for_output(" ready.")
    return made


def end(running: list[Running]) -> list[int]:
    """End all at once, and return their exit codes."""
    for each in running:
        each.process.send_signal(signal.SIGTERM)
    return [each.wait() for each in running]


def assert_none_begins(site: Site, since: float, *queues: str) -> None:
    """Have the workers do tasks that are not paused, and assert that meanwhile no other one has begun."""
    before, each = len(begun(site, "other")), 10
    for queue in queues:
        send(site, "other", queue, 0, each)
    wait_for(lambda: len(begun(site, "other")) == before + each * len(queues), what="the other tasks")
    late = [at - since for row in (0, 1) for _, at in begun(site, "work", row) if at > since]
    assert late == []


NAMES = {"one", "two", "three", "four"}


@pytest.mark.parametrize("broker", ["private", "rabbitmq"])
def test_pause__of_a_queue_of_four_workers_under_load(site: Site, broker: str, request: pytest.FixtureRequest) -> None:
    """No task begins after the command has returned, nor after all workers have ended; resumed, each runs once."""
    number = 240
    prepare_for(site, broker, request)
    hold(site, 160)
    site.write("sender.py", SENDER.format(number=number))
    running = workers(site, *sorted(NAMES))
    sender = site.start(sys.executable, "sender.py")
    wait_for(lambda: len(begun(site, "work")) > 30, what="the load")
    done = command(site, "pausequeue", "busy", "--reason", "a test")
    returned = time.time()
    # On RabbitMQ a reply that comes late is not waited for: the command sees that the worker has left the queue.
    names = {each.partition("@")[0] for each in done["confirmed_by"]}
    assert names == NAMES or (broker == "rabbitmq" and names and names < NAMES)
    let_go(site)
    assert_none_begins(site, returned, "quiet")
    assert sender.wait() == 0
    assert end(running) == [0, 0, 0, 0]
    left = number - len(begun(site, "work"))
    assert left > 50
    wait_for(lambda: ready(site, "busy")["busy"] == left, what="RabbitMQ, which takes back what workers had at once")
    workers(site, "two", "three")
    assert_none_begins(site, returned, "quiet")
    command(site, "resumequeue", "busy")
    wait_for(lambda: len(begun(site, "work")) >= number, what="the rest")
    assert sorted(n for n, _ in begun(site, "work")) == list(range(number))


def test_pause__on_rabbitmq_is_not_confirmed_for_a_worker_that_is_stopped(
    site: Site, request: pytest.FixtureRequest
) -> None:
    """The others have left the queue by then: the consumer that remains must not be taken for one of theirs."""
    prepare_for(site, "rabbitmq", request)
    stopped, *_ = [
        site.start_worker("-P", "threads", "-Q", "busy", "-n", f"{name}@%h") for name in ("one", "two", "three")
    ]
    stop(stopped.process.pid)
    try:
        for _ in range(2):  # of a queue that is paused, too
            done = site.manage("pausequeue", "busy")
            assert done.returncode == UNCONFIRMED, done.stderr
            assert '1 more consumer still takes from "busy": its worker has not confirmed' in done.stderr
    finally:
        stopped.process.send_signal(signal.SIGCONT)
    assert command(site, "pausequeue", "busy")["paused"]


#: The workers of the tests with one worker a row: by its pool, the number of its row.
ROWS = {"prefork": 0, "threads": 1}


def start_rows(site: Site) -> list[Running]:
    return [site.start_worker("-c", "1", "-Q", f"row-{each}", "-P", each, "-n", f"{each}@%h") for each in ROWS]


def numbers(site: Site, pool: str) -> list[int]:
    """Return the numbers of what has begun in the row of a pool."""
    return [n - 1000 * ROWS[pool] for n, _ in begun(site, "work", ROWS[pool])]


def send_rows(site: Site, first: int, last: int) -> None:
    for pool, row in ROWS.items():
        send(site, "work", f"row-{pool}", 1000 * row + first, 1000 * row + last)


def wait_for_rows(site: Site, count: int) -> None:
    wait_for(lambda: all(len(numbers(site, each)) >= count for each in ROWS), what=f"{count} of each row")


@pytest.mark.parametrize("broker", ["private", "rabbitmq"])
def test_pause__keeps_the_order_and_survives_a_killed_worker(
    site: Site, broker: str, request: pytest.FixtureRequest
) -> None:
    number, rows = 60, [f"row-{each}" for each in ROWS]
    prepare_for(site, broker, request)
    running = start_rows(site)
    hold(site, 25)
    send_rows(site, 0, number)
    for stage in (10, 30):
        wait_for_rows(site, stage)
        command(site, "pausequeue", *rows)

        def is_kept() -> bool:
            """Whether each task waits or has begun. One that is acknowledged and has not got that far is lost with its worker."""
            waiting = ready(site, *rows)
            return all(waiting[f"row-{each}"] + len(numbers(site, each)) == number for each in ROWS)

        wait_for(is_kept, what="what was fetched to be back")
        before = [numbers(site, each) for each in ROWS]
        let_go(site)
        if stage == 30:
            for each in running:
                each.end(signal.SIGKILL)
            start_rows(site)
        assert [numbers(site, each) for each in ROWS] == before
        hold(site, 45 if stage == 10 else number)
        command(site, "resumequeue", *rows)
    wait_for_rows(site, number)
    assert [numbers(site, each) for each in ROWS] == [list(range(number))] * len(ROWS)


def test_pause__of_a_task_puts_its_messages_aside_and_back_in_order(site: Site) -> None:
    """Other tasks of the queue go on; a worker that is killed meanwhile loses nothing."""
    rows = [f"row-{each}" for each in ROWS]
    prepare(site)
    running = start_rows(site)
    hold(site, 20)
    send_rows(site, 0, 40)
    wait_for_rows(site, 5)
    command(site, "pausequeue", "--task", "work")
    returned = time.time()
    let_go(site)
    assert_none_begins(site, returned, *rows)

    def are_aside(number: int) -> bool:
        """Whether all the others are. kombu loses what it takes from Redis if it is killed before it has noted that."""
        aside = [count for name, count in ready(site).items() if name.startswith("tasktools.paused:")]
        return sorted(aside) == sorted(number - len(numbers(site, each)) for each in ROWS)

    wait_for(lambda: are_aside(40), what="what waited to be aside")
    assert all(len(numbers(site, each)) < 40 for each in ROWS)
    send_rows(site, 40, 60)
    wait_for(lambda: are_aside(60), what="the new ones to be aside")
    for each in running:
        each.end(signal.SIGKILL)
    start_rows(site)
    assert_none_begins(site, returned, *rows)
    command(site, "resumequeue", "--task", "work")
    wait_for_rows(site, 60)
    assert [numbers(site, each) for each in ROWS] == [list(range(60))] * len(ROWS)
    assert not any(name.startswith("tasktools.paused:") for name in ready(site))


def test_pause__that_ends_while_tasks_are_sent_keeps_the_order(site: Site) -> None:
    """Ended by its time and by a command, of a task and of the queues, one after the other."""
    prepare(site)
    site.write("sender.py", ROWS_SENDER)
    start_rows(site)
    sender = site.start(sys.executable, "sender.py")
    rows = [f"row-{each}" for each in ROWS]
    wait_for_rows(site, 1)
    for words in (["--task", "work"], rows):
        command(site, "pausequeue", *words, "--for", "1s")
        count = max(len(numbers(site, each)) for each in ROWS)
        wait_for_rows(site, count + 5)
        command(site, "pausequeue", *words)
        command(site, "resumequeue", *words)
    (site.root / "enough").touch()
    assert sender.wait() == 0
    number = int((site.root / "sent").read_text())
    wait_for_rows(site, number)
    assert [numbers(site, each) for each in ROWS] == [list(range(number))] * len(ROWS)


def test_pause__for_a_time_ends_by_itself(site: Site) -> None:
    """A task and a queue, in a worker for each."""
    prepare(site)
    start_rows(site)
    made = [command(site, "pausequeue", *words, "--for", "5s") for words in (["--task", "work"], ["row-threads"])]
    send_rows(site, 0, 20)
    wait_for_rows(site, 20)
    assert [numbers(site, each) for each in ROWS] == [list(range(20))] * len(ROWS)
    ends = [datetime.fromisoformat(each["paused"][0]["until"]).timestamp() for each in made]
    first = [begun(site, "work", row)[0][1] for row in ROWS.values()]
    assert first[0] >= ends[0]
    assert first[1] >= max(ends)
    assert command(site, "pausequeue") == {"paused": []}


def test_pause__of_a_busy_solo_worker_is_said_and_it_begins_no_other_task(site: Site) -> None:
    prepare(site)
    site.start_worker("-Q", "busy", "-P", "solo", "-n", "solo@%h")
    hold(site, 0)
    send(site, "work", "busy", 0, 3)
    wait_for(lambda: begun(site, "work"))
    done = site.manage("pausequeue", "busy")
    assert done.returncode == 3
    assert "solo@" in done.stderr
    assert "has not confirmed within 2 s." in done.stderr
    let_go(site)
    assert command(site, "pausequeue", "busy")["confirmed_by"]
    assert len(begun(site, "work")) == 1
    assert ready(site, "busy") == {"busy": 2}


FAST_CLOCK = """
import sys
from datetime import timedelta
if "runworker" in sys.argv:
    import tasktools.queues.pauses as pauses
    real = pauses.utc_now
    pauses.utc_now = lambda: real() + timedelta(hours=1)
"""


def test_pause__of_a_worker_whose_clock_is_fast_is_not_confirmed(site: Site) -> None:
    prepare(site, FAST_CLOCK)
    worker = site.start_manage("runworker", "--noreload", "-P", "solo", "-Q", "busy")
    worker.wait_for_output(" ready.")
    done = site.manage("pausequeue", "busy", "--for", "30m")
    assert (done.returncode, "its clock is about 1 h ahead of this one" in done.stderr) == (3, True), done.stderr
    command(site, "pausequeue", "busy")
    worker.wait_for_output("Paused: queue busy")
    done = site.manage("resumequeue", "busy")
    assert done.stdout.startswith("Resumed busy: paused since "), done.stderr
    # It may look at the broker before it is told: it says nothing until then.
    worker.wait_for_output("No longer paused: queue busy: it was resumed.")
