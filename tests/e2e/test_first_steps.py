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
