"""The page "Tasks" of the admin: 50 queues with messages, 30 workers, 300 entries of the schedule, 10,000 failed tasks.

    python -m benchmarks.admin_page [--looks N]

The site is in this process: Django's test client, a file of SQLite, the private Valkey. The workers are not real: a second
process has thirty nodes of kombu's remote control, which answer what thirty workers of runworker would. The time is that of
the whole view, with its middleware. Commands are those that this process sends to the broker, counted in its client of Redis:
each command of a pipeline counts, and a script counts once. The first look connects too, and is not among them. What the workers
send to answer is theirs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

QUEUES, WORKERS, ENTRIES, FAILED, LOOKS = 50, 30, 300, 10_000, 15

#: Seconds until the first page and until a later answer, and commands at the broker.
FIRST, REFRESH, COMMANDS = 0.3, 0.1, 10

PAGE = "/admin/tasktools/taskoverview/"


def main() -> int:
    """Measure, print, and return the exit code."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument(
        "--looks", type=int, default=LOOKS, metavar="N", help=f"how often the page asks again ({LOOKS})"
    )
    options.add_argument("--nodes", metavar="FOLDER", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.nodes:
        answer_as_workers(Path(given.nodes))
        return 0
    with tempfile.TemporaryDirectory(prefix="tt-") as folder:
        return measure(Path(folder), given.looks)


def configure(folder: Path) -> Any:
    """Make this process the site; return the Celery app."""
    import django
    from django.conf import settings

    from project import settings as demo

    crontabs: dict[str, Any] = {}
    if not settings.configured:
        from celery.schedules import crontab

        crontabs = {
            f"entry-{number}": {
                "task": "project.demo.tasks.fetch_weather",
                "schedule": crontab(minute=str(number % 60), hour=f"*/{1 + number % 5}")
                if number % 2
                else 60.0 + number,
            }
            for number in range(ENTRIES)
        }
        settings.configure(
            **{name: getattr(demo, name) for name in dir(demo) if name.isupper()}
            | {
                "BASE_DIR": folder,
                "DATABASES": {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": folder / "db.sqlite3"}},
                "TASKTOOLS_DATA_DIR": folder / "data",
                "TASKTOOLS_LINGER": "2s",
                "CELERY_BEAT_SCHEDULE": crontabs,
                "CELERY_BROKER_POOL_LIMIT": None,  # thirty nodes of one process reply at the same time
            }
        )
    django.setup()
    from tasktools.project import current_project

    found = current_project().found
    assert found is not None
    return found.app


def measure(folder: Path, looks: int) -> int:
    app = configure(folder)
    fill(app)
    with nodes(folder):
        client, count = logged_in(), counting()
        of_looks = counting_looks(count)
        get(client, "/admin/")  # what any page of the admin imports
        first, first_busy, _ = timed(lambda: get(client, PAGE))
        time.sleep(2.5)
        again, again_busy, _ = timed(lambda: get(client, PAGE))
        times, busy = [], []
        for _ in range(looks):
            seconds, processor, answer = timed(lambda: get(client, f"{PAGE}live/"))
            times.append(seconds)
            busy.append(processor)
            time.sleep(3)  # the look goes on after the answer
        commands = of_looks[1:]
        crowd = ten_people(client, count)
    print("commands of each look:", *commands)
    workers = answer.count('data-label=\\"Running\\"')
    print(f"shown: {workers} workers, {answer.count('do/pause/')} queues, {answer.count('do/run/')} entries")
    ok = [
        line("first page of the process", first, FIRST),
        line("first page later", again, FIRST),
        line("both, time of the processor, longest", max(first_busy, again_busy), FIRST),
        line("refresh, median", statistics.median(times), REFRESH),
        line("refresh, longest", max(times), REFRESH),
        line("refresh, time of the processor, longest", max(busy), REFRESH),
        line("commands at the broker for a look, median", statistics.median(commands), COMMANDS, "g"),
        line("commands at the broker for a look, most", max(commands), COMMANDS, "g"),
        line("commands for ten people in 10 s, a look", crowd, COMMANDS, "g"),
        workers == WORKERS,
    ]
    return 0 if all(ok) else 1


def line(name: str, value: float, limit: float, form: str = ".3f") -> bool:
    verdict = "ok" if value <= limit else "MISSED"
    print(f"{name:45} {value:{form}}  (at most {limit:g}) {verdict}")
    return value <= limit


def fill(app: Any) -> None:
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.utils import timezone

    from tasktools.models import FailedTask

    call_command("migrate", verbosity=0)
    User.objects.create_superuser("admin", "admin@example.com", "x")
    now = timezone.now()
    FailedTask.objects.bulk_create(
        [
            FailedTask(
                task_id=str(uuid.uuid4()),
                task=f"shop.tasks.task_{number % 40}",
                kind="raised",
                exception=f"shop.errors.Error{number % 7}",
                reason="no answer " * 20,
                failed_at=now,
                message="{}",
            )
            for number in range(FAILED)
        ],
        batch_size=1_000,
    )
    task = app.tasks["project.demo.tasks.add"]
    with app.connection_for_write() as connection, app.amqp.Producer(connection) as producer:
        for number in range(QUEUES):
            for _ in range(20):
                task.apply_async((2, 2), queue=f"queue-{number}", producer=producer)
    keep_minutes(app)


def keep_minutes(app: Any) -> None:
    from tasktools.brokers.keys import Keys
    from tasktools.health.minutes import hashes_of

    with app.connection_for_write() as connection:
        client = Keys(connection.default_channel).client
        for minute in range(60):
            hour, place = divmod(int(time.time() // 60) - minute, 60)
            fields = {
                "succeeded": 900,
                "failed": 7,
                "retried": 12,
                "ms": 80_000,
                **{f"r{each}": 100 for each in range(9)},
            }
            client.hset(
                f"{hashes_of(app)}{hour}", mapping={f"{place:02}:{name}": value for name, value in fields.items()}
            )


def logged_in() -> Any:
    from django.contrib.auth.models import User
    from django.test import Client

    client = Client()
    client.force_login(User.objects.get(username="admin"))
    return client


def get(client: Any, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200, answer.status_code
    return str(answer.content.decode())


def timed(call: Callable[[], str]) -> tuple[float, float, str]:
    """Return how long a call takes, and how long the processor is busy with it: other programs may use the processors too."""
    began, busy = time.perf_counter(), time.thread_time()
    found = call()
    return time.perf_counter() - began, time.thread_time() - busy, found


def counting() -> Callable[[], int]:
    """Count the commands that clients of Redis in this process send; return what tells how many."""
    from redis.connection import AbstractConnection

    sent: list[int] = []
    one, many = AbstractConnection.send_command, AbstractConnection.pack_commands

    def send_command(self: Any, *words: Any, **options: Any) -> Any:
        sent.append(1)
        return one(self, *words, **options)

    def pack_commands(self: Any, commands: Any) -> Any:
        commands = list(commands)
        sent.append(len(commands))
        return many(self, commands)

    AbstractConnection.send_command, AbstractConnection.pack_commands = send_command, pack_commands  # type: ignore[method-assign]
    return lambda: sum(sent)


def counting_looks(count: Callable[[], int]) -> list[int]:
    """Return a list that gets the number of commands of each look."""
    from tasktools.overview.eye import Eye

    found: list[int] = []
    look = Eye.look

    def counted(self: Eye) -> Any:
        before = count()
        try:
            return look(self)
        finally:
            found.append(count() - before)

    Eye.look = counted  # type: ignore[method-assign]
    return found


def ten_people(client: Any, count: Callable[[], int]) -> float:
    """Return how many commands a look costs while ten people ask every second."""
    before, until = count(), time.monotonic() + 10

    def look() -> None:
        while time.monotonic() < until:
            get(client, f"{PAGE}live/")
            time.sleep(1)

    people = [threading.Thread(target=look) for _ in range(10)]
    for each in people:
        each.start()
    for each in people:
        each.join()
    return round((count() - before) / 5, 1)  # a look lasts two seconds


@contextlib.contextmanager
def nodes(folder: Path) -> Iterator[None]:
    words = [sys.executable, "-m", "benchmarks.admin_page", "--nodes", str(folder)]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


def answer_as_workers(folder: Path) -> None:
    """Be thirty workers: one connection each, as real ones have."""
    app = configure(folder)
    listening = []
    for number in range(WORKERS):
        connection = app.connection_for_read()
        mailbox = app.control.mailbox(connection)
        handlers = {name: (lambda state, _said=said, **_: _said) for name, said in said_by(number).items()}
        listening.append(
            (connection, mailbox.Node(f"worker-{number}@host", handlers=handlers, channel=connection.default_channel))
        )
    threads = [threading.Thread(target=serve, args=each, daemon=True) for each in listening]
    for each in threads:
        each.start()
    time.sleep(2)
    print("ready", flush=True)
    sys.stdin.read()


def serve(connection: Any, node: Any) -> None:
    node.listen()
    while True:
        with contextlib.suppress(TimeoutError):
            connection.drain_events(timeout=1)


def said_by(number: int) -> dict[str, Any]:
    now = time.time()
    running = [
        {"id": str(uuid.uuid4()), "name": "shop.tasks.pay", "args": "(1, 2)", "kwargs": "{}", "time_start": now - each}
        for each in range(4)
    ]
    stats = {
        "pid": 1000 + number,
        "total": {"shop.tasks.pay": 5000},
        "pool": {
            "implementation": "celery.concurrency.prefork:TaskPool",
            "max-concurrency": 4,
            "processes": [1, 2, 3, 4],
        },
        "tasktools": {"reserved": 4, "scheduled": 0, "memory": 90_000_000, "since": now - 5000, "celery": "5.7.0"},
    }
    queues = [{"name": f"queue-{each}"} for each in range(number % 10, QUEUES, 10)]
    return json.loads(json.dumps({"stats": stats, "active_queues": queues, "active": running}))  # type: ignore[no-any-return]


if __name__ == "__main__":
    raise SystemExit(main())
