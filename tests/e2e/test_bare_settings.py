"""A site of one file: settings.configure(), and no settings module."""

from __future__ import annotations

import json
import sys

from tests.support import Site

_SITE = """
import sys
from pathlib import Path
from celery import shared_task
from django.conf import settings

settings.configure(
    BASE_DIR=Path(__file__).parent,
    DEBUG=True,
    SECRET_KEY="tests",
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django_extensions", "tasktools"],
    TASKTOOLS_LINGER="3s",
)
urlpatterns = []

@shared_task
def add(x, y):
    return x + y

if __name__ == "__main__":
    from django.core.management import execute_from_command_line
    execute_from_command_line(sys.argv)
"""


def test_bare_settings__a_site_of_one_file(site: Site) -> None:
    site.write("single.py", _SITE)
    worker = site.start(sys.executable, "single.py", "runworker", "--noreload", "-P", "solo", "-l", "INFO")
    checked = site.run(sys.executable, "single.py", "check", "--fail-level", "WARNING")
    assert checked.returncode == 0, checked.stderr
    shown = site.run(sys.executable, "single.py", "showtasks", "--json")
    assert [each["name"] for each in json.loads(shown.stdout)] == ["single.add"]
    worker.wait_for_output(" ready.")
    assert "app single (-A tasktools.celery:app)" in worker.output
    done = site.run(sys.executable, "single.py", "enqueue", "add", "2", "2", "--wait")
    assert (done.returncode, done.stdout) == (0, "4\n"), done.stderr
    server = "import single, django; django.setup(); print(single.add.delay(1, 2).id)"
    sent = site.run(sys.executable, "-c", server)
    assert sent.returncode == 0, sent.stderr
    worker.wait_for_output(sent.stdout.strip())
