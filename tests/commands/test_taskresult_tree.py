"""taskresult --tree, over what a real worker has stored."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from celery import chain, group

from tests.conftest import Ran
from tests.support import Running, Site

Run = Callable[..., Ran]


@pytest.fixture(autouse=True)
def server_that_ends_with_the_suite(suite_site: Site) -> None:
    """Have the suite end the private Valkey, which the first look of a test starts."""


def sig(app: Any, name: str, *args: Any) -> Any:
    return app.signature(f"tests.site.tasks.{name}", args=args, immutable=True)


def shape(out: str) -> list[str]:
    """Return the lines without the ids."""
    return [re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", line) for line in out.splitlines()]


def test_tree__of_a_chain_by_the_id_of_its_last_task(worker: Running, app: Any, run_command: Run) -> None:
    last = chain(sig(app, "echo", 1), sig(app, "echo", 2), sig(app, "echo", 3)).apply_async()
    done = run_command("taskresult", last.id, "--tree", "--wait", "--timeout", "30s")
    name = "tests.site.tasks.echo"
    assert shape(done.out) == [f"SUCCESS ID {name}", f"  SUCCESS ID {name}", f"    SUCCESS ID {name} <- asked for"]
    assert (done.err.splitlines()[-1], done.code) == ("3 tasks: 3 SUCCESS.", 0)


def test_tree__of_a_chord_after_a_task(worker: Running, app: Any, run_command: Run) -> None:
    header = group(sig(app, "echo", 2), sig(app, "echo", 3))
    body = (sig(app, "echo", 1) | header | sig(app, "echo", 4)).apply_async()
    assert run_command("taskresult", body.id, "--wait", "--timeout", "30s").code == 0
    done = run_command("taskresult", body.id, "--tree")
    name = "tests.site.tasks.echo"
    assert shape(done.out) == [
        f"SUCCESS ID {name}",
        "  group ID: 2 SUCCESS",
        f"    SUCCESS ID {name}",
        f"    SUCCESS ID {name}",
        f"SUCCESS ID {name} <- asked for",  # no result names it as a child: the last task of the header has sent it
    ]
    assert (done.err, done.code) == ("4 tasks: 4 SUCCESS.\n", 0)


def test_tree__one_failed(worker: Running, app: Any, run_command: Run) -> None:
    last = chain(sig(app, "echo", 1), sig(app, "fail")).apply_async()
    done = run_command("taskresult", last.id, "--tree", "--wait", "--timeout", "30s")
    assert shape(done.out)[1:] == ["  FAILURE ID tests.site.tasks.fail: ValueError: broken <- asked for"], done
    assert done.err.splitlines()[-2:] == [
        "1 of 2 tasks failed or was revoked.",
        f"Hint: manage.py taskresult {last.id} --traceback",
    ]
    assert done.code == 1


def test_tree__json_is_a_line_for_each_and_a_sum(worker: Running, app: Any, run_command: Run) -> None:
    last = chain(sig(app, "echo", 1), sig(app, "fail")).apply_async()
    done = run_command("taskresult", last.id, "--tree", "--wait", "--timeout", "30s", "--json")
    first, second, total = map(json.loads, done.out.splitlines())
    assert (first["level"], first["group"], first["children"], first["state"]) == (0, False, 1, "SUCCESS")
    assert (second["id"], second["level"]) == (last.id, 1)
    assert second["error"] == {"type": "ValueError", "message": "broken"}
    assert total == {"asked": [last.id], "tasks": 2, "states": {"SUCCESS": 1, "FAILURE": 1}, "is_cut": False}


def test_tree__not_finished(run_command: Run) -> None:
    task_id = str(uuid.uuid4())
    done = run_command("taskresult", task_id, "--tree")
    assert (done.out, done.code) == (f"PENDING {task_id} <- asked for\n", 3)
    assert done.err.splitlines() == [
        "1 task: 1 PENDING.",
        "1 of 1 task not finished.",
        f"Hint: manage.py taskresult {task_id} says where it is",
    ]
