"""taskresult --tree: the tasks that a task has called, with their states."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tasktools import render
from tasktools.exceptions import TasktoolsError
from tasktools.management.bars import steps_of
from tasktools.management.base import TasktoolsCommand
from tasktools.management.failed_hint import note_failed
from tasktools.management.result_output import find, verdict
from tasktools.management.tree_growing import Growing
from tasktools.results.locate import Located
from tasktools.results.tree import MOST, Node, Tree, tree_of
from tasktools.results.wait import wait

if TYPE_CHECKING:
    from celery import Celery

#: Deeper levels are not indented any more.
_DEEPEST = 20

#: So many tasks beside the first one are named at the end.
MOST_SENTENCES = 5


def show_tree(
    command: TasktoolsCommand,
    app: Celery,
    ids: Sequence[str],
    groups: Mapping[str, Sequence[str]],
    timeout: float,
    interval: float,
    options: dict[str, Any],
) -> None:
    """Print the trees of these tasks and groups; with --wait as soon as all tasks in them are finished, or time is up.

    Raises TaskFailed, Unreadable, NoTrace, NotFinished, Unreachable.
    """
    deadline = time.monotonic() + timeout if options["wait"] else 0.0
    with Growing(command, lambda: tree_of(app, ids, groups), _line) as growing:
        tree = growing.look()
        while left := [each.id for each in tree.outcomes() if not each.finished]:
            limit = deadline - time.monotonic()
            if limit <= 0:
                break
            growing.show(tree)
            with growing.waiting(app, limit, len(left)) as on_look:
                list(wait(app, left, timeout=limit, interval=interval, on_look=on_look))
            tree = growing.look()  # what has finished may have called others
    located = _located(command, app, tree, options)
    for level, node in tree.lines():
        _show(command, level, node, options)
    _sum_up(command, tree, ids, options)
    note_failed(command, tree.outcomes())
    _judge(command, located, timeout if options["wait"] else None, options)


def _show(command: TasktoolsCommand, level: int, node: Node, options: dict[str, Any]) -> None:
    if options["as_json"]:
        about = {"id": node.id, "level": level, "group": node.outcome is None, "children": len(node.children)}
        outcome = node.outcome and {
            "state": node.outcome.state,
            "task": node.outcome.task,
            "worker": node.outcome.worker,
            "place": node.outcome.place,
        }
        error = node.outcome and node.outcome.error and asdict(node.outcome.error)
        if error:
            error["message"] = command.hide(error["message"])
        command.print_json({**about, **(outcome or {}), "error": error}, indent=None)
        return
    command.print_line(command.shortened(_line(level, node)))


def _line(level: int, node: Node) -> str:
    return f"{'  ' * min(level, _DEEPEST)}{_text(node)}{' <- asked for' if node.is_asked else ''}"


def _text(node: Node) -> str:
    outcome = node.outcome
    if outcome is None:
        counts = Counter(each.outcome.state if each.outcome else "group" for each in node.children)
        return f"group {node.id}: {_counted(counts)}"
    task = f" {outcome.task}" if outcome.task else ""
    error = ""
    if outcome.error is not None:
        error = f": {': '.join(part for part in (outcome.error.type, outcome.error.message) if part)}"
    steps = None if outcome.finished else steps_of(outcome.result)
    far = "" if steps is None else f": {steps[0]:,.12g} of {steps[1]:,.12g}"
    return f"{outcome.state} {node.id}{task}{error}{far}"


def _counted(states: Counter[str]) -> str:
    return ", ".join(f"{count:,} {state}" for state, count in sorted(states.items())) or "empty"


def _sum_up(command: TasktoolsCommand, tree: Tree, ids: Sequence[str], options: dict[str, Any]) -> None:
    states = tree.states()
    total = sum(states.values())
    if options["as_json"]:
        command.print_json({"asked": ids, "tasks": total, "states": states, "is_cut": tree.is_cut}, indent=None)
        return
    command.note(f"{render.counted(total, 'task')}: {_counted(states)}.")
    if any(node.outcome is None for _, node in tree.lines()):
        command.note(
            "No result names the body of a chord: if a group is the header of one, ask for the body by its id, too."
        )
    if tree.is_cut:
        command.note(f"There are more tasks than {MOST:,}, or more levels than are followed: the rest is not shown.")


def _located(command: TasktoolsCommand, app: Celery, tree: Tree, options: dict[str, Any]) -> Located:
    """Find out where the unfinished tasks of the tree are; the nodes have these outcomes from then on."""
    located = find(command, app, tree.outcomes(), options)
    found = {each.id: each for each in located.outcomes}
    for _, node in tree.lines():
        if node.outcome is not None:
            node.outcome = found[node.id]
    return located


def _judge(command: TasktoolsCommand, located: Located, timeout: float | None, options: dict[str, Any]) -> None:
    """Return if all tasks of the tree are done; end as without --tree if not, but not with a sentence for each of thousands."""
    try:
        verdict(located.outcomes, options, timeout, knows=command.knows, located=located)
    except TasktoolsError as error:
        left = len(error.more) - MOST_SENTENCES
        more = [*error.more[:MOST_SENTENCES], *([f"And {left:,} more."] if left > 0 else [])]
        raise type(error)(error.sentence, hint=error.hint, more=more) from None
