"""make demo: from nothing to a finished task, on a broker that needs no installation.

Starts a worker and beat, sends a task, waits for a tick of the schedule, stops everything, and sees that nothing is left.
Exit code 0; 1 with the logs when any part fails.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 30.0  # seconds for each thing waited for


class Failed(Exception):
    """A part of the demo did not do what it should."""


class Demo:
    """The processes of the demo and what they print."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "project.settings",
            "DEMO_WEATHER_INTERVAL": "1",
            "DEMO_LINGER": "500ms",
            "DEMO_DATA_DIR": str(folder / "data"),
            "PYTHONUNBUFFERED": "1",
            "PYTHONWARNINGS": "ignore:You're running the worker with superuser privileges",
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *words: str) -> None:
        say(f"$ python manage.py {' '.join(words)} &")
        with self.log(name).open("wb") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "manage.py", *words],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def run(self, *words: str) -> str:
        say(f"$ python manage.py {' '.join(words)}")
        done = subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        if done.returncode:
            raise Failed(f"manage.py {words[0]} ended with {done.returncode}: {done.stderr.strip()}")
        say(done.stdout.rstrip())
        return done.stdout

    def stop(self) -> None:
        """End what was started, warmly, and without patience after LIMIT."""
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        for name, process in self.processes.items():
            try:
                process.wait(LIMIT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise Failed(f"the {name} did not stop") from None

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def has_said(self, name: str, text: str) -> bool:
        if self.processes[name].poll() is not None:
            raise Failed(f"the {name} ended by itself with {self.processes[name].returncode}")
        return text in self.log(name).read_text(errors="replace")


def main() -> int:
    """Run the demo and return its exit code."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        demo = Demo(Path(folder))
        try:
            try:
                play(demo)
            finally:
                demo.stop()
            wait_for("the private Valkey to end", lambda: not server_is_there(demo.folder / "data"))
        except (Failed, subprocess.TimeoutExpired, OSError) as error:
            say(f"The demo failed: {error}")
            for log in sorted(Path(folder).glob("*.log")):
                say(f"--- {log.stem}\n{log.read_text(errors='replace')}")
            return 1
    say(f"Worker and beat have stopped, nothing is left running. {time.monotonic() - began:.1f} s.")
    return 0


def play(demo: Demo) -> None:
    """Have a task done, and see one tick of the schedule."""
    demo.start("worker", "runworker", "-l", "INFO", "--without-mingle", "--without-gossip")
    demo.start("beat", "runbeat", "-l", "INFO", "--schedule", str(demo.folder / "schedule"))
    if demo.run("enqueue", "add", "2", "2", "--wait") != "4\n":
        raise Failed("2 and 2 should make 4")
    wait_for("a tick of the schedule", lambda: demo.has_said("beat", "Sending due task fetch-weather"))
    wait_for("the weather", lambda: demo.has_said("worker", "celsius"))
    say("beat has sent fetch-weather, and the worker has fetched it.")


def wait_for(what: str, done: Callable[[], bool]) -> None:
    """Return when `done` is true.

    Raises Failed after LIMIT.
    """
    deadline = time.monotonic() + LIMIT
    while not done():
        if time.monotonic() > deadline:
            raise Failed(f"waited {LIMIT:g} s for {what}")
        time.sleep(0.05)


def server_is_there(data: Path) -> bool:
    """Whether the process of the private Valkey lives."""
    try:
        os.kill(int((data / "valkey.pid").read_text()), 0)
    except (OSError, ValueError):
        return False
    return True


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
