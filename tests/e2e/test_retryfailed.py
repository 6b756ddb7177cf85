"""retryfailed is killed, and run by two at once: each message is sent once."""

from __future__ import annotations

import json
import random
import re
import signal
import sys

import pexpect
import pytest

from benchmarks.retryfailed import Trial
from tests.support import Site, wait_for


@pytest.mark.parametrize("commands", [1, 2])
def test_retryfailed__killed_again_and_again(site: Site, commands: int) -> None:
    """With two, both are killed, and both then run to their end."""
    trial = Trial(site, 2000)
    killed = trial.kill(3, commands, random.Random(1))
    assert killed >= 3
    trial.finish(commands)
    found = trial.look(killed)
    assert found.good, found


def test_retryfailed__what_others_have_sent_is_no_failure(site: Site) -> None:
    trial = Trial(site, 1500)
    trial.finish(3)
    assert trial.look().good


def test_retryfailed__a_worker_runs_what_is_sent(site: Site) -> None:
    trial = Trial(site, 3)
    worker = site.start_worker()
    done = site.manage("retryfailed", "old-2", "--json")
    assert done.returncode == 0, done.stderr
    (sent,) = json.loads(done.stdout)["sent"]
    result = site.manage("taskresult", sent["new_id"], "--wait", "--timeout", "60s")
    assert (result.stdout.strip(), result.returncode) == ("4", 0), result.stderr
    worker.end()
    trial.client.close()


def test_retryfailed__that_is_interrupted_says_what_it_has_sent(site: Site) -> None:
    trial = Trial(site, 300)
    running = site.start_manage("retryfailed", "--all", "--noinput", "--rate", "20")
    wait_for(lambda: trial.length() >= 4)
    assert running.end(signal.SIGTERM) == 130
    printed = [line for line in running.output.splitlines() if line.startswith("old-")]
    assert 0 < len(printed) < 300
    assert f"Sent {len(printed)} failed tasks." in running.output
    assert trial.length() == len(printed)
    trial.finish()
    assert trial.look().good


def test_commands__without_a_database(site: Site) -> None:
    site.minimal(settings='DATABASES["default"]["NAME"] = BASE_DIR / "nowhere" / "db.sqlite3"')
    for words in (["showfailed"], ["retryfailed", "--all"], ["forgetfailed", "--all"]):
        done = site.manage(*words)
        assert (done.stdout, done.returncode) == ("", 69)
        assert 'The database "default" cannot be used: unable to open database file.' in done.stderr


def test_commands__before_migrate(site: Site) -> None:
    site.minimal()
    for words in (["showfailed", "--json"], ["retryfailed", "--all", "--json"], ["forgetfailed", "--all", "--json"]):
        done = site.manage(*words)
        assert (done.stdout, done.returncode) == ("", 2)
        assert json.loads(done.stderr)["hint"] == "python manage.py migrate tasktools"


@pytest.mark.parametrize("width", [80, 200])
def test_showfailed__fits_the_terminal(site: Site, width: int) -> None:
    Trial(site, 3)
    shown = pexpect.run(
        f"{sys.executable} manage.py showfailed",
        cwd=str(site.root),
        env={**site.variables(), "COLUMNS": str(width), "TERM": "xterm"},
        encoding="utf-8",
    )
    lines = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in shown.splitlines()]
    assert max(map(len, lines)) <= width, shown
    assert "shop.tasks.add" in shown
    assert "ValueError" in shown
    assert ("Not shown in 80 columns: " in shown) is (width == 80)
