"""Fixtures of the matrix: one server a kind and process of the suite, one site a test."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.matrix.brokers import KINDS, Kind, Private, running, settings_of
from tests.support import Running, Site, wait_for

TASKS = """
import time
from celery import shared_task

def put(path, *words):
    with open(path, "a") as file:
        file.write(" ".join(map(str, words)) + "\\n")

@shared_task
def add(x: int, y: int):
    return x + y

@shared_task
def note(path: str, key: int):
    put(path, key)

@shared_task
def work(path: str, key: int, seconds: float):
    put(path, "began", key)
    time.sleep(seconds)
    put(path, "ended", key)
"""


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Servers that have been started, by kind; the stack ends them."""
    with ExitStack() as stack:
        yield _Started(stack, tmp_path_factory)


class _Started(dict[str, Any]):
    def __init__(self, stack: ExitStack, paths: pytest.TempPathFactory) -> None:
        super().__init__()
        self.stack, self.paths = stack, paths

    def __missing__(self, name: str) -> Any:
        self[name] = self.stack.enter_context(running(KINDS[name], self.paths.mktemp(name)))
        return self[name]


@dataclass
class Cell:
    """One cell: a site on one broker, and what is recorded of it."""

    site: Site
    kind: Kind
    server: Any
    pool: str
    #: What the site's settings say of the broker.
    settings: str
    record: Any

    @property
    def path(self) -> Path:
        return self.site.root / "record"

    def limit(self, text: str) -> None:
        """Have the table say this in place of "works"; the test has asserted that it is so."""
        self.record("limit", text)

    def lines(self) -> list[str]:
        return self.path.read_text().splitlines() if self.path.exists() else []

    def keys(self, word: str = "") -> list[int]:
        """Return the keys that tasks have noted, in order; those behind `word` of `work`."""
        lines = (line.split() for line in self.lines())
        return [int(words[-1]) for words in lines if not word or words[0] == word]

    def manage(self, *words: str, code: int | None = 0, **options: Any) -> Any:
        ran = self.site.manage(*words, **options)
        assert code is None or ran.returncode == code, (ran.returncode, ran.stdout, ran.stderr)
        return ran

    def enqueue(self, *words: Any) -> str:
        """Send one call and return its id."""
        return str(self.manage("enqueue", *map(str, words)).stdout.strip())

    def worker(self, *words: str, concurrency: int = 2, wait: bool = True) -> Running:
        """Start a worker without reload."""
        common = ("-l", "INFO", "--noreload", "-P", self.pool, "-c", str(concurrency))
        started = self.site.start_manage("runworker", *common, *words)
        if wait:
            started.wait_for_output(" ready.")
        return started

    def drain(self, timeout: float = 60, **options: Any) -> Running:
        """Have a worker run what waits, and return it when it has ended."""
        worker = self.worker("--drain", wait=False, **options)
        assert worker.process.wait(timeout) == 0, worker.output
        return worker

    def await_keys(self, count: int, word: str = "", timeout: float = 30) -> list[int]:
        wait_for(lambda: len(self.keys(word)) >= count, timeout, f"{count} of {word or 'note'}: {self.lines()}")
        return self.keys(word)


@pytest.fixture
def cell(request: pytest.FixtureRequest, tmp_path: Path, servers: Any, record_property: Any) -> Iterator[Cell]:
    """A site on the broker and the pool of the test, with a queue of its own."""
    broker, pool = request.param
    kind = KINDS[broker]
    server = servers[broker]
    story = re.sub(r"\[.*|test_", "", request.node.name)
    record_property("cell", f"{request.module.__name__.rpartition('.')[2]}|{story}|{broker}|{pool}")
    with Site(tmp_path) as site:
        settings = settings_of(kind, server, site, f"{story}-{pool}")
        site.minimal(settings=settings)
        site.write("shop/tasks.py", TASKS)
        yield Cell(site, kind, server or Private(site), pool, settings, record_property)


def cells(brokers: list[str], pools: list[str]) -> Any:
    """Return the parameters of `cell`: every broker with every pool; the cells of one broker run in one process."""
    return [
        pytest.param((broker, pool), id=f"{broker}-{pool}", marks=pytest.mark.xdist_group(broker))
        for broker in brokers
        for pool in pools
    ]
