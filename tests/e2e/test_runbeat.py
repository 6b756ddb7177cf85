"""runbeat is `celery beat` with the right app; it refuses what cannot run, and finds a place to write."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.support import Site, wait_for

OFTEN = "CELERY_BEAT_SCHEDULE = {'often': {'task': 'shop.tasks.add', 'schedule': 0.5, 'args': (2, 2)}}"


@pytest.mark.smoke
def test_beat__sends_what_is_due_and_ends_warmly(site: Site) -> None:
    site.minimal(settings=OFTEN)
    beat = site.start_manage("runbeat", "--noreload", "-l", "DEBUG")
    beat.wait_for_output("Sending due task often (shop.tasks.add)")
    # Celery's beat may trip over its own closed schedule when the signal comes while it sends.
    wait_for(lambda: "Waking up" in beat.output.partition(" sent. id->")[2])
    first, _, _ = beat.output.partition("\n")
    assert first.startswith("app mysite (-A tasktools.celery:app) | broker ")
    assert first.endswith(" | one beat at a time, each tick sent once")
    assert beat.end(signal.SIGTERM) == 0
    assert not list(site.root.rglob("celerybeat-schedule*"))


FAULTS = [
    ("{'task': 'shop.tasks.ad', 'schedule': 1}", "W010", 2, 'its task "shop.tasks.ad" is not registered.'),
    (
        "{'task': 'shop.tasks.add', 'schedule': 1}",
        "E011",
        1,
        'its arguments do not fit "shop.tasks.add": missing a required',
    ),
    (
        "{'task': 'shop.tasks.add', 'args': (1, 2), 'schedule': 'daily'}",
        "E012",
        1,
        "its schedule is 'daily', which is no schedule.",
    ),
]


@pytest.mark.parametrize(("entry", "check", "code", "sentence"), FAULTS, ids=[fault[1] for fault in FAULTS])
def test_entry_that_cannot_run__is_refused(site: Site, entry: str, check: str, code: int, sentence: str) -> None:
    site.minimal(settings=f"CELERY_BEAT_SCHEDULE = {{'odd': {entry}}}")
    done = site.manage("runbeat", "--noreload")
    assert done.returncode == code
    assert f'(tasktools.{check}) The beat schedule\'s entry "odd" cannot run: {sentence}' in done.stderr
    if code == 2:  # a warning of the checks, which beat alone refuses
        assert f'SILENCED_SYSTEM_CHECKS = ["tasktools.{check}"]' in done.stderr.splitlines()[-1]


@pytest.mark.measured
def test_silenced_check__lets_beat_start(site: Site) -> None:
    site.minimal(
        settings="""
        CELERY_BEAT_SCHEDULE = {'theirs': {'task': 'other.project', 'schedule': 0.5}}
        SILENCED_SYSTEM_CHECKS = ['tasktools.W010']
        """
    )
    site.start_manage("runbeat", "--noreload", "-l", "INFO").wait_for_output("Sending due task theirs")


@pytest.mark.measured
def test_read_only_working_folder__another_place_is_found_and_named(site: Site) -> None:
    """Nobody, root included, can write into /proc."""
    site.minimal(settings=OFTEN + "\nCELERY_BROKER_URL = 'memory://'\n")
    beat = site.start(
        "env", "-C", "/proc", sys.executable, str(site.root / "manage.py"), "runbeat", "--noreload", "-l", "INFO"
    )
    beat.wait_for_output("Sending due task often")
    place = site.data / "celerybeat-schedule"
    assert f'"/proc/celerybeat-schedule" cannot be written: beat keeps its schedule in "{place}".' in beat.output
    assert list(site.data.glob("celerybeat-schedule*"))


@pytest.mark.measured
def test_schedule_option__decides(site: Site) -> None:
    site.minimal(settings=OFTEN)
    path = site.root / "elsewhere" / "beat"
    path.parent.mkdir()
    beat = site.start_manage("runbeat", "--noreload", "-l", "INFO", "--schedule", str(path))
    beat.wait_for_output("Sending due task often")
    beat.end()
    assert {each.name.partition("-")[0].partition(".")[0] for each in path.parent.iterdir()} == {"beat"}
    assert not list(site.root.glob("celerybeat-schedule*"))


@pytest.mark.measured
def test_detach__goes_to_the_background_and_can_be_ended(site: Site) -> None:
    site.minimal(settings=OFTEN)
    pidfile, log = site.root / "beat.pid", site.root / "beat.log"
    started = site.manage("runbeat", "--detach", "-l", "INFO", "--pidfile", str(pidfile), "--logfile", str(log))
    assert started.returncode == 0, started.stderr
    wait_for(lambda: log.exists() and "Sending due task often" in log.read_text())
    os.kill(int(Path(pidfile).read_text()), signal.SIGTERM)
    wait_for(lambda: not pidfile.exists())
