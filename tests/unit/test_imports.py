from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import tasktools
from tests.support import REPOSITORY

PACKAGE = Path(tasktools.__file__).parent

_MODULES = "import json, sys; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"


def imported_by(statement: str, *options: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter holds after `statement`."""
    done = subprocess.run(
        [sys.executable, *options, "-c", f"{statement}; {_MODULES}"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=180,
        check=True,
    )
    return set(json.loads(done.stdout))


def test_imported_by__sees_what_is_imported() -> None:
    assert "celery" in imported_by("import celery")


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("tasktools", {"celery", "kombu", "rich", "django", "redis"}),
        ("tasktools.exceptions", {"celery", "kombu", "rich", "django", "redis"}),
        ("tasktools.valkey.server", {"celery", "kombu", "rich", "django", "redis"}),
        ("tasktools.arguments.binding", {"celery", "kombu", "rich", "redis"}),
        ("tasktools.render", {"celery", "kombu", "rich", "redis"}),
        ("tasktools.apps", {"celery", "kombu", "rich", "redis"}),
    ],
)
def test_import__stays_light(module: str, absent: set[str]) -> None:
    assert imported_by(f"import {module}") & absent == set()


def test_commands__draw_nothing_until_there_is_something_to_draw() -> None:
    statement = (
        "import os; os.environ['DJANGO_SETTINGS_MODULE'] = 'project.settings'; import django; django.setup(); "
        "import tasktools.management.commands.showtasks, tasktools.management.commands.enqueue"
    )
    found = imported_by(statement)
    assert "celery" in found
    assert found & {"rich", "redis"} == set()


def test_keeper__runs_without_site_packages() -> None:
    keeper = PACKAGE / "valkey/keeper.py"
    found = imported_by(f"import runpy; runpy.run_path({str(keeper)!r}, run_name='keeper')", "-I", "-S")
    assert "fcntl" in found
    assert found - sys.stdlib_module_names <= {"__main__"}


def test_keeper__names_the_standard_library_alone() -> None:
    tree = ast.parse((PACKAGE / "valkey/keeper.py").read_text())
    named = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    named |= {node.module or "." * node.level for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in named} - sys.stdlib_module_names == set()
