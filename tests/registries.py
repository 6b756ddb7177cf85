"""Compare the tasks that each command of a site knows with those of Celery's own worker there, and print the counts.

    python tests/registries.py FOLDER --settings proj.settings -A proj.celery [--python VENV/bin/python]

FOLDER is the folder of manage.py. The site stays as it is: settings with and without tasktools are made in a temporary
folder, and broker and result backend are in memory. Ends with 1 when a command knows other tasks than the worker.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent

#: How long one command may take, in seconds.
LIMIT = 300

WORKER = ("-P", "solo", "--without-mingle", "--without-gossip", "--without-heartbeat")
#: A scheduler that asks no database, writes no file and reads no entry: sites have entries that their own alone understands.
SCHEDULER = """
from celery.beat import Scheduler
class Idle(Scheduler):
    def setup_schedule(self):
        pass
"""
BEAT = ("-S", "registries_beat.Idle")

STOCK = "celery worker"
COMMANDS: dict[str, tuple[str, ...]] = {
    "celery worker, with tasktools": (),
    "manage.py celery worker": ("manage.py", "celery", "worker", *WORKER),
    "runworker": ("manage.py", "runworker", "--noreload", *WORKER),
    "runworker --skip-checks": ("manage.py", "runworker", "--noreload", "--skip-checks", *WORKER),
    "runbeat": ("manage.py", "runbeat", "--noreload", *BEAT),
    "runbeat --skip-checks": ("manage.py", "runbeat", "--noreload", "--skip-checks", *BEAT),
}

#: Runs a command line, and writes the tasks that its worker or beat knows when it is ready.
PROBE = """
import json, os, sys
from celery import signals
out, *sys.argv = sys.argv[1:]
def tell(sender, **_):
    with open(out, "w") as file:
        json.dump(sorted(sender.app.tasks), file)
    os._exit(0)
signals.worker_ready.connect(tell)
signals.beat_init.connect(tell)
if sys.argv[0] == "manage.py":
    from django.core.management import execute_from_command_line
    execute_from_command_line(sys.argv)
else:
    from celery.__main__ import main
    main()
"""

#: Asks the other commands, as a process of manage.py would, and prints what each knows of the names in the file.
ASK = """
import io, json, sys
import django
from django.core.management import CommandError, call_command
names = json.load(open(sys.argv[1]))
def output(*words, **options):
    out = io.StringIO()
    call_command(*words, stdout=out, stderr=io.StringIO(), **options)
    return out.getvalue()
def is_sent(name):
    try:
        output("enqueue", name, "--dry-run")
    except CommandError as error:
        return "No task is called" not in str(error)
    return True
def showtasks():
    return [task["name"] for task in json.loads(output("showtasks", "--all", "--json"))]
def completion():
    words = output("completion", "bash", words=["enqueue", ""]).split()
    return [name for name in names if name in words or name.startswith("celery.")]
def check():
    from django.core.checks import run_checks
    from tasktools.discovery import celery_app
    from tasktools.project import current_project
    app = (current_project().found or celery_app.find()).app
    app.conf.beat_schedule = {name: {"task": name, "schedule": 60} for name in names}
    missed = " ".join(message.msg for message in run_checks(tags=["tasktools"]) if message.id == "tasktools.W010")
    return [name for name in names if f'"{name}" cannot run' not in missed]
django.setup()
how = {"showtasks": showtasks, "enqueue": lambda: list(filter(is_sent, names)), "completion": completion, "check": check}
with open(sys.argv[2], "w") as file:
    json.dump(how[sys.argv[3]](), file)
"""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A site, and how its commands are run."""

    folder: Path
    settings: str
    #: What follows -A on Celery's command line.
    app: str
    python: str = sys.executable
    #: A folder for the settings that are made here.
    scratch: Path

    def registries(self) -> Iterator[tuple[str, set[str]]]:
        """Yield each command and the names that it knows; Celery's own worker first."""
        without, with_tasktools = self._written("without"), self._written("with")
        (self.scratch / "registries_beat.py").write_text(SCHEDULER)
        celery = ("celery", "-A", self.app, "worker", *WORKER)
        stock = self._run(without, PROBE, "", *celery)
        yield STOCK, stock
        for command, words in COMMANDS.items():
            yield command, self._run(with_tasktools, PROBE, "", *(words or celery))
        names = self.scratch / "names.json"
        names.write_text(json.dumps(sorted(stock)))
        for command in ("showtasks", "enqueue", "completion", "check"):
            yield command, self._run(with_tasktools, ASK, str(names), command)

    def _written(self, kind: str) -> str:
        """Write settings with or without tasktools; return the name of the module."""
        change = {"with": "['tasktools', *_others]", "without": "_others"}[kind]
        lines = [
            f"from {self.settings} import *",
            f"import {self.settings} as _site",
            "_others = [each for each in _site.INSTALLED_APPS if each != 'tasktools']",
            f"INSTALLED_APPS = {change}",
        ]
        name = f"registries_{kind}"
        (self.scratch / f"{name}.py").write_text("\n".join(lines) + "\n")
        return name

    def _run(self, settings: str, script: str, first: str, *words: str) -> set[str]:
        """Return the names that a process has written."""
        answer = self.scratch / "answer.json"
        answer.unlink(missing_ok=True)
        path = os.pathsep.join([str(self.scratch), str(self.folder), str(REPOSITORY), os.environ.get("PYTHONPATH", "")])
        memory = {"CELERY_BROKER_URL": "memory://", "CELERY_RESULT_BACKEND": "cache+memory://"}
        kept = {key: value for key, value in os.environ.items() if not key.startswith("COVERAGE_PROCESS")}
        command = [self.python, "-c", script, *([first] if first else []), str(answer), *words]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**kept, **memory, "PYTHONPATH": path.rstrip(os.pathsep), "DJANGO_SETTINGS_MODULE": settings},
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        if not answer.exists():
            raise SystemExit(
                f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
            )
        return set(json.loads(answer.read_text()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--settings", required=True)
    parser.add_argument("-A", "--app", required=True)
    parser.add_argument("--python", default=sys.executable)
    given = parser.parse_args()
    same = True
    with tempfile.TemporaryDirectory() as scratch:
        place = Place(
            folder=given.folder.resolve(),
            settings=given.settings,
            app=given.app,
            python=given.python,
            scratch=Path(scratch),
        )
        stock: set[str] = set()
        for command, names in place.registries():
            stock = stock or names
            print(f"{len(names):5}  {command}", flush=True)
            for sign, differing in (("-", stock - names), ("+", names - stock)):
                same = same and not differing
                for name in sorted(differing):
                    print(f"       {sign} {name}", flush=True)
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
