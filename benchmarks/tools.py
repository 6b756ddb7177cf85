"""The reloaders that others use: watchfiles stands beside this Python, watchmedo gets a virtual environment of its own."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common import PYTHON, program, timed

REPOSITORY = Path(__file__).resolve().parent.parent

#: Kept from run to run; nothing looks for code in there, and git does not see it.
WATCHMEDO_HOME = REPOSITORY / ".tasktools/benchmarks/watchmedo"


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
    path = WATCHMEDO_HOME / "bin/watchmedo"
    if not path.exists():
        WATCHMEDO_HOME.mkdir(parents=True, exist_ok=True)
        timed([PYTHON, "-m", "venv", "--clear", str(WATCHMEDO_HOME)], REPOSITORY)
        pip = [str(WATCHMEDO_HOME / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        timed([*pip, "watchdog[watchmedo]"], REPOSITORY)
    return path
