"""A task that Celery cannot make: each command that needs the tasks says so, and says it every time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery

from tasktools.discovery.celery_app import Found
from tasktools.project import Project


@pytest.fixture
def unfinished(project: Project) -> Iterator[None]:
    app = Celery("shop", broker="memory://", set_as_current=False)
    app.task(shared=False)(lambda x: x)
    project.found = Found(app=app)
    yield
    app.close()


@pytest.mark.usefixtures("unfinished")
@pytest.mark.parametrize(
    "words", [("showtasks",), ("enqueue", "add"), ("enqueue", "x", "--unregistered"), ("runtask", "add")]
)
def test_unfinished__one_sentence(run_command: Any, words: tuple[str, ...]) -> None:
    for _ in range(2):
        done = run_command(*words)
        assert (done.out, done.code) == ("", 2)
        assert done.err.startswith(
            'The task "tests.commands.test_unfinished.<lambda>" cannot be registered: SyntaxError'
        )
        assert done.err.endswith("\nHint: the same command with --traceback shows where")
