"""A start that patches first: what the command line becomes, and that the program runs as Python would run it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tasktools.environment import monkey

LAUNCHER = str(Path(monkey.__file__).resolve())

#: Prints how it was started.
PROGRAM = """
import json, sys, threading, __main__
import tasktools.environment.monkey as monkey
spec = getattr(__main__, "__spec__", None)
print(json.dumps({
    "name": __name__, "argv": sys.argv, "path": sys.path[0], "spec": spec and spec.name, "warn": sys.warnoptions,
    "patched": [pool for pool in monkey.POOLS if monkey.is_patched(pool)], "switches": monkey.switches(),
}))
"""


@pytest.mark.parametrize(
    ("words", "first"),
    [
        (["/bin/python", "manage.py", "runworker", "-Wx"], 1),
        (["/bin/python", "-Werror", "-Xdev", "manage.py", "runworker"], 3),
        (["/bin/python", "-Werror", "-m", "django", "runworker"], 2),
    ],
)
def test_command__patches_before_what_python_runs(words: list[str], first: int) -> None:
    assert monkey.command("gevent", words) == [*words[:first], LAUNCHER, "gevent", *words[first:]]


def run(folder: Path, *words: str) -> dict[str, object]:
    command = monkey.command("gevent", [sys.executable, "-Wignore::UserWarning", *words])
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_script__runs_patched_as_python_runs_it(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "manage.py").write_text(PROGRAM)
    assert run(tmp_path, "inner/manage.py", "runworker", "-P", "gevent") == {
        "name": "__main__",
        "argv": ["inner/manage.py", "runworker", "-P", "gevent"],
        "path": str(inner),
        "spec": None,
        "warn": ["ignore::UserWarning"],
        "patched": ["gevent"],
        "switches": True,
    }


def test_module__runs_patched_as_python_runs_it(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    found = run(tmp_path, "-m", "program", "runworker")
    assert found["argv"] == [str(tmp_path / "program.py"), "runworker"]
    assert found["path"] == str(tmp_path)
    assert (found["name"], found["spec"], found["patched"]) == ("__main__", "program", ["gevent"])


def test_ordinary_process__is_not_patched() -> None:
    assert not any(monkey.is_patched(pool) for pool in monkey.POOLS)
    assert not monkey.switches()


@pytest.mark.parametrize("pool", monkey.POOLS)
def test_patched_by_the_project_itself__is_seen(pool: str) -> None:
    code = {
        "gevent": "import gevent.monkey; gevent.monkey.patch_all()",
        "eventlet": "import eventlet; eventlet.monkey_patch()",
    }[pool]
    code += "\nimport sys; from tasktools.environment import monkey; "
    code += f"sys.exit(not (monkey.is_patched({pool!r}) and monkey.switches()))"
    assert subprocess.run([sys.executable, "-Wignore", "-c", code], timeout=180, check=False).returncode == 0


@pytest.mark.parametrize("pool", monkey.POOLS)
def test_limit__holds_where_greenlets_wait(tmp_path: Path, pool: str) -> None:
    """An alarm would ring in the greenlet of the loop, which prints what it raises, or ends by it."""
    code = """
import time
from tasktools.brokers.timeouts import TimedOut, within
began = time.monotonic()
try:
    within(0.1, time.sleep, 60)
except TimedOut:
    assert time.monotonic() - began < 30
    print("timed out")
assert within(30, divmod, 7, 2) == (3, 1)
"""
    (tmp_path / "program.py").write_text(code)
    command = monkey.command(pool, [sys.executable, "-Wignore", "program.py"])
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=180, check=False)
    assert (done.stdout, done.stderr) == ("timed out\n", "")
