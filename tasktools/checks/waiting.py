"""W061: no task waits for the result of another task."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator

from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning

from tasktools.discovery import sources
from tasktools.discovery.celery_app import Found
from tasktools.discovery.syntax import Defined, Module, Reader, bound, inside

#: The ids that this module can give.
IDS = ("tasktools.W061",)

_WAITS = ("get", "join", "wait")
_SENDS = ("delay", "apply_async")
_SIGNATURES = ("s", "si", "signature", "subtask")
_RESULTS = ("AsyncResult", "GroupResult", "ResultSet")
_CANVAS = ("group", "chain", "chord")

#: What makes Celery accept that a task waits.
_ALLOWS = "allow_join_result"
_SYNC = "disable_sync_subtasks"


def check(found: Found, reader: Reader) -> Iterator[CheckMessage]:
    """Warn of each call that waits in the body of a task, if it is sure that it waits for a result of Celery."""
    for file, look in reader.looks:
        module = reader.module(file.module) if look.waits else None
        for task in module.tasks if module else ():
            if module is not None:
                yield from _waits(module, task, reader)


def _waits(module: Module, task: Defined, reader: Reader) -> Iterator[CheckMessage]:
    nodes = list(inside(task.function.body))
    held = _held(module, task, [node for node, _ in nodes], reader)
    if any(_ALLOWS in ast.dump(each) for each in task.function.decorator_list):
        return
    for node, around in nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _WAITS:
            receiver = node.func.value
            is_result = receiver.id in held if isinstance(receiver, ast.Name) else _is_result(module, receiver, reader)
            if is_result and not (_is_told(node) or any(map(_allows, around))):
                yield _message(module, task, node)


def _held(module: Module, task: Defined, nodes: list[ast.AST], reader: Reader) -> set[str]:
    """Return the names in a function that hold a result and nothing else."""
    times = Counter(name for node in ast.walk(task.function) for name in bound(node))
    return {
        node.targets[0].id
        for node in nodes
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and times[node.targets[0].id] == 1
        and _is_result(module, node.value, reader)
    }


def _is_result(module: Module, node: ast.AST, reader: Reader) -> bool:
    """Whether an expression is certainly a result: `task.delay()`, `group(...)()`, `AsyncResult(...)`."""
    if not isinstance(node, ast.Call):
        return False
    function = node.func
    if isinstance(function, ast.Attribute) and function.attr in _SENDS:
        return reader.task(module.origin(function.value)) is not None or _is_signature(module, function.value, reader)
    # A signature that is called runs its task here. The call of a canvas sends it.
    is_canvas = isinstance(function, ast.Call) and _is_from_celery(module, function.func, _CANVAS)
    return is_canvas or _is_from_celery(module, function, _RESULTS)


def _is_signature(module: Module, node: ast.AST, reader: Reader) -> bool:
    """Whether an expression is certainly `task.s()`, `group(...)` or the like."""
    if not isinstance(node, ast.Call):
        return False
    function = node.func
    if isinstance(function, ast.Attribute) and function.attr in _SIGNATURES:
        return reader.task(module.origin(function.value)) is not None
    return _is_from_celery(module, function, _CANVAS)


def _is_from_celery(module: Module, node: ast.AST, names: tuple[str, ...]) -> bool:
    origin = module.origin(node)
    return origin.partition(".")[0] == "celery" and origin.rpartition(".")[2] in names


def _is_told(call: ast.Call) -> bool:
    """Whether the call may say that it is meant: `get(disable_sync_subtasks=False)`."""
    return any(each.arg in (None, _SYNC) for each in call.keywords)


def _allows(node: ast.AST) -> bool:
    return isinstance(node, (ast.With, ast.AsyncWith)) and any(_ALLOWS in ast.dump(each) for each in node.items)


def _message(module: Module, task: Defined, node: ast.Call) -> CheckMessage:
    place = f"{sources.shown(module.file.path)}:{node.lineno}"
    waits = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    return CheckWarning(
        f'The task "{task.function.name}" waits for the result of a task ({place}, .{waits}()): '
        "Celery refuses that, or the worker waits for itself.",
        hint="send what comes next as a chain or a chord: chain(first.s(...), then.s()).delay()",
        id="tasktools.W061",
    )
