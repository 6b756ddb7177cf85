"""Tasks in files of the project that nothing imports: no worker knows them. The files are read, never run."""

from __future__ import annotations

import ast
import itertools
import os
import re
import sys
import warnings
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
_OTHERS = ("django", "huey", "invoke", "locust", "prefect", "dramatiq", "procrastinate", "airflow", "fabric")
_PASSED_BY = ("migrations", "tests", "node_modules")
_NO_TASKS = re.compile(r"__init__\.py$|tests?\.py$|test_|conftest\.py$")


@dataclass(frozen=True)
class Unimported:
    """A module that holds a task, and that this process has not imported."""

    module: str
    path: Path
    #: Whether its package is an installed app.
    installed: bool

    def hint(self, what: str = "it") -> str:
        """Return how to have the workers import it; `what` names what the file defines."""
        file = shown_path(os.path.relpath(self.path))
        where = f'CELERY_IMPORTS = ["{self.module}"] in the settings'
        package, _, name = self.module.rpartition(".")
        if name != "tasks":
            return f"{file} defines {what}, and nothing imports that file: {where}, or import it in {package}.tasks"
        if self.installed:
            return f"{file} defines {what}, and the Celery app does not import it: call app.autodiscover_tasks()"
        known = {conf.settings_package(), *(each.name.partition(".")[0] for each in apps.get_app_configs())}
        if package.partition(".")[0] not in known:
            where = f'add "{package}" to INSTALLED_APPS'
        return f'{file} defines {what}, and "{package}" is no installed app: {where}'


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
    """Yield the modules that are not imported: of the project's apps, of the package of the settings, of apps beside it."""
    installed = {each.name for each in apps.get_app_configs()}
    roots = [(each.path, each.name) for each in apps.get_app_configs() if is_own(each)]
    package = conf.settings_package()
    place = getattr(sys.modules.get(package), "__path__", None)
    roots += [(each, package) for each in place or ()]
    for root, name in roots:
        for folder, folders, files in itertools.islice(os.walk(root), MOST_FILES):
            folders[:] = sorted(each for each in folders if each.isidentifier() and each not in _PASSED_BY)
            parts = [name, *Path(folder).relative_to(root).parts]
            for file in sorted(files):
                module = ".".join([*parts, file.removesuffix(".py")])
                if file.endswith(".py") and module not in sys.modules and not _NO_TASKS.match(file):
                    yield Unimported(module, Path(folder, file), ".".join(parts) in installed)
    for base in {Path(each).parent for each in place or ()}:
        for path in sorted((*base.glob("*/tasks.py"), *base.glob("*/*/tasks.py"))):
            parts = [*path.relative_to(base).parts[:-1], "tasks"]
            if ".".join(parts) not in sys.modules and all(map(str.isidentifier, parts)):
                yield Unimported(".".join(parts), path, ".".join(parts[:-1]) in installed)


def _tasks(path: Path, module: str) -> Iterator[str]:
    """Yield the names of the tasks that a file defines at its top."""
    try:
        text = path.read_bytes()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text) if b"task" in text else ast.Module([], [])
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        return
    foreign = {
        name.asname or name.name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom)) and _is_foreign(node)
        for name in node.names
    }
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for decorator in node.decorator_list:
                call = decorator if isinstance(decorator, ast.Call) else None
                function = call.func if call else decorator
                holder = getattr(function, "value", function)
                if getattr(holder, "id", "") not in foreign and _name_of(function) in _DECORATORS:
                    yield _given_name(call) or f"{module}.{node.name}"


def _is_foreign(node: ast.Import | ast.ImportFrom) -> bool:
    """Whether a line imports from a library whose `task` is none of Celery's."""
    modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names]
    return any(each.partition(".")[0] in _OTHERS for each in modules)


def _name_of(function: ast.expr) -> str:
    return str(getattr(function, "attr", getattr(function, "id", "")))


def _given_name(call: ast.Call | None) -> str:
    """Return the name in `@shared_task(name="...")`, "" if there is none."""
    given = next((each.value for each in call.keywords if each.arg == "name"), None) if call else None
    return given.value if isinstance(given, ast.Constant) and isinstance(given.value, str) else ""
