"""taskresult --tree, over what a real worker has stored."""

from __future__ import annotations

import io
import json
import re
import sys
import uuid
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import chain, group

from tasktools.exceptions import TaskFailed
from tasktools.management import tree_growing
from tasktools.management.base import TasktoolsCommand
from tasktools.management.tree_growing import Growing
from tasktools.management.tree_output import MOST_SENTENCES, _judge, _line
from tasktools.results.locate import Located
from tasktools.results.outcome import Outcome
from tasktools.results.tree import Node, Tree
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
    done = run_command("taskresult", last.id, "--tree", "--wait", "--timeout", "60s")
    name = "tests.site.tasks.echo"
    assert shape(done.out) == [f"SUCCESS ID {name}", f"  SUCCESS ID {name}", f"    SUCCESS ID {name} <- asked for"]
    assert (done.err.splitlines()[-1], done.code) == ("3 tasks: 3 SUCCESS.", 0)


def test_tree__of_a_chord_after_a_task(worker: Running, app: Any, run_command: Run) -> None:
    header = group(sig(app, "echo", 2), sig(app, "echo", 3))
    body = (sig(app, "echo", 1) | header | sig(app, "echo", 4)).apply_async()
    assert run_command("taskresult", body.id, "--wait", "--timeout", "60s").code == 0
    done = run_command("taskresult", body.id, "--tree")
    name = "tests.site.tasks.echo"
    assert shape(done.out) == [
        f"SUCCESS ID {name}",
        "  group ID: 2 SUCCESS",
        f"    SUCCESS ID {name}",
        f"    SUCCESS ID {name}",
        f"SUCCESS ID {name} <- asked for",  # no result names it as a child: the last task of the header has sent it
    ]
    said, note = done.err.splitlines()
    assert (said, done.code) == ("4 tasks: 4 SUCCESS.", 0)
    assert note.startswith("No result names the body of a chord: ")


def test_tree__one_failed(worker: Running, app: Any, run_command: Run) -> None:
    last = chain(sig(app, "echo", 1), sig(app, "fail")).apply_async()
    done = run_command("taskresult", last.id, "--tree", "--wait", "--timeout", "60s")
    assert shape(done.out)[1:] == ["  FAILURE ID tests.site.tasks.fail: ValueError: broken <- asked for"], done
    assert done.err.splitlines()[-3:-1] == [
        "2 tasks: 1 FAILURE, 1 SUCCESS.",
        f"{last.id} (tests.site.tasks.fail) failed: ValueError: broken",
    ]
    assert f"taskresult {last.id} --traceback" in done.err.splitlines()[-1]
    assert done.code == 1


def test_tree__json_is_a_line_for_each_and_a_sum(worker: Running, app: Any, run_command: Run) -> None:
    last = chain(sig(app, "echo", 1), sig(app, "fail")).apply_async()
    done = run_command("taskresult", last.id, "--tree", "--wait", "--timeout", "60s", "--json")
    first, second, total = map(json.loads, done.out.splitlines())
    assert (first["level"], first["group"], first["children"], first["state"]) == (0, False, 1, "SUCCESS")
    assert (second["id"], second["level"]) == (last.id, 1)
    assert second["error"] == {"type": "ValueError", "message": "broken"}
    assert total == {"asked": [last.id], "tasks": 2, "states": {"SUCCESS": 1, "FAILURE": 1}, "is_cut": False}


def test_tree__no_trace_ends_as_without_it(worker: Running, run_command: Run) -> None:
    task_id = str(uuid.uuid4())
    done = run_command("taskresult", task_id, "--tree")
    assert (done.out, done.code) == (f"PENDING {task_id} <- asked for\n", 4)
    plain = run_command("taskresult", task_id)
    assert (done.err, plain.code) == (f"1 task: 1 PENDING.\n{plain.err}", 4)
    assert f"{task_id} is PENDING: no trace of it" in done.err


