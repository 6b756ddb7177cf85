"""`.delay()` from a view: under runserver, with no worker yet, and what a broken project says."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request

import pytest

from tests.servers import free_port
from tests.support import Running, Site, wait_for

URLS = """
from django.http import HttpResponse
from django.urls import path

def add(request):
    from shop.tasks import add
    return HttpResponse(add.delay(20, 22).id)

urlpatterns = [path("", add)]
"""


def serve(site: Site, port: int, *words: str) -> Running:
    server = site.start_manage("runserver", f"127.0.0.1:{port}", *words)
    wait_for(lambda: get(port) is not None or server.process.poll() is not None, what="the web server")
    return server


def get(port: int) -> str | None:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        return error.read().decode()
    except OSError:
        return None


@pytest.mark.smoke
@pytest.mark.parametrize("words", [(), ("--noreload",)], ids=["reload", "noreload"])
def test_view__sends_before_there_is_a_worker(site: Site, words: tuple[str, ...]) -> None:
    site.minimal()
    site.write("urls.py", URLS)
    port = free_port()
    serve(site, port, *words)
    task_id = get(port)
    waiting = site.manage("taskresult", str(task_id))
    assert (waiting.returncode, "it waits at position " in waiting.stderr) == (3, True), waiting
    site.start_worker()
    done = site.manage("taskresult", str(task_id), "--wait", "--timeout", "60s")
    assert (done.stdout, done.returncode) == ("42\n", 0), done.stderr


def test_first_request__logs_what_no_check_has_said(site: Site) -> None:
    """Under a WSGI server nobody runs the system checks."""
    site.minimal()
    site.write("shop/tasks.py", "raise RuntimeError('not today')\n")
    site.write("urls.py", URLS)
    port = free_port()
    script = f"""
        import os
        from wsgiref.simple_server import make_server
        os.environ["DJANGO_SETTINGS_MODULE"] = "mysite.settings"
        from django.core.wsgi import get_wsgi_application
        make_server("127.0.0.1", {port}, get_wsgi_application()).serve_forever()
    """
    server = site.start(sys.executable, str(site.write("serve.py", script)))
    wait_for(lambda: get(port) is not None)
    get(port)
    sentence = 'The module "shop.tasks" cannot be imported: RuntimeError: not today.'
    server.wait_for_output(sentence)
    assert server.output.count(sentence) == 1
