"""Jobs of django-extensions run by the clock: beat sends them, a worker runs them, and the commands know them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.support import CELERY_APP, Site, wait_for

NOTE = """
from django_extensions.management.jobs import MinutelyJob
from django.conf import settings

class Job(MinutelyJob):
    help = "Note it."

    def execute(self):
        with open(settings.BASE_DIR / "notes", "a") as file:
            file.write("noted\\n")
"""

FAIL = """
from django_extensions.management.jobs import DailyJob

class Job(DailyJob):
    def execute(self):
        raise ValueError("no stock")
"""

# Not the jobs of django-extensions itself: one of them clears caches.
SETTINGS = """
INSTALLED_APPS.remove("django_extensions")
TASKTOOLS_JOBS = {"minutely": 0.3}
"""


def market(site: Site, more: str = "") -> Path:
    site.minimal(settings=SETTINGS + more)
    site.write("shop/jobs/minutely/note.py", NOTE)
    site.write("shop/jobs/daily/fail.py", FAIL)
    site.write("shop/jobs/daily/broken.py", "import nope_of_this_test")
    return site.root / "notes"


def test_job__is_sent_by_beat_run_by_a_worker_and_known_to_the_commands(site: Site) -> None:
    notes = market(site)
    worker = site.start_worker()
    beat = site.start_manage("runbeat", "--noreload", "-l", "INFO")
    wait_for(lambda: notes.exists() and notes.read_text().count("noted") > 1, what="two runs of the job")
    beat.wait_for_output("Sending due task shop.jobs.minutely.note (shop.jobs.minutely.note)")
    for each in (worker, beat):
        assert 'The job "shop.jobs.daily.broken" cannot be imported: ModuleNotFoundError' in each.output
    shown = json.loads(site.manage("showschedule", "--json").stdout)["entries"]
    found = [(each["name"], each["when"], each["source"], bool(each["runs"])) for each in shown]
    assert ("shop.jobs.minutely.note", "every 0.3 s", "jobs", True) in found
    assert ("shop.jobs.daily.fail", "at 00:00 every day", "jobs", False) in found
    failed = site.manage("enqueue", "fail", "--wait")
    assert failed.returncode == 1, failed.stderr
    assert " failed: ValueError: no stock" in failed.stderr


def test_job__a_worker_and_a_beat_of_plain_celery_know_it(site: Site) -> None:
    notes = market(site)
    site.write("mysite/celery.py", CELERY_APP)
    site.write("mysite/__init__.py", "from .celery import app\n")
    words = ("worker", "-B", "-P", "threads", "-c", "1", "--without-mingle", "--schedule", str(site.root / "beat"))
    variables = {"DJANGO_SETTINGS_MODULE": "mysite.settings"}
    site.start(sys.executable, "-m", "celery", "-A", "mysite", *words, env=variables)
    wait_for(lambda: notes.exists(), what="a run of the job")


def test_job__a_beat_of_plain_celery_says_why_it_does_not_know_it(site: Site) -> None:
    market(site)
    site.write("mysite/celery.py", CELERY_APP)
    site.write("shop/celery.py", "from celery import Celery\napp = Celery('another')\n")
    words = ("beat", "--schedule", str(site.root / "beat"))
    variables = {"DJANGO_SETTINGS_MODULE": "mysite.settings"}
    beat = site.start(sys.executable, "-m", "celery", "-A", "mysite", *words, env=variables)
    beat.wait_for_output("this project has several Celery apps, such as shop.celery.")
    assert beat.output.count("several Celery apps") == 1
