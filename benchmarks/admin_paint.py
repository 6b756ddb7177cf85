"""The first paint of the page "Tasks" in a real browser, on the site of `admin_page` with its 10,000 failed tasks.

    make browser    # installs playwright
    .venv/bin/python -m benchmarks.admin_paint [--times N]

Debian's chromium opens the page by Django's development server, which is in this process, with its static files in the browser's
cache as for anybody who uses the admin. The time is that of Chromium: from the click to the first text that is painted.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.admin_page import FIRST, PAGE, configure, fill, line, logged_in, nodes

TIMES = 15

PAINTED = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"
ANSWERED = "() => performance.getEntriesByType('navigation')[0].responseEnd"


def main() -> int:
    """Measure, print, and return the exit code."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument(
        "--times", type=int, default=TIMES, metavar="N", help=f"how often the page is opened ({TIMES})"
    )
    times = options.parse_args().times
    with tempfile.TemporaryDirectory(prefix="tt-") as folder:
        fill(configure(Path(folder)))
        session = logged_in().cookies["sessionid"].value
        with nodes(Path(folder)), serving() as url:
            found = opened(url, session, times)
    answers, paints = [each[0] for each in found], [each[1] for each in found]
    print(f"the whole answer is there after {statistics.median(answers):.3f} s (median of {times})")
    ok = [
        line("first paint, median", statistics.median(paints), FIRST),
        line("first paint, longest", max(paints), 2 * FIRST),
    ]
    return 0 if all(ok) else 1


@contextmanager
def serving() -> Iterator[str]:
    """Serve the site of this process, a thread for each request, with its static files."""
    from django.contrib.staticfiles.handlers import StaticFilesHandler
    from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
    from django.core.wsgi import get_wsgi_application

    class Silent(WSGIRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadedWSGIServer(("127.0.0.1", 0), Silent)
    server.set_app(StaticFilesHandler(get_wsgi_application()))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def opened(url: str, session: str, times: int) -> list[tuple[float, float]]:
    """Open the page, once more than `times`; return after how many seconds each answer was there, and painted."""
    from tests.browser import opened as browser_opened

    found = []
    with browser_opened() as browser:
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        context.add_cookies([{"name": "sessionid", "value": session, "url": url}])
        page = context.new_page()
        for _ in range(times + 1):
            page.goto(f"{url}{PAGE}")
            page.wait_for_function(PAINTED)
            found.append((page.evaluate(ANSWERED) / 1000, page.evaluate(PAINTED) / 1000))
            page.wait_for_timeout(2_500)  # the next look is a new one
    return found[1:]


if __name__ == "__main__":
    raise SystemExit(main())
