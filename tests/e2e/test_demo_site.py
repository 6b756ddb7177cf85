"""The demo site: its page, its shell, its tasks, and `make demo`."""

from __future__ import annotations

import re
import subprocess
import sys
import uuid
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from tests.conftest import Ran
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


def test_start_page__leads_to_the_admin() -> None:
    page = Client().get("/").content.decode()
    links = re.findall('href="([^"]+)"', page)
    assert links == ["/admin/tasktools/failedtask/", "/admin/tasktools/taskoverview/"]
    answers = [Client().get(link) for link in links]
    assert [(each.status_code, each["Location"]) for each in answers] == [
        (302, f"/admin/login/?next={link}") for link in links
    ]


def test_parcel__its_task_fails_and_succeeds_when_it_is_sent_again() -> None:
    from project.demo.tasks import NobodyHome, deliver

    with pytest.raises(NobodyHome, match="parcel 4711"):
        deliver.apply((4711,), throw=True)
    assert deliver.apply((4711,)).get() == "Parcel 4711 is delivered."


def test_parcel__is_sent_by_a_button(worker: Running) -> None:
    client = Client()
    assert client.get("/deliver/").status_code == 405
    sent = client.post("/deliver/")
    page = client.get(sent["Location"]).content.decode()
    task_id = sent["Location"].split("/")[-2]
    assert f'href="/admin/tasktools/failedtask/?q={task_id}"' in page
    answer = wait_for(lambda: (found := client.get(f"{sent['Location']}state/").json())["finished"] and found)
    assert answer == {"state": "FAILURE", "result": None, "finished": True}


def test_task_of_django__is_sent_by_a_button(monkeypatch: pytest.MonkeyPatch) -> None:
    from project.demo import views
    from project.demo.tasks import fahrenheit

    sent: list[int] = []
    task_id = uuid.uuid4()
    fake = SimpleNamespace(enqueue=lambda celsius: sent.append(celsius) or SimpleNamespace(id=str(task_id)))
    monkeypatch.setattr(views, "fahrenheit", fake)
    client = Client()
    assert 'action="/convert/"' in client.get("/").content.decode()
    assert client.get("/convert/").status_code == 405
    assert client.post("/convert/")["Location"] == f"/result/{task_id}/"
    assert len(sent) == 1
    assert fahrenheit.call(20) == "20 °C are 68 °F."


def test_job__logs_the_warmest_place(caplog: pytest.LogCaptureFixture) -> None:
    from project.demo.jobs.daily.warmest_place import Job

    with caplog.at_level("INFO"):
        Job().execute()
    assert caplog.messages == ["The warmest place is Lisbon, with 19 degrees."]


@pytest.mark.django_db
def test_preparedemo__makes_a_user_with_a_password_that_is_new_each_time(
    run_command: Callable[..., Ran], settings: Any
) -> None:
    settings.DEBUG = True
    first, second = (run_command("preparedemo").out.split()[-1] for _ in range(2))
    assert first != second
    user = User.objects.get()
    assert (user.username, user.is_staff, user.is_superuser) == ("demo", True, True)
    assert user.check_password(second)
    assert not user.check_password(first)


@pytest.mark.django_db
def test_preparedemo__makes_no_user_in_production(settings: Any) -> None:
    settings.DEBUG = False
    with pytest.raises(CommandError, match="DEBUG is off"):
        call_command("preparedemo")
    assert not User.objects.exists()


def test_progress__is_told_while_the_task_runs(worker: Running, suite_site: Site) -> None:
    from project.demo.tasks import count

    result = count.delay(5, 0.2)
    meta = wait_for(lambda: result.state == "PROGRESS" and result.info)
    assert meta["total"] == 5
    assert result.get(timeout=60) == 5


def test_fragile__is_tried_again_until_it_is_answered(worker: Running) -> None:
    from project.demo.tasks import fragile

    assert fragile.delay(1).get(timeout=60) == "answered at try 2"


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
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "enqueue add 2 2 --wait\n4\n" in done.stdout
    assert "Ann fills the form on http://127.0.0.1:" in done.stdout
    assert ": Hello, Ann!\n" in done.stdout
    assert re.search(r"a task of Django's own framework has run meanwhile: -?\d+ °C are [-.\d]+ °F\.\n", done.stdout)
    assert re.search(r"Admin: user demo, password \S{12}\n", done.stdout)
    assert "Ann has a parcel delivered, and the task fails: FAILURE\n" in done.stdout
    assert "demo logs in to the admin, and sends it again: 1 failed task was sent again.\n" in done.stdout
    assert "the worker has delivered the parcel.\n" in done.stdout
    assert "beat has sent fetch-weather, and the worker has fetched it." in done.stdout
    assert "beat has sent the job warmest_place of django-extensions, and the worker has run it.\n" in done.stdout
    assert "nothing is left running" in done.stdout
