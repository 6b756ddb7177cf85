"""The demo site: its page, its shell, its tasks, and `make demo`."""

from __future__ import annotations

import subprocess
import sys

from django.test import Client

from tests.support import REPOSITORY, Running, Site, wait_for


def test_form__is_answered_by_the_worker(worker: Running) -> None:
    client = Client()
    assert "Greet me" in client.get("/").content.decode()
    sent = client.post("/", {"name": "Ann"})
    assert sent.status_code == 302
    assert sent["Location"] in client.get(sent["Location"]).content.decode() + sent["Location"]
    answer = wait_for(lambda: (found := client.get(f"{sent['Location']}state/").json())["finished"] and found)
    assert answer == {"state": "SUCCESS", "result": "Hello, Ann!", "finished": True}


def test_form__without_a_name_is_shown_again() -> None:
    assert "This field is required." in Client().post("/", {"name": ""}).content.decode()


def test_progress__is_told_while_the_task_runs(worker: Running, suite_site: Site) -> None:
    from project.demo.tasks import count

    result = count.delay(5, 0.2)
    meta = wait_for(lambda: result.state == "PROGRESS" and result.info)
    assert meta["total"] == 5
    assert result.get(timeout=20) == 5


def test_fragile__is_tried_again_until_it_is_answered(worker: Running) -> None:
    from project.demo.tasks import fragile

    assert fragile.delay(1).get(timeout=20) == "answered at try 2"


def test_shell_plus__has_every_task_at_hand(site: Site) -> None:
    words = (sys.executable, str(REPOSITORY / "manage.py"), "shell_plus", "--plain", "--quiet-load")
    done = site.run(
        *words,
        input="print(add(20, 22), fetch_weather, fragile, greet, count)\n",
        env={"DEMO_DATA_DIR": str(site.data)},
    )
    assert "42 <@task: project.demo.tasks.fetch_weather" in done.stdout, done.stderr


def test_make_demo__shows_the_task_and_a_tick_and_leaves_nothing_running() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "project.demo_run"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "enqueue add 2 2 --wait\n4\n" in done.stdout
    assert "Ann fills the form on http://127.0.0.1:" in done.stdout
    assert ": Hello, Ann!\n" in done.stdout
    assert "beat has sent fetch-weather, and the worker has fetched it." in done.stdout
    assert "nothing is left running" in done.stdout
