"""The projects whose beats are compared, and the command line of each side."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.beat_server import MASTER, Guarded, Server
from benchmarks.common import PYTHON, STOCK_CELERY, STOCK_INIT, make_project, program
from benchmarks.tools import redbeat_celery

SIDES = ("ours", "stock", "redbeat")

TASKS = """\
from celery import shared_task


@shared_task(ignore_result=True)
def note(**told):
    pass
"""

#: Each message says of which entry it is, when it was made, and by which process.
ENTRY = """
import os
import time

from celery.beat import BeatLazyFunc
from celery.schedules import crontab, schedule

CELERY_BROKER_URL = "{url}"


def _entry(name, when):
    return {{"task": "shop.tasks.note", "schedule": when, "kwargs": {{"entry": name, {made}}}}}


def _entries(number, name, when):
    return {{f"{{name}}{{n:03}}": _entry(f"{{name}}{{n:03}}", when) for n in range(number)}}


"""

MADE = '"made": BeatLazyFunc(time.time), "pid": BeatLazyFunc(os.getpid)'

#: RedBeat keeps an entry as JSON, which has no place for BeatLazyFunc: there a receiver of a signal writes the same.
REDBEAT_CELERY = f"""\
{STOCK_CELERY}

import time

from celery.signals import before_task_publish

app.conf.update(%s)


@before_task_publish.connect
def sign(headers, **_):
    headers.update(made=time.time(), pid=os.getpid())
"""


@dataclass(frozen=True, kw_only=True)
class Maker:
    """What is the same for all beats of one side."""

    side: str
    #: The lock of RedBeat, and the longest pause between two of its looks, in seconds.
    lock: float = 5
    loop: float = 1
    #: Further words for `manage.py runbeat`.
    words: Sequence[str] = ()

    def title(self) -> str:
        """Return what the tables call it."""
        if self.side == "redbeat":
            return f"RedBeat, lock {self.lock:g} s, look every {self.loop:g} s"
        return {"ours": " ".join(("manage.py runbeat", *self.words)), "stock": "celery beat"}[self.side]

    def project(self, root: Path, broker: Server | Guarded, schedule: str) -> Path:
        """Make a project whose CELERY_BEAT_SCHEDULE is `schedule`, an expression; return `root`."""
        settings = ENTRY.format(url=broker.url, made="" if self.side == "redbeat" else MADE)
        if isinstance(broker, Guarded):
            settings += f'CELERY_BROKER_TRANSPORT_OPTIONS = {{"master_name": "{MASTER}"}}\n'
        settings += f"CELERY_BEAT_SCHEDULE = {schedule}\n"
        make_project(root, ["tasktools", "shop"] if self.side == "ours" else ["shop"], settings)
        (root / "shop/tasks.py").write_text(TASKS)
        if self.side != "ours":
            (root / "proj/__init__.py").write_text(STOCK_INIT)
            text = STOCK_CELERY if self.side == "stock" else REDBEAT_CELERY % self._redbeat(broker)
            (root / "proj/celery.py").write_text(text)
        return root

    def _redbeat(self, broker: Server | Guarded) -> str:
        conf = {"redbeat_lock_timeout": self.lock, "beat_max_loop_interval": self.loop, "redbeat_redis_url": broker.url}
        if isinstance(broker, Guarded):
            conf["redbeat_redis_url"] = "redis-sentinel://"
            sentinels = [("127.0.0.1", port) for port in broker.ports]
            conf["redbeat_redis_options"] = {"sentinels": sentinels, "service_name": MASTER, "socket_timeout": 1.0}
        return ", ".join(f"{key}={value!r}" for key, value in conf.items())

    def command(self, number: int) -> list[str]:
        """Return the command line of the beat `number`."""
        if self.side == "ours":
            return [PYTHON, "manage.py", "runbeat", "--noreload", "-l", "INFO", *self.words]
        if self.side == "redbeat":
            return [str(redbeat_celery()), "-A", "proj", "beat", "-S", "redbeat.RedBeatScheduler", "-l", "INFO"]
        # Each has a file of its own, as two containers have.
        return [program("celery"), "-A", "proj", "beat", "-l", "INFO", "-s", f"schedule-{number}"]


def another_version(root: Path, before: str, after: str) -> Path:
    """Copy a project, and replace an expression of its settings."""
    copy = root.with_name(f"{root.name}-next")
    shutil.copytree(root, copy, ignore=shutil.ignore_patterns("__pycache__", "schedule-*", "*.log"))
    settings = copy / "proj/settings.py"
    text = settings.read_text()
    if before not in text:
        raise RuntimeError(f"{settings} does not hold {before}.")
    settings.write_text(text.replace(before, after))
    return copy
