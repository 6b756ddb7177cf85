"""A process that takes a lease, keeps it, and otherwise waits for it; each look is a line of its output.

    python -m tests.brokers.lease_process PLACE NAME WHO SECONDS

PLACE is JSON: {"url": ..., "options": ...} of a broker, or {"path": ...} of a file.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from celery import Celery

from tasktools.brokers import broker_of
from tasktools.brokers.file_lease import FileLease
from tasktools.brokers.lease import Lease


def open_lease(place: dict[str, Any], name: str, token: str) -> Lease:
    """Return the lease of a name at a place."""
    if "path" in place:
        return FileLease(str(Path(place["path"]) / name.replace(":", "-")))
    app = Celery("leases", broker=place["url"], set_as_current=False)
    app.conf.broker_transport_options = place.get("options", {})
    return broker_of(app).lease(name, token)


def main(place: str, name: str, who: str, seconds: str) -> None:
    lease = open_lease(json.loads(place), name, who)
    while True:
        try:
            other = lease.hold(who, float(seconds))
        except OSError as error:
            print(f"{time.time():.3f} lost: {error}", flush=True)
            return
        if other is None:
            print(f"{time.time():.3f} held", flush=True)
            time.sleep(0.1)
        else:
            print(f"{time.time():.3f} by {other.text}", flush=True)
            lease.wait(who, other.seconds)


if __name__ == "__main__":
    main(*sys.argv[1:])
