"""A broker in the memory of one process: enqueue printed an id and ended with 0, and the call was gone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.commands.conftest import Run

WARNING = 'The broker "memory://" exists only inside each process: a worker gets nothing that another process sends.'
HINT = (
    "set CELERY_BROKER_URL to a broker that processes share, such as redis://localhost:6379/0; "
    "with DEBUG on you may leave it unset"
)


def test_enqueue__warns(typed: Run, elsewhere: Callable[..., str]) -> None:
    ran = typed("enqueue", "-A", elsewhere(broker_url="memory://"), "tests.site.tasks.total", "2", "2")
    assert ran.err == f"{WARNING}\nHint: {HINT}\n"
    assert (ran.code, ran.out.count("\n")) == (0, 1)


def test_enqueue__warns_in_json(typed: Run, elsewhere: Callable[..., str]) -> None:
    ran = typed("enqueue", "-A", elsewhere(broker_url="memory://"), "tests.site.tasks.total", "2", "2", "--json")
    assert json.loads(ran.err) == {"warning": WARNING, "hint": HINT}


def test_enqueue_from__warns(typed: Run, elsewhere: Callable[..., str], tmp_path: Path) -> None:
    (file := tmp_path / "calls").write_text("[1, 2]\n" * 2)
    ran = typed("enqueue", "-A", elsewhere(broker_url="memory://"), "tests.site.tasks.total", "--from", str(file))
    assert ran.err.startswith(f"{WARNING}\nHint: {HINT}\n")
    assert (ran.err.count(WARNING), ran.code) == (1, 0)


def test_enqueue__by_call_command_may_have_a_worker_in_its_process(
    run_command: Run, elsewhere: Callable[..., str]
) -> None:
    ran = run_command("enqueue", "-A", elsewhere(broker_url="memory://"), "tests.site.tasks.total", "2", "2")
    assert (ran.err, ran.code) == ("", 0)


def test_enqueue__of_eager_tasks_needs_no_broker(typed: Run, elsewhere: Callable[..., str]) -> None:
    name = elsewhere(broker_url="memory://", task_always_eager=True)
    ran = typed("enqueue", "-A", name, "tests.site.tasks.total", "2", "2")
    assert ran.err == "task_always_eager is set: the task ran here, no worker was asked.\n"
