"""The entries of schedulers that keep the schedule elsewhere: django-celery-beat in the database, RedBeat in Redis."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from importlib.util import find_spec
from typing import Any

import pytest

from tests.support import Site

DATABASE = "django_celery_beat.schedulers:DatabaseScheduler"

#: Entries as a person makes them in the admin.
MAKE = """
import django, os
os.environ["DJANGO_SETTINGS_MODULE"] = "mysite.settings"
django.setup()
from datetime import datetime, timedelta, timezone
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask
each = IntervalSchedule.objects.create(every=90, period="seconds")
night = CrontabSchedule.objects.create(minute="30", hour="2", timezone="Asia/Tokyo")
new = {"task": "shop.tasks.add", "args": "[20, 22]"}
ran = datetime.now(timezone.utc) - timedelta(seconds=30)
PeriodicTask.objects.create(name="often", interval=each, expire_seconds=60, last_run_at=ran, total_run_count=4, **new)
PeriodicTask.objects.create(name="tokyo", crontab=night, **new)
PeriodicTask.objects.create(name="later", interval=each, start_time=ran + timedelta(days=1), **new)
"""

#: A print of all that the database has.
DUMP = """
import django, os
os.environ["DJANGO_SETTINGS_MODULE"] = "mysite.settings"
django.setup()
from django_celery_beat.models import PeriodicTask, PeriodicTasks
print([*PeriodicTask.objects.order_by("name").values_list()], [*PeriodicTasks.objects.values_list()])
"""


def entries(site: Site, *words: str) -> dict[str, Any]:
    done = site.manage("showschedule", *words, "--json")
    assert done.returncode == 0, done.stderr
    return {each["name"]: each for each in json.loads(done.stdout)["entries"]}


@pytest.mark.skipif(find_spec("django_celery_beat") is None, reason="django-celery-beat does not fit this Django")
def test_database__entries_are_shown_and_sent(site: Site) -> None:
    apps = ("django.contrib.contenttypes", "django_celery_beat", "shop")
    site.minimal(*apps, settings=f'TIME_ZONE = "Europe/Berlin"\nCELERY_BEAT_SCHEDULER = "{DATABASE}"\n')
    site.write("shop/tasks.py", "from celery import shared_task\n@shared_task\ndef add(x, y):\n    return x + y\n")
    missing = site.manage("showschedule")
    assert missing.returncode == 2
    assert missing.stderr == (
        "The scheduler keeps its data in the database, and tables of django_celery_beat are missing there.\n"
        "Hint: python manage.py migrate django_celery_beat\n"
    )
    assert site.manage("migrate").returncode == 0
    site.write("make.py", MAKE)
    site.write("dump.py", DUMP)
    assert site.run(sys.executable, "make.py").returncode == 0
    before = site.run(sys.executable, "dump.py").stdout
    shown = entries(site)
    assert {each["source"] for each in shown.values()} == {"database"}
    often, tokyo, later = (shown[name] for name in ("often", "tokyo", "later"))
    assert (often["when"], often["runs"], often["expires"], often["args"]) == ("every 1 min 30 s", 4, 60, [20, 22])
    assert often["next"][0]["at"] > often["last_run"]
    assert tokyo["when"] == "at 02:30 every day, Asia/Tokyo"
    assert ("T18:30:00+0" in tokyo["next"][0]["at"]) or ("T19:30:00+0" in tokyo["next"][0]["at"])
    assert (later["last_run"], later["overdue_since"], later["fault"]) == (None, None, "")
    start, last = (datetime.fromisoformat(text) for text in (later["next"][0]["at"], often["last_run"]))
    assert abs((start - last).total_seconds() - 86400) < 2
    sent = site.manage("enqueue", "--entry", "often", "--dry-run")
    assert (json.loads(sent.stdout)["args"], sent.returncode) == ([20, 22], 0)
    assert "often" in before
    assert site.run(sys.executable, "dump.py").stdout == before


def test_redbeat__entries_are_shown(site: Site) -> None:
    entry = '{"task": "shop.tasks.add", "schedule": 90, "args": (20, 22)}'
    site.minimal(
        settings=f'CELERY_BEAT_SCHEDULER = "redbeat.RedBeatScheduler"\nCELERY_BEAT_SCHEDULE = {{"often": {entry}}}\n'
    )
    assert entries(site) == {}
    beat = site.start_manage("runbeat", "--noreload", "-l", "INFO", env={"PYTHONWARNINGS": "ignore"})
    beat.wait_for_output("Acquired lock")
    often = entries(site, "often")["often"]
    assert (often["source"], often["when"], often["args"]) == ("RedBeat", "every 1 min 30 s", [20, 22])
    assert (often["last_run"], often["overdue_since"], len(often["next"])) == (None, None, 1)
