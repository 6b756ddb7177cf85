"""The wheel takes a new site through the README's first steps, with no checkout in reach."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support import REPOSITORY, TASKS, Site

pytestmark = pytest.mark.wheel

#: Installing takes as long as the package index does, in seconds.
INSTALL = 300


def pip(*words: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def wheel() -> Path:
    """The wheel that make dist has built."""
    return REPOSITORY / os.environ["WHEEL"]


@pytest.fixture
def bare(tmp_path: Path, wheel: Path) -> Path:
    """The interpreter of a new virtual environment that holds the wheel and what it requires."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True, timeout=60)
    python = tmp_path / "venv" / "bin" / "python"
    pip("--python", str(python), "install", f"{wheel}[dev]")
    return python


def test_wheel__a_new_site_by_the_readme(tmp_path: Path, wheel: Path, bare: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
    assert {"tasktools/py.typed", "tasktools/completions/manage.bash", "tasktools/valkey/keeper.py"} <= set(names)
    pages = "tasktools/templates/admin/tasktools/failedtask"
    assert {f"{pages}/detail.html", f"{pages}/confirm.html", "tasktools/static/tasktools/admin.css"} <= set(names)
    assert [name for name in names if name.startswith(("tests/", "project/", "benchmarks/"))] == []
    (tmp_path / "site").mkdir()
    with Site(tmp_path / "site", environment={"PYTHONPATH": ""}) as site:
        made = site.run(str(bare), "-m", "django", "startproject", "mysite", ".")
        assert made.returncode == 0, made.stderr
        settings = site.root / "mysite/settings.py"
        settings.write_text(
            settings.read_text().replace("INSTALLED_APPS = [", 'INSTALLED_APPS = ["tasktools", "shop",')
        )
        site.write("shop/tasks.py", TASKS)
        where = site.run(str(bare), "-c", "import tasktools; print(tasktools.__file__)")
        assert where.stdout.startswith(str(tmp_path / "venv"))
        running = site.start(str(bare), "manage.py", "rundev", "127.0.0.1:0")
        running.wait_for_output(" ready.")
        running.wait_for_output(
            "beat: in charge."
        )  # although the site is not migrated: nothing of beat is in the database
        done = site.run(str(bare), "manage.py", "enqueue", "add", "2", "2", "--wait")
        assert (done.stdout, done.returncode) == ("4\n", 0), done.stderr
