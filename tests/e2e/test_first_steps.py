"""The first ten minutes: a new project, tasktools in INSTALLED_APPS, nothing else."""

from __future__ import annotations

import pytest

from tests.support import Site

pytestmark = pytest.mark.smoke


def test_new_project__enqueue_wait_prints_exactly_the_result(site: Site) -> None:
    site.minimal()
    site.start_worker()
    done = site.manage("enqueue", "add", "2", "2", "--wait")
    assert (done.stdout, done.returncode) == ("4\n", 0), done.stderr


def test_task_that_the_running_worker_does_not_know__is_hinted_at_a_restart(site: Site) -> None:
    site.minimal()
    site.start_worker()
    tasks = site.root / "shop" / "tasks.py"
    tasks.write_text(tasks.read_text() + "\n@shared_task\ndef later():\n    return 1\n")
    done = site.manage("enqueue", "later", "--wait", "--timeout", "60s")
    assert done.returncode == 1
    hint = "Hint: the worker that took it does not know this task: restart it (manage.py runworker)"
    assert done.stderr.splitlines()[-1] == hint
