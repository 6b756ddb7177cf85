"""A pause of a worker that has reserved all that it may, while it has asked for more: with Celery's own loop."""

from __future__ import annotations

import sys

from tests.e2e.test_pausing import begun, command, hold, let_go, prepare, ready
from tests.support import Site, wait_for

#: The first task waits in the worker for its time, and allows it one message more until then. The worker notices that this has
#: ended at its next event: that must not be the end of its BRPOP, which lasts a second.
SENDER = """
import os
import time
import django
os.environ["DJANGO_SETTINGS_MODULE"] = "mysite.settings"
django.setup()
from shop import tasks

tasks.work.apply_async((0,), queue="busy", countdown=5)
for n in range(1, 5):
    tasks.work.apply_async((n,), queue="busy")
end = time.monotonic() + 7
while time.monotonic() < end:
    tasks.work.app.control.broadcast("ping")
    time.sleep(0.05)
"""


def test_pause__of_a_full_worker_that_has_asked_for_one_more(site: Site) -> None:
    prepare(site)
    hold(site, 0)
    site.write("sender.py", SENDER)
    stock = (sys.executable, "-m", "celery", "-A", "tasktools", "worker", "-l", "INFO", "-c", "1", "-Q", "busy,quiet")
    worker = site.start(*stock, env={"DJANGO_SETTINGS_MODULE": "mysite.settings"})
    worker.wait_for_output(" ready.")
    assert site.start(sys.executable, "sender.py").process.wait(60) == 0
    command(site, "pausequeue", "busy")
    wait_for(lambda: ready(site, "busy")["busy"] == 4, 30, "what goes back")
    command(site, "resumequeue", "busy")
    let_go(site)
    wait_for(lambda: len(begun(site, "work")) == 5, 30, "the rest")
    assert sorted(n for n, _ in begun(site, "work")) == list(range(5))
