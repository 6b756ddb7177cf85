"""make demo: from nothing to a finished task, on a broker that needs no installation.

Starts the whole site with rundev, sends a task and one of Django's own framework, fills the form of its page, sends a failed
task again in its admin, looks at its page Tasks, waits for a tick of the schedule and for a job, stops everything with one
Ctrl+C, and checks that nothing is left. Exit code 0; when any part fails, prints the site's output and exits with 1.
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
LIMIT = 60.0  # seconds for each thing waited for


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
            "DEMO_JOB_INTERVAL": "1.5",
            "DEMO_LINGER": "500ms",
            "DEMO_CACHE": str(folder / "cache"),
            "DEMO_DATA_DIR": str(self.data),
            "DEMO_DATABASE": str(folder / "db.sqlite3"),
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
        """Run a command, and return what it prints."""
        return self.begin(*words)()

    def begin(self, *words: str) -> Callable[[], str]:
        """Start a command, and return the function that waits for it and returns what it prints."""
        say(f"$ python manage.py {shlex.join(words)}")
        command = [sys.executable, "manage.py", *words]
        pipe = subprocess.PIPE
        started = subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=pipe, stderr=pipe, text=True)

        def end() -> str:
            try:
                printed, errors = started.communicate(timeout=LIMIT)
            except subprocess.TimeoutExpired:
                started.kill()
                started.communicate()
                raise
            if started.returncode:
                raise Failed(f"manage.py {words[0]} ended with {started.returncode}: {errors.strip()}")
            say(printed.rstrip())
            return printed

        return end

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
    """Run a task, fill the form and wait for its answer, send a failed task again, and wait for the schedule."""
    port = free_port()
    demo.start("rundev", str(port), "--beat", f"--schedule {demo.schedule}")
    prepared = demo.begin("preparedemo")
    if demo.run("enqueue", "add", "2", "2", "--wait") != "4\n":
        raise Failed("2 and 2 should make 4")
    password = prepared().split()[-1]
    browser = Browser(f"http://127.0.0.1:{port}/")
    wait_for("the page", browser.answers)
    converting = conversion(browser)
    say(f"Ann fills the form on {browser.address}: {greeting(browser)}")
    say(f"a task of Django's own framework has run meanwhile: {answer(browser, converting)['result']}")
    say(f"Ann has a parcel delivered, and the task fails: {failure(browser)}")
    say(f"demo logs in to the admin, and sends it again: {sent_again(browser, password)}")
    wait_for("the parcel", lambda: demo.has_said(" is delivered."))
    say("the worker has delivered the parcel.")
    say(f"the page Tasks in the admin shows {overview(browser)}.")
    wait_for("a tick of the schedule", lambda: demo.has_said("Sending due task fetch-weather"))
    wait_for("the weather", lambda: demo.has_said("celsius"))
    say("beat has sent fetch-weather, and the worker has fetched it.")
    wait_for("the job", lambda: demo.has_said("The warmest place is "))
    say("beat has sent the job warmest_place of django-extensions, and the worker has run it.")


def greeting(browser: Browser) -> str:
    """Send the form, and return what the worker answers."""
    place, _ = browser.get(form={"name": "Ann", "csrfmiddlewaretoken": token(browser.get()[1])})
    return str(answer(browser, place)["result"])


def conversion(browser: Browser) -> str:
    """Send a task of Django's own framework, and return the page of the call."""
    return browser.get("convert/", {"csrfmiddlewaretoken": token(browser.get()[1])})[0]


def failure(browser: Browser) -> str:
    """Send a task that fails, and return its state."""
    place, _ = browser.get("deliver/", {"csrfmiddlewaretoken": token(browser.get()[1])})
    return str(answer(browser, place)["state"])


def answer(browser: Browser, place: str) -> Any:
    """Return what the page of a call says when the call has ended."""

    def state() -> Any:
        return json.loads(browser.get(f"{place}state/")[1])

    wait_for("the end of the task", lambda: state()["finished"])
    return state()


def sent_again(browser: Browser, password: str) -> str:
    """Log in to the admin, send the failed task again, and return what the admin reports."""
    place, page = browser.get("admin/tasktools/failedtask/")
    browser.get(place, {"username": "demo", "password": password, "csrfmiddlewaretoken": token(page)})

    rows: list[str] = []

    def is_recorded() -> bool:
        rows.extend(re.findall(r"failedtask/(\d+)/change/", browser.get("admin/tasktools/failedtask/")[1]))
        return bool(rows)

    wait_for("the failed task", is_recorded)
    _, page = browser.get(f"admin/tasktools/failedtask/{rows[0]}/send-again/")
    form = {"ids": rows[0], "csrfmiddlewaretoken": token(page)}
    report = re.search("[^<>]* sent again\\.", browser.get("admin/tasktools/failedtask/send-again/", form)[1])
    if report is None:
        raise Failed("the admin does not report that it has sent the task again")
    return report[0].strip()


def overview(browser: Browser) -> str:
    """Look at the page of the admin and at the view that it asks for news, and return what they show."""
    place, page = browser.get("admin/tasktools/taskoverview/?wait=1")
    live = json.loads(browser.get(urllib.parse.urljoin(place, "live/"))[1])
    parts = [name for name in ("queues", "workers", "schedule") if f'id="tt-h-{name}"' in page]
    if len(parts) < 3 or not live["parts"]:
        raise Failed(f"the page Tasks in the admin shows {', '.join(parts) or 'nothing'}")
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def token(page: str) -> str:
    """Return what a form of the page must send against forged posts."""
    found = re.search('name="csrfmiddlewaretoken" value="([^"]+)"', page)
    if found is None:
        raise Failed("the page has no form")
    return found[1]


def wait_for(what: str, done: Callable[[], bool]) -> None:
    """Return when `done` is true. Raises Failed after LIMIT."""
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
