"""The tools that others use: watchfiles stands beside this Python, the others get virtual environments of their own."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import celery
import django

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


def redbeat_celery() -> Path:
    """Return the `celery` that has RedBeat beside it, in the versions of this Python; the first time it is installed."""
    same = (f"celery[redis]=={celery.__version__}", f"django=={django.__version__}")
    return _installed("redbeat", "celery-redbeat", *same, program_name="celery")


def flower_celery() -> Path:
    """Return the `celery` that has Flower beside it, in the versions of this Python; the first time it is installed."""
    same = (f"celery[redis]=={celery.__version__}", f"django=={django.__version__}")
    return _installed("flower", "flower", *same, program_name="celery")


def _installed(name: str, *requirements: str, program_name: str = "") -> Path:
    """Return the path of a program in the virtual environment `name`; the first time it is made."""
    home = HOMES / name
    path = home / "bin" / (program_name or name)
    if not path.exists():
        home.mkdir(parents=True, exist_ok=True)
        timed([PYTHON, "-m", "venv", "--clear", str(home)], REPOSITORY)
        pip = [str(home / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        timed([*pip, *requirements], REPOSITORY)
    return path
