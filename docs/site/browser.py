"""Pages as a browser shows them, in light and in dark."""

from __future__ import annotations

import os
import shutil
import tempfile
import urllib.request
from pathlib import Path

from docs.site import processes
from docs.site.pages import Fault

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
WIDTH, HEIGHT = 1280, 720
LIMIT = 60.0  # seconds for one picture


def find() -> str:
    """Return the path of a Chromium, "" if none is installed."""
    return next((path for path in map(shutil.which, NAMES) if path), "")


def take(address: str, path: Path) -> None:
    """Write the pictures `path`-light.png and `path`-dark.png of a page.

    Raises Fault when there is no such page, or no picture of it.
    """
    try:
        with urllib.request.urlopen(address, timeout=30):
            pass
    except OSError as error:  # an HTTPError is one
        raise Fault(f"{address} cannot be shown: {error}") from None
    for number, scheme in enumerate(("dark", "light")):
        target = path.with_name(f"{path.name}-{scheme}.png")
        with tempfile.TemporaryDirectory() as profile:
            command = [
                find(),
                "--headless=new",
                "--disable-gpu",
                "--hide-scrollbars",
                *(["--no-sandbox"] if os.geteuid() == 0 else []),
                f"--user-data-dir={profile}",
                f"--window-size={WIDTH},{HEIGHT}",
                f"--blink-settings=preferredColorScheme={number}",
                "--virtual-time-budget=2000",
                f"--screenshot={target}",
                address,
            ]
            done = processes.run(command, f"Chromium, which takes a picture of {address},", LIMIT)
        if done.returncode or not target.is_file():
            raise Fault(f"Chromium took no picture of {address}: {done.stderr.strip()[-500:]}")
