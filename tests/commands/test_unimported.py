"""A task in a file that nothing imports: the commands name the file and what imports it."""

from __future__ import annotations

import pytest

from tests.support import CELERY_APP, Site

JOBS = """
from celery import shared_task

@shared_task
def job():
    return 1
"""
HINT = (
    "shop/jobs.py defines it, and nothing imports that file: "
    'CELERY_IMPORTS = ["shop.jobs"] in the settings, or import it in shop.tasks'
)


@pytest.fixture
def shop(site: Site) -> Site:
    site.minimal().write("shop/jobs.py", JOBS)
    return site


def refused(shop: Site, task: str) -> str:
    """Have a worker refuse a task that it does not know, and return the task's id."""
    sent = shop.manage("enqueue", "--unregistered", task).stdout.strip()
    assert shop.manage("runworker", "--noreload", "--drain", "-P", "solo").returncode == 0
    return sent


def test_enqueue(shop: Site) -> None:
    done = shop.manage("enqueue", "job")
    assert done.stderr.splitlines()[1:] == ['No task is called "job".', f"Hint: {HINT}"]
    assert (done.stdout, done.returncode) == ("", 2)


def test_showtasks__no_task_at_all(shop: Site) -> None:
    (shop.root / "shop/tasks.py").unlink()
    assert shop.manage("showtasks").stderr == f"No task is registered. {HINT.replace('defines it', 'defines tasks')}.\n"


def test_taskresult__of_a_call_that_a_worker_did_not_know(shop: Site) -> None:
    """It said "restart it", which could not help."""
    sent = refused(shop, "shop.jobs.job")
    asked = shop.manage("taskresult", sent)
    assert asked.stderr.splitlines()[1:] == [f"{sent} failed: NotRegistered: 'shop.jobs.job'", f"Hint: {HINT}"]
    assert asked.returncode == 1


def test_taskresult__of_a_task_that_a_new_worker_imports(shop: Site) -> None:
    """A module of tasks imports the file, and only a process that imports tasks knows it: the app is the project's own."""
    shop.write("mysite/celery.py", CELERY_APP)
    sent = refused(shop, "shop.jobs.job")
    shop.write("shop/tasks.py", "from shop import jobs\n")
    assert "Hint: the worker that took it does not know this task: restart it" in shop.manage("taskresult", sent).stderr


def test_hint__not_of_a_module_that_cannot_be_imported(shop: Site) -> None:
    shop.write("shop/tasks.py", "1 / 0\n" + JOBS)
    done = shop.manage("enqueue", "job")
    assert "cannot be imported: ZeroDivisionError" in done.stderr
    assert "defines it" not in done.stderr
    assert done.stderr.splitlines()[-1] == "Hint: it may be in the module that cannot be imported, see above"


def test_taskresult__of_a_task_that_is_imported_by_now(shop: Site) -> None:
    sent = refused(shop, "shop.tasks.late")
    shop.write("shop/tasks.py", JOBS.replace("job", "late"))
    assert "Hint: the worker that took it does not know this task: restart it" in shop.manage("taskresult", sent).stderr
