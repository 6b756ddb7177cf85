"""A site on gevent: a web server of greenlets enqueues, and a worker of greenlets runs, over reloads and a warm stop.

    python -m tests.green [--tasks 1000] [--reloads 5] [--pool gevent] [-c 100]

The web server is gevent's own, patched in its first line, and serves the site's WSGI application; each request enqueues a
task that sleeps. Prints which tasks are missing and which began more than once, and ends with 1 where there are any.
"""

from __future__ import annotations

import argparse
import collections
import signal
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support import Running, Site, save, wait_for

TASKS = """
import time
from celery import shared_task

VERSION = 0

@shared_task
def nap(path, key, seconds: float):
    put(path, "began", key)
    time.sleep(seconds)
    put(path, "ended", key)

def put(path, word, key):
    with open(path, "a") as file:
        file.write(f"{word} {key}\\n")
"""

URLS = """
from django.http import HttpResponse
from django.urls import path

def enqueue(request, key, seconds):
    from shop.tasks import nap
    return HttpResponse(nap.delay("record", key, float(seconds)).id)

urlpatterns = [path("<int:key>/<str:seconds>", enqueue)]
"""

SERVER = """
from gevent import monkey
monkey.patch_all()
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "mysite.settings"
from django.core.wsgi import get_wsgi_application
from gevent.pywsgi import WSGIServer
server = WSGIServer(("127.0.0.1", 0), get_wsgi_application(), log=None)
server.start()
print(f"port {server.server_port}.", flush=True)
server.serve_forever()
"""

#: How many requests are under way at once.
CLIENTS = 10


def run(
    site: Site, *, tasks: int, reloads: int, pool: str, concurrency: int, seconds: float
) -> tuple[list[int], list[int]]:
    """Send the tasks through the web server while the worker reloads, stop it while some run, and have the rest drained.

    Return which are missing and which began more than once.
    """
    site.minimal(settings='ALLOWED_HOSTS = ["*"]\nTASKTOOLS_LINGER = "20s"')
    site.write("urls.py", URLS)
    file = site.write("shop/tasks.py", TASKS)
    words = ("-P", pool, "-c", str(concurrency), "-l", "INFO")
    worker = site.start_manage("runworker", *words)
    worker.wait_for_output(" ready.")
    web = site.start(sys.executable, "-c", SERVER)
    port = int(web.wait_for_rest("port ").rstrip("."))
    with ThreadPoolExecutor(CLIENTS) as clients:
        sent = [clients.submit(_enqueue, port, key, seconds) for key in range(tasks)]
        for number in range(1, reloads + 1):
            wait_for(lambda due=number: sum(map(_is_done, sent)) >= tasks * due // (reloads + 1), 120)
            save(file, TASKS.replace("VERSION = 0", f"VERSION = {number}"))
            _await_reload(worker, number)
    for each in sent:
        each.result()
    code = worker.end(signal.SIGTERM, timeout=60)
    assert code == 0, worker.output
    assert _keys(site, "began") == _keys(site, "ended"), "a warm stop has cut a task off"
    assert "Traceback" not in worker.output, worker.output
    rest = site.start_manage("runworker", "--noreload", "--drain", *words)
    assert rest.wait(120) == 0
    web.end()
    times = collections.Counter(_keys(site, "began"))
    ended = _keys(site, "ended")
    return [key for key in range(tasks) if key not in ended], [key for key, number in times.items() if number > 1]


def _is_done(request: object) -> bool:
    return bool(request.done())  # type: ignore[attr-defined]


def _enqueue(port: int, key: int, seconds: float) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{key}/{seconds}", timeout=60) as answer:
        assert answer.status == 200


def _await_reload(worker: Running, number: int) -> None:
    wait_for(lambda: worker.output.count("new code runs") >= number or worker.process.poll() is not None, 60)


def _keys(site: Site, word: str) -> list[int]:
    record = site.root / "record"
    lines = [line.split() for line in record.read_text().splitlines()] if record.exists() else []
    return sorted(int(key) for first, key in lines if first == word)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--reloads", type=int, default=5)
    parser.add_argument("--pool", default="gevent")
    parser.add_argument("-c", "--concurrency", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=1.0, help="how long each task sleeps")
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, Site(Path(folder)) as site:
        missing, repeated = run(
            site,
            tasks=options.tasks,
            reloads=options.reloads,
            pool=options.pool,
            concurrency=options.concurrency,
            seconds=options.seconds,
        )
    print(
        f"{options.pool}: {options.tasks} tasks through a gevent web server, {options.reloads} reloads, "
        f"{time.monotonic() - began:.0f} s; missing {missing}, begun more than once {repeated}"
    )
    return 1 if missing or repeated else 0


if __name__ == "__main__":
    sys.exit(main())
