"""runbeat with DEBUG on takes a changed schedule up: no tick twice, none missed, and one beat at any time."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.e2e.test_beats import assert_none_twice, broker
from tests.support import Running, Site, wait_for

SCHEDULE = "CELERY_BEAT_SCHEDULE = {{'often': {{'task': 'shop.tasks.add', 'schedule': {every}, 'args': (2, {value})}}}}"


def start(site: Site, *words: str) -> Running:
    site.minimal(settings="from mysite.schedule import *")
    change(site, 1)
    return site.start_manage("runbeat", "-l", "INFO", *words)


def change(site: Site, value: int, every: float = 0.5) -> None:
    site.write("mysite/schedule.py", SCHEDULE.format(every=every, value=value))


def sent(site: Site) -> list[int]:
    """Return the second argument of each message in the queue, oldest first."""
    import base64
    import json

    import redis

    with redis.Redis(unix_socket_path=str(site.data / "valkey.sock")) as client:
        bodies = [json.loads(each)["body"] for each in client.lrange("celery", 0, -1)]
    return [json.loads(base64.b64decode(body))[0][1] for body in reversed(bodies)]


@pytest.mark.smoke
def test_change__new_schedule_is_taken_up(site: Site) -> None:
    beat = start(site)
    beat.wait_for_output("Sending due task often")
    change(site, 2)
    beat.wait_for_output("new code runs after")
    wait_for(lambda: 2 in sent(site))
    values = sent(site)
    assert values == sorted(values)  # never the old one after the new one
    assert beat.end() == 0


def test_reload_after_reload__no_tick_twice_and_none_missed(site: Site) -> None:
    """A tick that falls into the change comes late, and once. So there are as many messages as beat has noted runs."""
    beat = start(site)
    beat.wait_for_output("Sending due task often")
    for value in range(2, 9):
        change(site, value)
        wait_for(lambda: beat.output.count("new code runs") >= value - 1)  # noqa: B023
        wait_for(lambda: value in sent(site))  # noqa: B023
    with broker(site) as client:
        assert_none_twice(client)
    values = sent(site)
    assert values == sorted(values)
    assert set(values).issuperset(range(2, 9))


def test_broken_schedule__old_beat_goes_on(site: Site) -> None:
    beat = start(site)
    beat.wait_for_output("Sending due task often")
    site.write("mysite/schedule.py", "CELERY_BEAT_SCHEDULE = {'odd': {'task': 'shop.tasks.nothing', 'schedule': 1}}")
    beat.wait_for_output("the new code did not start (exit code 2): the old beat goes on until the next change")
    count = len(sent(site))
    wait_for(lambda: len(sent(site)) > count)
    change(site, 3)
    wait_for(lambda: 3 in sent(site))


def test_first_start_that_fails__waits_for_a_change(site: Site) -> None:
    site.minimal(settings="from mysite.schedule import *")
    site.write("mysite/schedule.py", "CELERY_BEAT_SCHEDULE = {'odd': {'task': 'shop.tasks.nothing', 'schedule': 1}}")
    beat = site.start_manage("runbeat", "-l", "INFO")
    beat.wait_for_output("beat did not start (exit code 2): waiting for a change")
    change(site, 4)
    beat.wait_for_output("Sending due task often")


def test_pidfile__is_the_new_beats_and_goes_with_it(site: Site) -> None:
    pidfile = site.root / "beat.pid"
    beat = start(site, "--reload", "--pidfile", str(pidfile))
    wait_for(pidfile.exists)
    first = pidfile.read_text()
    change(site, 2)
    beat.wait_for_output("new code runs")
    wait_for(lambda: pidfile.exists() and pidfile.read_text() not in ("", first))
    wait_for(lambda: beat.output.count("beat: Starting...") == 2)
    assert beat.end() == 0
    assert not pidfile.exists()


def test_supervisor_killed__beat_ends(site: Site) -> None:
    beat = start(site)
    beat.wait_for_output("Sending due task often")
    pid = beat.process.pid
    [child] = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    beat.process.kill()
    wait_for(lambda: not Path(f"/proc/{child}").exists() or " Z " in Path(f"/proc/{child}/stat").read_text())


def test_beat_killed__is_said(site: Site) -> None:
    beat = start(site)
    beat.wait_for_output("Sending due task often")
    pid = beat.process.pid
    [child] = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    os.kill(child, signal.SIGKILL)
    beat.wait_for_output("reload: beat ended by itself (SIGKILL): it starts again in 1 s")
    beat.wait_for_output("reload: it runs again")
    change(site, 5)
    wait_for(lambda: 5 in sent(site))


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_signal_in_the_middle_of_a_tick__ends_it_after_the_tick(site: Site, signum: int) -> None:
    """Celery's beat sends nothing, or sends and forgets, and trips over its closed schedule."""
    site.minimal(settings="CELERY_BEAT_SCHEDULE = {'one': {'task': 'shop.tasks.add', 'schedule': 0.3, 'args': (2, 2)}}")
    site.write(
        "shop/apps.py",
        """
        import time
        from celery.signals import before_task_publish
        from django.apps import AppConfig

        @before_task_publish.connect(weak=False)
        def wait(**kwargs):
            print("in the middle", flush=True)
            time.sleep(1)

        class ShopConfig(AppConfig):
            name = "shop"
        """,
    )
    beat = site.start_manage("runbeat", "--noreload", "-l", "DEBUG")
    beat.wait_for_output("in the middle")
    assert beat.end(signum) == 0
    assert "shop.tasks.add sent. id->" in beat.output
    assert "Traceback" not in beat.output
    assert len(sent(site)) == 1
