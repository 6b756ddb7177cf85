"""Results that come to one process alone: who can read them, and who is told that nobody can."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
from celery.contrib.testing.worker import start_worker

from tests.conftest import Ran

Run = Callable[..., Ran]

SET_BACKEND = 'set CELERY_RESULT_BACKEND, as in CELERY_RESULT_BACKEND = "redis://localhost:6379/1"'


def test_taskresult__of_another_process_says_that_it_never_can(typed: Run, elsewhere: Callable[..., str]) -> None:
    name = elsewhere(broker_url="memory://", result_backend="rpc://")
    for more in ((), ("--wait", "--timeout", "1s")):
        done = typed("taskresult", "-A", name, "one", *more, "--no-color")
        assert done == Ran(
            "",
            "Results of rpc:// go to the process that sent the task: no other can read them.\n"
            f"Hint: wait where it is sent (enqueue --wait), or {SET_BACKEND}\n",
            2,
        )


@pytest.mark.parametrize(
    "words", [("taskresult", "one"), ("enqueue", "nothing", "--wait")], ids=["taskresult", "enqueue"]
)
def test_memory_of_the_worker__nobody_else_reads_it(
    typed: Run, elsewhere: Callable[..., str], words: tuple[str, ...]
) -> None:
    name = elsewhere(broker_url="redis://nosuch.invalid", result_backend="cache+memory://")
    done = typed(*words, "-A", name, "--no-color")
    assert done == Ran(
        "",
        "Results of cache+memory:// stay in the process that ran the task: no other can read them.\n"
        f"Hint: {SET_BACKEND}\n",
        2,
    )


def test_taskresult__in_a_process_that_may_have_sent_it_looks(run_command: Run, elsewhere: Callable[..., str]) -> None:
    name = elsewhere(broker_url="memory://", result_backend="rpc://")
    done = run_command("taskresult", "-A", name, "one")
    assert done.err.startswith("one is PENDING: no worker that answers has it")
    assert (done.out, done.code) == ("", 3)


def test_enqueue_wait__reads_it_in_the_process_that_sends(
    typed: Run, elsewhere: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = elsewhere(broker_url="memory://", result_backend="rpc://", worker_hijack_root_logger=False)
    app: Any = sys.modules[name.partition(":")[0]].app  # type: ignore[attr-defined]

    @app.task(name="twice", shared=False)
    def twice(number: int) -> int:
        return 2 * number

    monkeypatch.setattr(app.log, "setup", lambda **_: True)  # it is for the process, and for all that this starts
    with start_worker(app, perform_ping_check=False, pool="solo", shutdown_timeout=30):
        done = typed("enqueue", "-A", name, "twice", "21", "--wait", "--timeout", "60s")
    assert (done.out, done.code) == ("42\n", 0)
