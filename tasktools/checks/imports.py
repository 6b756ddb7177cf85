"""W050, W051, W052: each function is one task, each task is one function, and the workers import it."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Iterator

from django.apps import apps
from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning

from tasktools import conf, startup
from tasktools.checks import project
from tasktools.discovery import celery_app, django_fixup, sources
from tasktools.discovery.celery_app import Found
from tasktools.discovery.sources import File
from tasktools.discovery.syntax import Defined, Reader
from tasktools.discovery.unimported import Unimported

#: The ids that this module can give.
IDS = ("tasktools.W050", "tasktools.W051", "tasktools.W052")

#: At most so many tasks of a file are named.
_MOST_NAMED = 3


def check(found: Found, reader: Reader) -> list[CheckMessage]:
    """Compare the tasks in the files of the project with the modules that are imported."""
    return [*_unimported(found, reader), *_imported_twice(reader), *_two_functions(found, reader)]


def _unimported(found: Found, reader: Reader) -> list[CheckMessage]:
    """Warn of files with tasks that no worker imports. What a worker imports is imported only as long as there is such a file."""
    lost = {file: tasks for file in _candidates(found, reader) if (tasks := _tasks_for(found, reader, file))}
    # Each app may have workers of its own, which import other modules.
    if not lost or conf.silences("tasktools.W052") or celery_app.others(found.app):
        return []
    for load in (startup.load_tasks, django_fixup.load_urlconf):
        if errors := load(found):
            return project.messages(errors)
        imported = sources.imported_paths()
        lost = {file: tasks for file, tasks in lost.items() if not sources.is_imported(file, imported)}
        if not lost:
            break
    return [_never_imported(file, tasks) for file, tasks in lost.items()]


def _candidates(found: Found, reader: Reader) -> Iterator[File]:
    imported = sources.imported_paths()
    discovers = not found.ready_made and any(look.discovers for _, look in reader.looks)
    for file, look in reader.looks:
        is_discovered = discovers and file.installed and file.path.name == "tasks.py"
        if (
            look.defines_tasks
            and not sources.is_of_other_app(file.path)
            and not (is_discovered or file.path.name == "__init__.py" or sources.is_imported(file, imported))
        ):
            yield file


def _tasks_for(found: Found, reader: Reader, file: File) -> list[str]:
    module = reader.module(file.module)
    tasks = module.tasks if module else []
    return [_name(file, task) for task in tasks if task.app in (None, found.app)]


def _name(file: File, task: Defined) -> str:
    return task.given or f"{file.module}.{task.function.name}"


def _never_imported(file: File, tasks: list[str]) -> CheckMessage:
    named = ", ".join(f'"{name}"' for name in tasks[:_MOST_NAMED])
    more = f" and {len(tasks) - _MOST_NAMED} more" if len(tasks) > _MOST_NAMED else ""
    lost = Unimported(file.module, file.path, file.installed)
    sentence = lost.why(f"the {'task' if len(tasks) == 1 else 'tasks'} {named}{more}")
    return CheckWarning(f"{sentence}.", hint=lost.remedy(), id="tasktools.W052")


def _imported_twice(reader: Reader) -> Iterator[CheckMessage]:
    """Warn of files that are imported under two names: each of their tasks has two names then."""
    imported = sources.imported_paths()
    for file in reader.files.values():
        names = imported.get(str(file.path), [])
        module = reader.module(file.module) if len(names) > 1 else None
        tasks = [task.function.name for task in module.tasks if task.given == ""] if module else []
        if tasks:
            meant, *others = sorted(names, key=_merit)
            listed = " and as ".join(f'"{each}"' for each in (meant, *others))
            yield CheckWarning(
                f'{sources.shown(file.path)} is imported as {listed}: its task "{tasks[0]}" is registered under each name.',
                hint=f"import {meant} everywhere, and {others[0]} nowhere",
                id="tasktools.W050",
            )


def _merit(module: str) -> tuple[bool, int, str]:
    """Return the sort key of a module's name: that of an installed app comes first, which Celery imports."""
    installed = {each.name for each in apps.get_app_configs()}
    return module.rpartition(".")[0] not in installed, len(module), module


def _two_functions(found: Found, reader: Reader) -> Iterator[CheckMessage]:
    """Warn of names that two functions have. Celery makes shared tasks in no fixed order, and keeps the first one."""
    given = collections.Counter(name for _, look in reader.looks for name in look.given)
    held: dict[str, list[tuple[File, Defined]]] = {}
    for file, look in reader.looks:
        if look.repeats or any(given[name] > 1 for name in look.given):
            module = reader.module(file.module)
            for task in module.tasks if module else ():
                if task.given is not None:
                    held.setdefault(_name(file, task), []).append((file, task))
    held = {name: each for name, each in held.items() if len(each) > 1}
    if not held:
        return
    if errors := startup.load_tasks(found):
        yield from project.messages(errors)
        return
    imported = sources.imported_paths()
    for name, each in held.items():
        met = [(file, task) for file, task in each if sources.is_imported(file, imported)]
        if any(_meet(one, other) for (_, one), (_, other) in itertools.combinations(met, 2)):
            places = " and ".join(f"{sources.shown(file.path)}:{task.function.lineno}" for file, task in met)
            yield CheckWarning(
                f'{len(met)} functions are the task "{name}": {places}. Celery keeps one of them.',
                hint='give each its own name, as in @shared_task(name="...")',
                id="tasktools.W051",
            )


def _meet(one: Defined, other: Defined) -> bool:
    """Whether two tasks are registered with one app."""
    return one.app is None or other.app is None or one.app is other.app
