"""Tasks in files of the project that nothing imports: no worker knows them. The files are read, never run."""

from __future__ import annotations

import ast
import itertools
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.apps import apps

from tasktools import conf
from tasktools.arguments.names import resolve
from tasktools.discovery import sources, syntax
from tasktools.discovery.jobs import GROUPS
from tasktools.discovery.sources import File
from tasktools.exceptions import TaskNameError

_DECORATORS = ("shared_task", "task")
_OTHERS = ("django", "huey", "invoke", "locust", "prefect", "dramatiq", "procrastinate", "airflow", "fabric")


@dataclass(frozen=True)
class Unimported(File):
    """A module that holds a task, and that this process has not imported."""

    def hint(self, what: str = "it") -> str:
        """Return how to have the workers import it; `what` names what the file defines."""
        return f"{self.why(what)}: {self.remedy()}"

    def why(self, what: str) -> str:
        """Return why no worker knows `what`, which the file defines."""
        file = sources.shown(self.path)
        if self._stem() != "tasks":
            return f"{file} defines {what}, and nothing imports that file"
        if self.installed:
            return f"{file} defines {what}, and the Celery app does not import it"
        return f'{file} defines {what}, and "{self._package()}" is no installed app'

    def remedy(self) -> str:
        """Return what makes the workers import it."""
        package, where = self._package(), f'CELERY_IMPORTS = ["{self.module}"] in the settings'
        if self._stem() != "tasks":
            return f"{where}, or import it in {package if package.endswith('.tasks') else f'{package}.tasks'}"
        if self.installed:
            return "call app.autodiscover_tasks()"
        known = {conf.settings_package(), *(each.name.partition(".")[0] for each in apps.get_app_configs())}
        return where if package.partition(".")[0] in known else f'add "{package}" to INSTALLED_APPS'

    def _package(self) -> str:
        return self.module.rpartition(".")[0]

    def _stem(self) -> str:
        return self.module.rpartition(".")[2]


class IdleJob(Unimported):
    """The module of a job of django-extensions. Jobs are no tasks of this project."""

    def why(self, what: str) -> str:
        """Return why no worker knows the job."""
        return f"{sources.shown(self.path)} is a job of django-extensions"

    def remedy(self) -> str:
        """Return what makes it a task."""
        return f"TASKTOOLS_JOBS = True in the settings makes a task of it, called {self.module}"


def find(name: str = "") -> Unimported | None:
    """Return the module that holds a task which `name` stands for; without a name, any task."""
    held: dict[str, Unimported] = {}
    for module in itertools.islice(_modules(), sources.MOST_FILES):
        for task in _tasks(module):
            held.setdefault(task, module)
    if not name:
        return next(iter(held.values()), None)
    try:
        return held[resolve(name, held)]
    except TaskNameError as error:
        is_unknown = bool(error.typed)
    if not is_unknown or conf.chosen("TASKTOOLS_JOBS", False):
        return None
    jobs = {job.module: job for job in _jobs()}
    try:
        return jobs[resolve(name, jobs)]
    except TaskNameError:
        return None


def _jobs() -> Iterator[IdleJob]:
    """Yield the files that define a job, in the folders where django-extensions looks for them."""
    installed = {each.name for each in apps.get_app_configs()}
    for config in apps.get_app_configs():
        if f"{config.name}.jobs" in installed:  # whose modules are its own, see discovery.jobs
            continue
        for place in ("", *GROUPS):
            for path in sorted(Path(config.path, "jobs", place).glob("[!_]*.py")):
                package = f"{config.name}.jobs.{place}".rstrip(".")
                job = IdleJob(f"{package}.{path.stem}", path, installed=True)
                if _defines_job(path):
                    yield job


def _defines_job(path: Path) -> bool:
    try:
        tree = syntax.tree_of(path.read_bytes())
    except OSError:
        return False
    return tree is not None and any("Job" in _bound(node) for node, _ in syntax.inside(tree.body))


def _bound(node: ast.AST) -> set[str]:
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return {each.asname or each.name for each in node.names}
    return {*syntax.bound(node)}


def _modules() -> Iterator[Unimported]:
    """Yield the modules that are not imported: of the project's apps, of the package of the settings, of apps beside it."""
    imported = sources.imported_paths()
    for file in sources.files():
        if not (sources.is_imported(file, imported) or file.path.name == "__init__.py"):
            yield Unimported(file.module, file.path, file.installed)
    installed = {each.name for each in apps.get_app_configs()}
    for base in {
        Path(each).parent for each in getattr(sys.modules.get(conf.settings_package()), "__path__", None) or ()
    }:
        for path in sorted((*base.glob("*/tasks.py"), *base.glob("*/*/tasks.py"))):
            parts = [*path.relative_to(base).parts[:-1], "tasks"]
            if ".".join(parts) not in sys.modules and all(map(str.isidentifier, parts)):
                yield Unimported(".".join(parts), path, ".".join(parts[:-1]) in installed)


def _tasks(file: File) -> Iterator[str]:
    """Yield the names of the tasks that a file defines at its top."""
    module = syntax.parsed(file) if sources.look(file.path).defines_tasks else None
    if module is None:
        return
    foreign = {
        name.asname or name.name.partition(".")[0]
        for node in ast.walk(module.tree)
        if isinstance(node, (ast.Import, ast.ImportFrom)) and _is_foreign(node)
        for name in node.names
    }
    for node in module.tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for decorator in node.decorator_list:
                call = decorator if isinstance(decorator, ast.Call) else None
                function = call.func if call else decorator
                holder = getattr(function, "value", function)
                if getattr(holder, "id", "") not in foreign and _name_of(function) in _DECORATORS:
                    yield _given_name(call) or f"{file.module}.{node.name}"


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
