"""Sites whose web server has patched the standard library: gevent's and eventlet's workers do."""

from __future__ import annotations

import sys
import urllib.request

import pytest

from tests.support import Site

_SEND = """
import django
django.setup()
from shop.tasks import add
print("sent", add.delay(1, 2).id)
"""

_URLS = """
from django.http import HttpResponse
from django.urls import path
from shop.tasks import add

urlpatterns = [path("send", lambda request: HttpResponse("sent " + add.delay(1, 2).id))]
"""

_SERVER = """
import gevent.monkey
gevent.monkey.patch_all()
from django.core.wsgi import get_wsgi_application
from gevent.pywsgi import WSGIServer

server = WSGIServer(("127.0.0.1", 0), get_wsgi_application())
server.start()
print("listens on", server.server_port, flush=True)
server.serve_forever()
"""


@pytest.mark.parametrize(
    "patch", ["import gevent.monkey; gevent.monkey.patch_all()", "import eventlet; eventlet.monkey_patch()"]
)
def test_green__a_patched_process_starts_and_sends(site: Site, patch: str) -> None:
    pytest.importorskip(patch.split()[1].partition(".")[0].rstrip(";"))
    site.environment["DJANGO_SETTINGS_MODULE"] = "mysite.settings"
    site.minimal()
    done = site.run(sys.executable, "-W", "ignore", "-c", patch + _SEND)
    assert (done.returncode, done.stdout[:5]) == (0, "sent "), done.stderr


def test_green__a_server_of_gevent_serves_a_view_that_sends(site: Site) -> None:
    pytest.importorskip("gevent")
    site.environment["DJANGO_SETTINGS_MODULE"] = "mysite.settings"
    site.minimal(settings="ALLOWED_HOSTS = ['*']")
    site.write("urls.py", _URLS)
    site.write("serve.py", _SERVER)
    server = site.start(sys.executable, "serve.py")
    port = server.wait_for_rest("listens on ")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/send", timeout=20) as answer:
        task_id = answer.read().decode().partition("sent ")[2]
    found = site.manage("taskresult", task_id)
    assert "waits at position " in found.stderr, found.stderr + server.output


def test_green__celery_s_own_worker_with_a_pool_of_gevent(site: Site) -> None:
    pytest.importorskip("gevent")
    site.environment["DJANGO_SETTINGS_MODULE"] = "mysite.settings"
    site.minimal()
    words = (
        "-A",
        "tasktools",
        "worker",
        "-P",
        "gevent",
        "-c",
        "10",
        "--without-mingle",
        "--without-gossip",
        "-l",
        "INFO",
    )
    worker = site.start(sys.executable, "-m", "celery", *words)
    worker.wait_for_output(" ready.")
    done = site.manage("enqueue", "add", "2", "2", "--wait")
    assert (done.returncode, done.stdout) == (0, "4\n"), done.stderr
    assert worker.end() == 0, worker.output
