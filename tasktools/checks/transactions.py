"""W062, W063: a task is sent after the commit of the data that it reads."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Iterator
from typing import Any

from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning

from tasktools import conf
from tasktools.discovery import sources
from tasktools.discovery.celery_app import Found
from tasktools.discovery.syntax import Defined, Function, Module, Reader, inside
from tasktools.exceptions import tried

#: The ids that this module can give.
IDS = ("tasktools.W062", "tasktools.W063")

_ATOMIC = "django.db.transaction.atomic"
_SENDS = ("delay", "apply_async")
_KEYS = ("pk", "id")
#: Methods of models and managers alone, and those that others have too.
_WRITES = ("save", "bulk_create", "bulk_update", "get_or_create", "update_or_create")
_MANAGER_WRITES = ("create", "update", "delete")
#: Options with which a task starts later, or not in a worker's usual way.
_LATER = ("countdown", "eta")


def check(found: Found, reader: Reader) -> Iterator[CheckMessage]:
    """Warn of each `.delay()` inside a transaction that certainly sends what the transaction writes."""
    views = _views() if conf.atomic_requests() and not conf.silences("tasktools.W063") else set()
    for file, look in reader.looks:
        module = reader.module(file.module) if look.sends_alone and (look.has_atomic or views) else None
        if module is not None:
            lines = sources.sending_lines(module.text)
            for name, function in _functions(module.tree.body):
                if not any(function.lineno <= line <= (function.end_lineno or line) for line in lines):
                    continue
                yield from _in_atomic(found, reader, module, function)
                if _is_view(file.module, name, views) and isinstance(function, ast.FunctionDef):
                    yield from _in_view(found, reader, module, function)


def _functions(body: Iterable[ast.AST], prefix: str = "") -> Iterator[tuple[str, Function]]:
    """Yield each function, with its qualified name."""
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield prefix + node.name, node
            yield from _functions(node.body, f"{prefix}{node.name}.<locals>.")
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, (ast.stmt, ast.excepthandler, ast.match_case)):  # no expression: those may be deep
            yield from _functions(ast.iter_child_nodes(node), prefix)


_Nodes = list[tuple[ast.AST, tuple[ast.AST, ...]]]


def _in_atomic(found: Found, reader: Reader, module: Module, function: Function) -> Iterator[CheckMessage]:
    whole = any(_is_atomic(module, each) for each in function.decorator_list)
    nodes = list(inside(function.body))
    for call, around in _sendings(nodes):
        if _follows_a_write(module, nodes, call, around, whole=whole):
            yield from _message(found, reader, module, call, "inside transaction.atomic()", "tasktools.W062")


def _follows_a_write(
    module: Module, nodes: _Nodes, call: ast.Call, around: tuple[ast.AST, ...], *, whole: bool = False
) -> bool:
    """Whether something is written in the transaction of a call, before it; `whole` says that its function is one."""
    blocks = [each for each in around if isinstance(each, ast.With) and _opens(module, each)]
    start = 0 if whole else blocks[0].body[0].lineno if blocks else None
    if start is None:
        return False
    before = ((node, outer) for node, outer in nodes if start <= getattr(node, "lineno", -1) < call.lineno)
    return any(_writes(node) and not _excludes((*outer, node), around) for node, outer in before)


def _in_view(found: Found, reader: Reader, module: Module, function: Function) -> Iterator[CheckMessage]:
    """Warn if a view sends the key of an object that it has saved itself."""
    nodes = list(inside(function.body))
    for call, around in _sendings(nodes):
        if _follows_a_write(module, nodes, call, around):
            continue  # W062
        before = ((node, outer) for node, outer in nodes if getattr(node, "lineno", call.lineno) < call.lineno)
        saved = ((each, (*outer, node)) for node, outer in before for each in _saved(node))
        if _keys(call) & {each for each, path in saved if not _excludes(path, around)}:
            yield from _message(found, reader, module, call, "in a view, with ATOMIC_REQUESTS on", "tasktools.W063")


def _excludes(one: tuple[ast.AST, ...], other: tuple[ast.AST, ...]) -> bool:
    """Whether two places, each with the nodes around it, are in branches of which a run may take one alone."""
    parent: ast.AST | None = None
    for each, beside in zip(one, other, strict=False):
        if each is not beside:
            branches = {_branch(parent, each), _branch(parent, beside)}
            # What follows `else` of a `try` runs if all of its body has run.
            return len(branches) == 2 and "" not in branches and branches != {"body", "tried"}
        parent = each
    return False


def _branch(parent: ast.AST | None, node: ast.AST) -> str:
    """Return a name for the branch of an `if`, `match` or `try` that a node is in, "" if there is none."""
    if isinstance(node, (ast.match_case, ast.ExceptHandler)):
        return str(id(node))
    is_try = isinstance(parent, ast.Try) or parent.__class__.__name__ == "TryStar"
    names = ("body", "orelse", "finalbody") if is_try else ("body", "orelse") if isinstance(parent, ast.If) else ()
    held = next((name for name in names if node in getattr(parent, name)), "")
    return "tried" if is_try and held == "orelse" else held


def _sendings(nodes: _Nodes) -> Iterator[tuple[ast.Call, tuple[ast.AST, ...]]]:
    """Yield the calls of `.delay()` and `.apply_async()` whose result is not used: who uses it needs it now."""
    for node, around in nodes:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            function = node.value.func
            is_later = any(each.arg is None or each.arg in _LATER for each in node.value.keywords)
            if isinstance(function, ast.Attribute) and function.attr in _SENDS and not is_later:
                yield node.value, (*around, node)


def _is_atomic(module: Module, node: ast.expr) -> bool:
    """Whether an expression is `atomic` or `atomic()` for the default database."""
    call = node if isinstance(node, ast.Call) else None
    if call and (call.args or any(each.arg in (None, "using") for each in call.keywords)):
        return False
    return module.origin(call.func if call else node) == _ATOMIC


def _opens(module: Module, block: ast.With) -> bool:
    return any(_is_atomic(module, each.context_expr) for each in block.items)


def _writes(node: ast.AST) -> bool:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return False
    name = node.func.attr
    is_manager = any(isinstance(each, ast.Attribute) and each.attr == "objects" for each in ast.walk(node.func))
    return name in _WRITES or (name in _MANAGER_WRITES and is_manager)


def _saved(node: ast.AST) -> Iterator[str]:
    """Yield the expressions that hold a new object because of this node: `x` of `x.save()` and of `x = form.save()`."""
    if isinstance(node, ast.Assign) and _writes(node.value):
        yield from map(ast.unparse, node.targets)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "save":
        yield ast.unparse(node.func.value)


def _keys(call: ast.Call) -> set[str]:
    """Return the expressions whose key is among the arguments: `x` of `x.pk`."""
    inner = [node for each in (*call.args, *(word.value for word in call.keywords)) for node in ast.walk(each)]
    return {ast.unparse(node.value) for node in inner if isinstance(node, ast.Attribute) and node.attr in _KEYS}


def _message(
    found: Found, reader: Reader, module: Module, call: ast.Call, where: str, check_id: str
) -> Iterator[CheckMessage]:
    assert isinstance(call.func, ast.Attribute)
    task = reader.task(module.origin(call.func.value))
    if task is None or _may_wait_for_the_commit(found, task[1]):
        return
    name, method = ast.unparse(call.func.value), call.func.attr
    instead = f"{name}.{method}_on_commit(...)"
    if not hasattr(found.app.Task, "delay_on_commit"):
        instead = f"transaction.on_commit(lambda: {name}.{method}(...))"
    yield CheckWarning(
        f"{sources.shown(module.file.path)}:{call.lineno} calls {name}.{method}() {where}: "
        "a worker may start the task before the commit, and also after a rollback.",
        hint=instead,
        id=check_id,
    )


def _may_wait_for_the_commit(found: Found, task: Defined) -> bool:
    """Whether a class of the project may send the task: such classes often send it after the commit."""
    kinds = (task.app or found.app).Task.__mro__
    own = [each for each in kinds if not each.__module__.startswith("celery.")]
    return bool({"base", "**"} & task.options) or any(method in vars(each) for each in own for method in _SENDS)


def _is_view(module: str, function: str, views: set[tuple[str, str]]) -> bool:
    return (module, function) in views or (module, function.rpartition(".")[0]) in views


def _views() -> set[tuple[str, str]]:
    """Return the module and the qualified name of each function and class that is a view in a transaction."""
    from django.urls import get_resolver

    # Django's own check reports a URLconf that cannot be imported.
    callbacks: list[Any] = tried(lambda: list(_callbacks(get_resolver().url_patterns)), lambda _: [])
    found: set[tuple[str, str]] = set()
    for callback in callbacks:
        if not getattr(callback, "_non_atomic_requests", None):
            kind = getattr(callback, "view_class", getattr(callback, "cls", None))
            for each in inspect.getmro(kind) if kind else [inspect.unwrap(callback)]:
                found.add((str(getattr(each, "__module__", "")), str(getattr(each, "__qualname__", ""))))
    return found


def _callbacks(patterns: Iterable[Any]) -> Iterator[Any]:
    for each in patterns:
        if hasattr(each, "url_patterns"):
            yield from _callbacks(each.url_patterns)
        else:
            yield each.callback
