"""The tools that others use: watchfiles stands beside this Python, watchmedo and rq get virtual environments of their own."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common import PYTHON, program, timed

REPOSITORY = Path(__file__).resolve().parent.parent

#: Virtual environments, kept from run to run; nothing looks for code in there, and git does not see it.
HOMES = REPOSITORY / ".tasktools/benchmarks"


def watchfiles_command(command: Sequence[str]) -> list[str]:
    """Return the command line that has watchfiles run `command`, with watchfiles' own defaults."""
    return [program("watchfiles"), shlex.join(command), "."]


def watchmedo_command(command: Sequence[str]) -> list[str]:
    """Return the command line that has watchmedo run `command`, as pages on Celery recommend it.

    They write `--pattern=*.py`, which from watchdog 7 on matches files in the first folder alone.
    """
    options = ["--directory=.", "--pattern=**/*.py", "--recursive"]
    return [str(watchmedo()), "auto-restart", *options, "--", *command]


def watchmedo() -> Path:
    """Return the path of watchmedo; the first time it is installed from the package index."""
    return _installed("watchmedo", "watchdog[watchmedo]")


def rq_python() -> Path:
    """Return the Python that has rq; the first time it is installed from the package index."""
    return _installed("rq", "rq").with_name("python")


def _installed(program_name: str, requirement: str) -> Path:
    """Return the path of a program in the virtual environment that is named after it; the first time it is made."""
    home = HOMES / program_name
    path = home / "bin" / program_name
    if not path.exists():
        home.mkdir(parents=True, exist_ok=True)
        timed([PYTHON, "-m", "venv", "--clear", str(home)], REPOSITORY)
        pip = [str(home / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        timed([*pip, requirement], REPOSITORY)
    return path
