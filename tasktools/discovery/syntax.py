"""What stands in a file of Python, as far as reading alone is sure: the names it imports, and the tasks it defines."""

from __future__ import annotations

import ast
import sys
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from celery import Celery

from tasktools.discovery import sources
from tasktools.discovery.sources import File

Function = ast.FunctionDef | ast.AsyncFunctionDef
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef, ast.GeneratorExp)
#: What may bind a name, see `bound`.
_BINDS = {
    *(ast.Import, ast.ImportFrom, ast.Name, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.arg),
    *(ast.ExceptHandler, ast.MatchAs, ast.MatchStar, ast.MatchMapping),
}
_SHARED = ("celery.shared_task", "celery.app.shared_task")


@dataclass(frozen=True)
class Defined:
    """A function at the top of a file that Celery makes a task of."""

    function: Function
    #: The dotted name of the decorator.
    decorator: str
    #: The name that the decorator gives; "" if the task has the name of its function, None if it is not known.
    given: str | None
    #: The words of the decorator, as in base=...
    options: frozenset[str]

    @property
    def app(self) -> Any:
        """The app of `@app.task`; None for `@shared_task`, which is for all apps."""
        return None if self.decorator in _SHARED else value_of(self.decorator.removesuffix(".task"))


@dataclass
class Module:
    """A parsed file."""

    file: File
    text: bytes
    tree: ast.Module
    #: The dotted names of what the file imports or defines, by the name that it has there; "" for a name that is bound to
    #: several things.
    names: dict[str, str] = field(default_factory=dict)
    tasks: list[Defined] = field(default_factory=list)

    def origin(self, node: ast.AST) -> str:
        """Return the dotted name of a name or of an attribute of one; "" if reading cannot tell."""
        if isinstance(node, ast.Attribute):
            held = self.origin(node.value)
            return f"{held}.{node.attr}" if held else ""
        return self.names.get(node.id, "") if isinstance(node, ast.Name) else ""


class Reader:
    """Parses files of the project, each once, and finds the task that a name in one of them stands for."""

    def __init__(self, files: Iterable[File]) -> None:
        self.files = {each.module: each for each in files}
        #: Each file with its quick look.
        self.looks = [(each, sources.look(each.path)) for each in self.files.values()]
        self._parsed: dict[str, Module | None] = {}

    def module(self, name: str) -> Module | None:
        """Return the parsed module of that name; None if it is none of the project's, or cannot be parsed."""
        if name not in self._parsed:
            file = self.files.get(name)
            self._parsed[name] = parsed(file) if file else None
        return self._parsed[name]

    def task(self, origin: str) -> tuple[Module, Defined] | None:
        """Return the task with the dotted name `origin`, also if the module there only imports it; None if it is no task."""
        for _ in range(5):  # a module that imports a name from itself ends here
            holder, _, name = origin.rpartition(".")
            module = self.module(holder)
            if module is None:
                return None
            held = module.names.get(name, "")
            if held == origin:
                return next(((module, task) for task in module.tasks if task.function.name == name), None)
            origin = held
        return None


def parsed(file: File) -> Module | None:
    """Parse a file; return None if it is no Python."""
    text = sources.text(file.path)
    tree = tree_of(text)
    if tree is None:
        return None
    module = Module(file, text, tree)
    module.names = _names(module)
    module.tasks = _tasks(module)
    return module


def tree_of(text: bytes) -> ast.Module | None:
    """Parse a text; return None if it is no Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def inside(nodes: Iterable[ast.AST]) -> Iterator[tuple[ast.AST, tuple[ast.AST, ...]]]:
    """Yield what runs when these nodes run, in the order of the file, each with the nodes around it.

    The bodies of functions, lambdas and classes, and generator expressions, run later or not at all: they are left out.
    It does not call itself: an expression may be nested more deeply than Python allows calls to be.
    """
    waiting: list[tuple[ast.AST, tuple[ast.AST, ...]]] = [(each, ()) for each in reversed(list(nodes))]
    while waiting:
        node, around = waiting.pop()
        yield node, around
        if not isinstance(node, _SCOPES):
            waiting += [(each, (*around, node)) for each in reversed(list(ast.iter_child_nodes(node)))]


def bound(node: ast.AST) -> Iterator[str]:
    """Yield the names that a node binds by itself; imports are not among them."""
    if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
        yield node.id
    elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name
    elif isinstance(node, ast.arg):
        yield node.arg
    elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)) and node.name:
        yield node.name
    elif isinstance(node, ast.MatchMapping) and node.rest:
        yield node.rest


def _names(module: Module) -> dict[str, str]:
    found: dict[str, str] = {}
    for node in ast.walk(module.tree):
        if type(node) not in _BINDS or isinstance(getattr(node, "ctx", None), ast.Load):  # most of them, and quickly
            continue
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for name, origin in _imported(node, module.file):
                if found.setdefault(name, origin) != origin:
                    found[name] = ""
        for name in bound(node):
            # What a function binds has no such dotted name. No task and no app is found there, then.
            found[name] = "" if name in found else f"{module.file.module}.{name}"
    return {} if "*" in found else found  # which may bind any name


def _imported(node: ast.Import | ast.ImportFrom, file: File) -> Iterator[tuple[str, str]]:
    """Yield each name that a line imports, and the dotted name of what it stands for."""
    if isinstance(node, ast.Import):
        for each in node.names:
            yield (each.asname, each.name) if each.asname else (each.name.partition(".")[0],) * 2
        return
    base = node.module
    if node.level:
        package = file.module.split(".") if file.path.name == "__init__.py" else file.module.split(".")[:-1]
        package = package[: len(package) - node.level + 1]
        base = ".".join([*package, *filter(None, [base])])
    for each in node.names:
        yield each.asname or each.name, f"{base}.{each.name}"


def _tasks(module: Module) -> list[Defined]:
    found = []
    functions = [each for each in module.tree.body if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef))]
    for node in functions:
        for decorator in node.decorator_list:
            call = decorator if isinstance(decorator, ast.Call) else None
            origin = module.origin(call.func if call else decorator)
            if origin in _SHARED or (origin.endswith(".task") and is_app(origin.removesuffix(".task"))):
                options = frozenset(each.arg or "**" for each in call.keywords) if call else frozenset()
                found.append(Defined(node, origin, _given(call, options), options))
    return found


def is_app(origin: str) -> bool:
    """Whether a dotted name is that of a Celery app. Its module has to be imported."""
    return isinstance(value_of(origin), Celery)


def value_of(origin: str) -> Any:
    """Return what a dotted name stands for in the modules that are imported; None if that is not known."""
    module, _, name = origin.rpartition(".")
    return sources.namespace(sys.modules.get(module)).get(name)


def _given(call: ast.Call | None, options: frozenset[str]) -> str | None:
    if call is None or not ({"name", "**"} & options):
        return ""
    value = next((each.value for each in call.keywords if each.arg == "name"), None)
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else None
