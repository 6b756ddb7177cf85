"""taskresult --tree: the tasks that a task has called, with their states."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from celery.states import SUCCESS

from tasktools import render
from tasktools.exceptions import NotFinished, TaskFailed
from tasktools.management.awaiting import Awaiting
from tasktools.management.base import TasktoolsCommand
from tasktools.results.tree import MOST, Node, Tree, tree_of
from tasktools.results.wait import wait

if TYPE_CHECKING:
    from celery import Celery

#: Deeper levels are not indented any more.
_DEEPEST = 20


def show_tree(
    command: TasktoolsCommand, app: Celery, ids: Sequence[str], timeout: float, interval: float, options: dict[str, Any]
) -> None:
    """Print the trees of these tasks; with --wait as soon as all tasks in them are finished, or time is up.

    Raises TaskFailed, NotFinished, Unreachable.
    """
    deadline = time.monotonic() + timeout if options["wait"] else 0.0
    tree, left = tree_of(app, ids), list(ids)
    while left := [each.id for each in tree.outcomes() if not each.finished]:
        limit = deadline - time.monotonic()
        if limit <= 0:
            break
        with Awaiting(command, app, "", limit, total=len(left)) as watch:
            for outcome in wait(app, left, timeout=limit, interval=interval, on_look=watch):
                watch.finished(outcome.id)
        tree = tree_of(app, ids)  # what has finished may have called others
    for level, node in tree.lines():
        _show(command, level, node, options)
    _sum_up(command, tree, ids, options)
    _judge(tree, timeout if options["wait"] else None)


def _show(command: TasktoolsCommand, level: int, node: Node, options: dict[str, Any]) -> None:
    if options["as_json"]:
        about = {"id": node.id, "level": level, "group": node.outcome is None, "children": len(node.children)}
        outcome = node.outcome and {
            "state": node.outcome.state,
            "task": node.outcome.task,
            "worker": node.outcome.worker,
        }
        error = node.outcome and node.outcome.error and asdict(node.outcome.error)
        if error:
            error["message"] = command.hide(error["message"])
        command.print_json({**about, **(outcome or {}), "error": error}, indent=None)
        return
    command.print_line(command.hide(f"{'  ' * min(level, _DEEPEST)}{_text(node)}"))


def _text(node: Node) -> str:
    outcome = node.outcome
    if outcome is None:
        counts = Counter(each.outcome.state if each.outcome else "group" for each in node.children)
        return f"group {node.id}: {_counted(counts)}"
    task = f" {outcome.task}" if outcome.task else ""
    error = ""
    if outcome.error is not None:
        error = f": {': '.join(part for part in (outcome.error.type, outcome.error.message) if part)}"
    return f"{outcome.state} {node.id}{task}{error}{' <- asked for' if node.is_asked else ''}"


def _counted(states: Counter[str]) -> str:
    return ", ".join(f"{count:,} {state}" for state, count in sorted(states.items())) or "empty"


def _sum_up(command: TasktoolsCommand, tree: Tree, ids: Sequence[str], options: dict[str, Any]) -> None:
    states = tree.states()
    total = sum(states.values())
    if options["as_json"]:
        command.print_json({"asked": ids, "tasks": total, "states": states, "is_cut": tree.is_cut}, indent=None)
        return
    command.note(f"{render.counted(total, 'task')}: {_counted(states)}.")
    if tree.is_cut:
        command.note(f"There are more tasks than {MOST:,}, or more levels than are followed: the rest is not shown.")


def _judge(tree: Tree, timeout: float | None) -> None:
    """Return if all tasks of the tree are done."""
    outcomes = tree.outcomes()
    total = render.counted(len(outcomes), "task")
    failed = [each for each in outcomes if each.finished and each.state != SUCCESS]
    if failed:
        hint = f"manage.py taskresult {failed[0].id} --traceback"
        raise TaskFailed(
            f"{len(failed):,} of {total} failed or {'was' if len(failed) == 1 else 'were'} revoked.", hint=hint
        )
    unfinished = [each for each in outcomes if not each.finished]
    if unfinished:
        after = f" after {timeout:g} s" if timeout is not None else ""
        hint = f"manage.py taskresult {unfinished[0].id} says where it is"
        raise NotFinished(f"{len(unfinished):,} of {total} not finished{after}.", hint=hint)
