"""make demo: from nothing to a finished task, on a broker that needs no installation.

Starts the whole site with rundev, sends a task, fills the form of its page, waits for a tick of the schedule, stops everything
with one Ctrl+C, and checks that nothing is left. Exit code 0; when any part fails, prints the site's output and exits with 1.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 30.0  # seconds for each thing waited for


class Failed(Exception):
    """A part of the demo did not do what it should."""


class Demo:
    """The site, and what it prints."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.log = folder / "site.log"
        self.schedule = folder / "schedule"
        self.environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "project.settings",
            "DEMO_WEATHER_INTERVAL": "1",
            "DEMO_LINGER": "500ms",
            "DEMO_DATA_DIR": str(self.data),
            "PYTHONWARNINGS": "ignore:You're running the worker with superuser privileges",
        }
        self.site: subprocess.Popen[bytes] | None = None

    def start(self, *words: str) -> None:
        say(f"$ python manage.py {shlex.join(words)} &")
        command = [sys.executable, "manage.py", *words]
        with self.log.open("wb") as log:
            self.site = subprocess.Popen(
                command, cwd=ROOT, env=self.environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def run(self, *words: str) -> str:
        say(f"$ python manage.py {shlex.join(words)}")
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
        """Stop the site as Ctrl+C does, and kill it after LIMIT."""
        if self.site is None:
            return
        # A shell may have started us with SIGINT ignored, and the site inherits that.
        self.site.send_signal(signal.SIGTERM if signal.getsignal(signal.SIGINT) is signal.SIG_IGN else signal.SIGINT)
        try:
            code = self.site.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.site.kill()
            self.site.wait()
            raise Failed("the site did not stop") from None
        if code:
            raise Failed(f"the site ended with {code}")

    def has_said(self, text: str) -> bool:
        if self.site is not None and self.site.poll() is not None:
            raise Failed(f"the site ended by itself with {self.site.returncode}")
        return text in self.log.read_text(errors="replace")


class Browser:
    """A minimal browser: it keeps cookies and follows redirects."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._open = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar())).open

    def get(self, path: str = "", form: dict[str, str] | None = None) -> tuple[str, str]:
        """Return the final address, after redirects, and its page."""
        data = urllib.parse.urlencode(form).encode() if form else None
        with self._open(urllib.parse.urljoin(self.address, path), data, timeout=LIMIT) as answer:
            return answer.geturl(), answer.read().decode()

    def answers(self) -> bool:
        try:
            return "Greet me" in self.get()[1]
        except urllib.error.URLError:
            return False


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
            wait_for("the private Valkey to end", lambda: not server_is_there(demo.data))
        except (Failed, subprocess.TimeoutExpired, OSError) as error:
            printed = demo.log.read_text(errors="replace") if demo.log.exists() else ""
            say(f"The demo failed: {error}\n--- the site\n{printed}")
            return 1
    say(f"Ctrl+C: web, worker and beat have stopped, nothing is left running. {time.monotonic() - began:.1f} s.")
    return 0


def play(demo: Demo) -> None:
    """Run a task, fill the form and wait for its answer, and wait for one tick of the schedule."""
    port = free_port()
    demo.start("rundev", str(port), "--beat", f"--schedule {demo.schedule}")
    if demo.run("enqueue", "add", "2", "2", "--wait") != "4\n":
        raise Failed("2 and 2 should make 4")
    browser = Browser(f"http://127.0.0.1:{port}/")
    wait_for("the page", browser.answers)
    say(f"Ann fills the form on {browser.address}: {greeting(browser)}")
    wait_for("a tick of the schedule", lambda: demo.has_said("Sending due task fetch-weather"))
    wait_for("the weather", lambda: demo.has_said("celsius"))
    say("beat has sent fetch-weather, and the worker has fetched it.")


def greeting(browser: Browser) -> str:
    """Send the form, and return what the worker answers."""
    _, page = browser.get()
    token = re.search('name="csrfmiddlewaretoken" value="([^"]+)"', page)
    if token is None:
        raise Failed("the page has no form")
    place, _ = browser.get(form={"name": "Ann", "csrfmiddlewaretoken": token[1]})

    def state() -> Any:
        return json.loads(browser.get(f"{place}state/")[1])

    wait_for("the greeting", lambda: state()["finished"])
    return str(state()["result"])


def wait_for(what: str, done: Callable[[], bool]) -> None:
    """Return when `done` is true.

    Raises Failed after LIMIT.
    """
    deadline = time.monotonic() + LIMIT
    while not done():
        if time.monotonic() > deadline:
            raise Failed(f"waited {LIMIT:g} s for {what}")
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def server_is_there(data: Path) -> bool:
    """Whether the process of the private Valkey runs."""
    try:
        os.kill(int((data / "valkey.pid").read_text()), 0)
    except (OSError, ValueError):
        return False
    return True


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
