"""What a worker and a beat of this project start with: the line that says it, and their writable places."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tasktools.brokers import broker_of
from tasktools.brokers.base import PRIVATE_SOCKET, STOCK_SOCKET
from tasktools.masking import masked
from tasktools.registry import names


def summary(app: Any, name: str, *, queues: str | None = None) -> str:
    """Return one line: the app and its -A name, broker and result backend without passwords, queues, how many tasks."""
    count = len(names(app))
    parts = [
        f"app {app.main or 'unnamed'} (-A {name or 'has no name'})",
        f"broker {broker_of(app).uri()}",
        f"results {backend_uri(app)}",
        f"queues {queues or ', '.join(app.amqp.queues)}",
        f"{count} task{'' if count == 1 else 's'}",
    ]
    return " | ".join(parts)


def backend_uri(app: Any) -> str:
    """Return the URL of the result backend without its password; "disabled" when there is none."""
    url = app.backend_cls if isinstance(app.backend_cls, str) else app.conf.result_backend
    scheme, _, rest = str(url or "disabled").partition("+socket://")
    return (
        f"{STOCK_SOCKET}{rest}"
        if rest and scheme.startswith(PRIVATE_SOCKET.partition("+")[0])
        else masked(url or "disabled")
    )


def schedule_file(configured: str, places: Iterable[Path]) -> Path | None:
    """Return where beat keeps its schedule when the configured file cannot be written: in the first of `places` that can.

    None when the configured one can.

    Raises OSError when none of the places can be written.
    """
    path = Path(configured)
    if _is_writable(path.parent) and not (path.exists() and not os.access(path, os.W_OK)):
        return None
    error: OSError | None = None
    for place in places:
        try:
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as caught:
            error = caught
            continue
        if _is_writable(place):
            return place / path.name
    raise error or PermissionError(13, "no folder can be written")


def _is_writable(folder: Path) -> bool:
    """Whether a file can be made in `folder`; tried, for permissions do not tell of a read-only file system."""
    probe = folder / f".tasktools-{os.getpid()}"
    try:
        probe.touch()
        probe.unlink()
    except OSError:
        return False
    return True


def runtime_place(folder: Path, temporary: Path) -> Path:
    """Return a folder below `temporary` that belongs to this user and to the project whose data folder is `folder`."""
    project = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return temporary / f"tasktools-{os.geteuid()}" / project
