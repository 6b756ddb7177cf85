"""Whatever works with Celery goes on working, in both directions."""

from __future__ import annotations

import json
import sys

import pytest

from tests.e2e.test_layouts import APP
from tests.support import Site

ENV = {"DJANGO_SETTINGS_MODULE": "mysite.settings"}

SCRIPT = "import django; django.setup(); from shop.tasks import add; print(add.delay(20, 22).get(timeout=60))"

STOCK_CLIENT = """
import sys
from celery import Celery
url = "redis+socket://" + sys.argv[1]
print(Celery(broker=url, backend=url).send_task("shop.tasks.add", (20, 22)).get(timeout=60))
"""


def stock_urls(site: Site) -> dict[str, str]:
    url = f"redis+socket://{site.data}/valkey.sock"
    return {"CELERY_BROKER_URL": url, "CELERY_RESULT_BACKEND": url}


@pytest.fixture(params=["ready_made", "own"])
def any_site(request: pytest.FixtureRequest, site: Site) -> tuple[Site, str]:
    """A site, and what `celery -A` takes there."""
    site.minimal()
    if request.param == "ready_made":
        return site, "tasktools"
    site.write("mysite/celery.py", APP.format(settings="mysite.settings", name="mysite"))
    return site, "mysite"


@pytest.mark.smoke
def test_stock_worker__runs_what_enqueue_sent(any_site: tuple[Site, str]) -> None:
    site, name = any_site
    words = ("-m", "celery", "-A", name, "worker", "-l", "INFO", "-c", "1", "--without-mingle", "--without-gossip")
    worker = site.start(sys.executable, *words, env=ENV)
    worker.wait_for_output(" ready.")
    done = site.manage("enqueue", "add", "2", "2", "--wait")
    assert (done.stdout, done.returncode) == ("4\n", 0), done.stderr


def test_runworker__runs_what_celery_call_a_script_and_a_stock_client_sent(any_site: tuple[Site, str]) -> None:
    site, name = any_site
    site.start_worker()
    script = site.run(sys.executable, "-c", SCRIPT, env=ENV)
    assert script.stdout == "42\n", script.stderr
    words = ("-m", "celery", "-A", name, "call", "shop.tasks.add", "--args", "[20, 22]")
    # `celery call` with an app of the project's own sets Django up never, and must be told of the broker.
    called = site.run(sys.executable, *words, env=ENV if name == "tasktools" else {**ENV, **stock_urls(site)})
    found = site.manage("taskresult", called.stdout.strip(), "--wait", "--timeout", "60s", "--json")
    assert json.loads(found.stdout)["result"] == 42, called.stderr + found.stderr
    client = site.run(sys.executable, "-c", STOCK_CLIENT, str(site.data / "valkey.sock"))
    assert client.stdout == "42\n", client.stderr
