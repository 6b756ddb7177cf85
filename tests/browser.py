"""A real browser for the tests of pages: chromium, as Debian's package of that name puts it on the PATH, driven by playwright.

`make browser` installs playwright into the virtual environment, and runs each module with the mark `browser` in a process of its
own: the browser leaves connections open, of which the live server of another module would warn.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from tests.servers import require


@contextlib.contextmanager
def opened() -> Iterator[Any]:
    """Start the browser. Raises NotInstalled."""
    from playwright.sync_api import sync_playwright

    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"  # playwright has a loop in this thread
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=require("chromium", "chromium"), args=["--no-sandbox"])
            yield browser
            browser.close()
    finally:
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


def press(page: Any, target: Any, how: str) -> None:
    """Press a button or follow a link: by "mouse", or by "keyboard" as somebody does who has no mouse."""
    if how == "mouse":
        target.click()
    else:
        tab_to(page, target)
        page.keyboard.press("Enter")


def tab_to(page: Any, target: Any) -> None:
    """Press Tab until `target` has the focus."""
    for _ in range(300):
        if target.evaluate("each => each === document.activeElement"):
            assert target.evaluate(
                "each => getComputedStyle(each).outlineStyle !== 'none' || each.matches('input, select')"
            )
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not lead to {target}")
