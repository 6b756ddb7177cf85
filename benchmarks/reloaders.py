"""Three workers that start again on changed files: runworker, and a stock Celery under watchfiles and under watchmedo.

Each has a project of its own and a database of its own on one server; all three run at the same time.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import redis
from celery import Celery

from benchmarks import processes
from benchmarks.common import (
    LIMIT,
    PYTHON,
    await_,
    broker_url,
    folder,
    make_project,
    make_stock_project,
    program,
    server,
    started,
)
from benchmarks.tools import watchfiles_command, watchmedo_command

OPTIONS = ["-l", "INFO", "-c", "2"]

TASKS = """\
from celery import shared_task

VERSION = {version}


@shared_task
def version():
    return VERSION
"""

#: How long a side's processes must have been the same, and its queue empty, for it to be settled, in seconds.
CALM = 2.0

#: How many of the further files lie in one folder.
FILES_A_FOLDER = 100


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One of the three before it runs."""

    name: str
    root: Path
    command: Sequence[str]
    url: str
    client: redis.Redis


@dataclass(kw_only=True)
class Reloader:
    """One of the three as it runs, with a client of its queue that is connected already."""

    name: str
    root: Path
    process: subprocess.Popen[bytes]
    app: Celery
    client: redis.Redis
    log: Path
    version: int = 0
    #: Tasks of this round, in the order of sending.
    sent: list[str] = field(default_factory=list)

    def send(self) -> str:
        """Send a task that returns the version of the code it runs on, and return its id."""
        task_id = str(uuid.uuid4())
        self.app.send_task("shop.tasks.version", task_id=task_id)
        self.sent.append(task_id)
        return task_id

    def save(self) -> float:
        """Save the next version of the code in one step, as editors do, and return when (perf_counter)."""
        self.version += 1
        beside = self.root / "shop/tasks.py~"
        beside.write_text(TASKS.format(version=self.version))
        begin = time.perf_counter()
        os.replace(beside, self.root / "shop/tasks.py")
        return begin

    def answers(self, task_ids: Sequence[str]) -> dict[str, int | None]:
        """Return the versions that tasks have returned by now; None for one that failed."""
        found = self.client.mget([_key(each) for each in task_ids]) if task_ids else []
        results = {each: json.loads(text) for each, text in zip(task_ids, found, strict=True) if text}
        return {each: got["result"] if got["status"] == "SUCCESS" else None for each, got in results.items()}

    def forget_tasks(self) -> None:
        """Remove this round's results."""
        if self.sent:
            self.client.delete(*map(_key, self.sent))
            self.sent.clear()

    def settle(self) -> None:
        """Wait until nothing has come and gone for a while. Raises RuntimeError after LIMIT seconds."""
        deadline, since, before = time.monotonic() + LIMIT, time.monotonic(), {}
        while time.monotonic() - since < CALM:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} does not settle:\n{self.log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.2)
            now = processes.family(self.process.pid)
            if now != before or self.client.llen("celery"):
                since, before = time.monotonic(), now


@contextlib.contextmanager
def reloaders(files: int = 0) -> Iterator[list[Reloader]]:
    """Start the three, ours first, and yield them when each has run a task and is settled.

    Each project has `files` further modules, which nothing imports.
    """
    with folder() as root, contextlib.ExitStack() as stack:
        ours = make_project(root / "runworker", ["tasktools", "shop"])
        socket = stack.enter_context(server(ours))
        plans = list(_plans(root, ours, socket))
        for plan in plans:
            (plan.root / "shop/tasks.py").write_text(TASKS.format(version=0))
            write_modules(plan.root, files)
        running = [stack.enter_context(_running(plan, root / f"{plan.root.name}.log")) for plan in plans]
        for each in running:
            _await_first_task(each)
        yield running


def write_modules(root: Path, number: int) -> None:
    """Write further modules in folders under `root`."""
    for index in range(number):
        package, module = divmod(index, FILES_A_FOLDER)
        place = root / f"further/part_{package:03}"
        if not module:
            place.mkdir(parents=True)
        (place / f"module_{module:02}.py").write_text(f"NUMBER = {index}\n")


def _plans(root: Path, ours: Path, socket: Path) -> Iterator[Plan]:
    celery = [program("celery"), "-A", "proj", "worker", *OPTIONS]
    commands = {
        "manage.py runworker": [PYTHON, "manage.py", "runworker", *OPTIONS],
        "watchfiles": watchfiles_command(celery),
        "watchmedo auto-restart": watchmedo_command(celery),
    }
    for database, (name, command) in enumerate(commands.items()):
        url = broker_url(socket, database)
        place = make_stock_project(root / name.split()[0], url) if database else ours
        client = redis.Redis(unix_socket_path=str(socket), db=database)
        yield Plan(name=name, root=place, command=command, url=url, client=client)


@contextlib.contextmanager
def _running(plan: Plan, log: Path) -> Iterator[Reloader]:
    """Start one of the three; its output goes to a file that none of them watches."""
    app = Celery(plan.name, broker=plan.url)
    with log.open("wb") as output, started(plan.command, plan.root, output, limit=None) as process, plan.client:
        yield Reloader(name=plan.name, root=plan.root, process=process, app=app, client=plan.client, log=log)


def _await_first_task(side: Reloader) -> None:
    task_id = side.send()

    def done() -> bool:
        if side.process.poll() is not None:
            raise RuntimeError(f"{side.name} has ended:\n{side.log.read_text(errors='replace')[-3000:]}")
        return bool(side.answers([task_id]))

    await_(done, f"the first task under {side.name}")
    side.settle()
    side.forget_tasks()


def _key(task_id: str) -> str:
    """Return where Celery's result backend for Redis keeps a result."""
    return f"celery-task-meta-{task_id}"
