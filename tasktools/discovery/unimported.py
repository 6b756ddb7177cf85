"""Tasks in files of the project that nothing imports: no worker knows them. The files are read, never run."""

from __future__ import annotations

import ast
import itertools
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.apps import apps

from tasktools import conf
from tasktools.arguments.names import resolve, shown_path
from tasktools.discovery.import_names import is_own
from tasktools.exceptions import TaskNameError

#: At most so many files are looked at.
MOST_FILES = 2_000

_DECORATORS = ("shared_task", "task")
_PASSED_BY = ("migrations", "tests", "node_modules")


@dataclass(frozen=True)
class Unimported:
    """A module that holds a task, and that this process has not imported."""

    module: str
    path: Path
    #: Whether its package is an installed app.
    installed: bool

    def hint(self) -> str:
        """Return how to have the workers import it."""
        file = shown_path(os.path.relpath(self.path))
        where = f'CELERY_IMPORTS = ["{self.module}"] in the settings'
        package, _, name = self.module.rpartition(".")
        if name != "tasks":
            return f"{file} defines it, and nothing imports that file: {where}, or import it in {package}.tasks"
        if self.installed:
            return f"{file} defines it, and the Celery app does not import it: call app.autodiscover_tasks()"
        return f'{file} defines it, and "{package}" is no installed app: {where}'


def find(name: str = "") -> Unimported | None:
    """Return the module that holds a task which `name` stands for; without a name, any task."""
    held: dict[str, Unimported] = {}
    for module in itertools.islice(_modules(), MOST_FILES):
        for task in _tasks(module.path, module.module):
            held.setdefault(task, module)
    if not name:
        return next(iter(held.values()), None)
    try:
        return held[resolve(name, held)]
    except TaskNameError:
        return None


def _modules() -> Iterator[Unimported]:
    """Yield the modules of the project's apps, then of the package of the settings, that are not imported."""
    roots = [(each.path, each.name, True) for each in apps.get_app_configs() if is_own(each)]
    package = conf.settings_package()
    place = getattr(sys.modules.get(package), "__path__", None)
    roots += [(each, package, False) for each in place or ()]
    for root, name, installed in roots:
        for folder, folders, files in os.walk(root):
            folders[:] = sorted(each for each in folders if each.isidentifier() and each not in _PASSED_BY)
            parts = [name, *Path(folder).relative_to(root).parts]
            for file in sorted(files):
                module = ".".join([*parts, file.removesuffix(".py")])
                if file.endswith(".py") and module not in sys.modules and file != "__init__.py":
                    yield Unimported(module, Path(folder, file), installed)


def _tasks(path: Path, module: str) -> Iterator[str]:
    """Yield the names of the tasks that a file defines at its top."""
    try:
        text = path.read_bytes()
        tree = ast.parse(text) if b"task" in text else ast.Module([], [])
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        return
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for decorator in node.decorator_list:
                call = decorator if isinstance(decorator, ast.Call) else None
                function = call.func if call else decorator
                if getattr(function, "attr", getattr(function, "id", "")) in _DECORATORS:
                    yield _given_name(call) or f"{module}.{node.name}"


def _given_name(call: ast.Call | None) -> str:
    """Return the name in `@shared_task(name="...")`, "" if there is none."""
    given = next((each.value for each in call.keywords if each.arg == "name"), None) if call else None
    return given.value if isinstance(given, ast.Constant) and isinstance(given.value, str) else ""