def test_tree__says_where_a_task_is_that_is_not_finished(run_command: Run, app: Any, queue: str) -> None:
    sent = app.send_task("tests.site.tasks.nothing", queue=queue).id
    done = run_command("taskresult", sent, "--tree", "--json")
    node, total = map(json.loads, done.out.splitlines())
    assert (node["place"], node["task"], total["states"], done.code) == (
        "queued",
        "tests.site.tasks.nothing",
        {"PENDING": 1},
        3,
    )
    assert "it waits at position 1 of the queue" in done.err


def test_tree__a_result_that_cannot_be_read_has_not_failed(run_command: Run, app: Any) -> None:
    task_id = str(uuid.uuid4())
    app.backend.client.set(app.backend.get_key_for_task(task_id), b"{not json")
    done = run_command("taskresult", task_id, "--tree")
    assert (done.code, f"The result of {task_id} cannot be read" in done.err) == (1, True)
    assert "revoked" not in done.err


def test_judge__a_thousand_that_failed_are_not_all_named() -> None:
    outcomes = [Outcome(id=str(each), state="FAILURE") for each in range(1000)]
    with pytest.raises(TaskFailed) as caught:
        _judge(TasktoolsCommand(), Located(outcomes=outcomes), None, {"traceback": False})
    assert (len(caught.value.more), caught.value.more[-1]) == (MOST_SENTENCES + 1, "And 994 more.")


def test_tree__of_a_saved_group_begins_with_its_line(worker: Running, app: Any, run_command: Run) -> None:
    saved = group(sig(app, "echo", 1), sig(app, "fail")).apply_async()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of redis-py, for what Celery does
        saved.save()
    done = run_command("taskresult", saved.id, "--tree", "--wait", "--timeout", "60s")
    name = "tests.site.tasks"
    assert shape(done.out) == [
        "group ID: 1 FAILURE, 1 SUCCESS <- asked for",
        f"  SUCCESS ID {name}.echo",
        f"  FAILURE ID {name}.fail: ValueError: broken",
    ]
    assert done.out.startswith(f"group {saved.id}: ")


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def states() -> Iterator[Tree]:
    """A tree that grows: a task begins, and calls another one."""
    for first, second in (("PENDING", ""), ("STARTED", ""), ("SUCCESS", "PENDING"), ("SUCCESS", "SUCCESS")):
        below = [Node("b", Outcome(id="b", state=second, task="shop.b"))] if second else []
        yield Tree(roots=[Node("a", Outcome(id="a", state=first, task="shop.a"), below)])


def grown(command: TasktoolsCommand, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = states()
    monkeypatch.setattr(tree_growing, "PERIOD", 0.0)
    monkeypatch.setattr(tree_growing, "SHARE", 0.0)
    with Growing(command, lambda: next(looks), _line) as growing:
        growing.show(growing.look())
        with growing.waiting(None, 10.0, 1) as on_look:  # type: ignore[arg-type]
            for _ in range(3):
                on_look([Outcome(id="b", state="PENDING")], 0.0)


def test_growing__without_a_terminal_is_a_line_for_what_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    err = io.StringIO()
    grown(TasktoolsCommand(stderr=err, no_color=True), monkeypatch)  # type: ignore[arg-type]
    assert err.getvalue().splitlines() == [
        "PENDING a shop.a",
        "STARTED a shop.a",
        "SUCCESS a shop.a",
        "  PENDING b shop.b",
        "  SUCCESS b shop.b",
    ]


def test_growing__in_a_terminal_is_redrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    err = Screen()
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setenv("TERM", "xterm")
    grown(TasktoolsCommand(stderr=err, no_color=True), monkeypatch)  # type: ignore[arg-type]
    text = err.getvalue()
    places = [
        text.index(each) for each in ("PENDING a shop.a", "STARTED a shop.a", "PENDING b shop.b", "SUCCESS b shop.b")
    ]
    assert places == sorted(places)
    assert "\x1b[1A\x1b[2K" in text  # over what was drawn before


def test_growing__as_json_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    err = Screen()
    command = TasktoolsCommand(stderr=err, no_color=True)  # type: ignore[arg-type]
    command.as_json = True
    grown(command, monkeypatch)
    assert err.getvalue() == ""
