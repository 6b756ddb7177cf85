"""What watchtasks --top draws: a table by the name of the task, in place, sorted by a key that is typed."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tasktools.events.tally import Tally
from tasktools.management.keyboard import Keyboard
from tasktools.management.printing import console_of
from tasktools.management.queue_lengths import Lengths
from tasktools.management.watch_page import SORTS, Page

if TYPE_CHECKING:
    from celery import Celery

    from tasktools.events.attempts import Attempt
    from tasktools.events.watch import Notice, Watch
    from tasktools.management.base import TasktoolsCommand

#: How often it is drawn if no key is typed, in seconds.
PERIOD = 1.0

#: How long a notice is shown, in seconds, and one that says what is not seen.
SHOWN, TROUBLE_SHOWN = 10.0, 60.0


class Top:
    """Draws the table until q is typed."""

    def __init__(self, command: TasktoolsCommand, app: Celery, watch: Watch, *, no_color: bool) -> None:
        from rich.live import Live

        self.command, self.watch = command, watch
        self._console = console_of(no_color=no_color)
        self._live: Any = Live(console=self._console, screen=True, auto_refresh=False)
        self._keyboard, self._lengths = Keyboard(), Lengths(app)
        self._began = self._drawn = time.monotonic()
        self._tally = Tally(self._began)
        self._sort, self._is_reversed, self._note = "r", False, ""
        self._note_ends = 0.0
        #: What was said, for when the page has gone.
        self._troubles: list[Notice] = []

    def __enter__(self) -> Top:
        self._keyboard.__enter__()
        self._lengths.__enter__()
        try:
            self._live.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            with contextlib.suppress(OSError):  # the terminal has gone
                self._live.stop()
        finally:
            self._keyboard.__exit__()
            self._lengths.__exit__()
        for notice in self._troubles:
            self.command.note(notice.text, style=self.command.style.WARNING)

    def say(self, notice: Notice) -> None:
        now = time.monotonic()
        self._note = self.command.cleaned(notice.in_short or notice.text)
        self._note_ends = math.inf if notice.stays else now + (TROUBLE_SHOWN if notice.is_trouble else SHOWN)
        if notice.is_trouble:
            self._troubles = [*self._troubles[-9:], notice]
        self._draw(now)

    def show(self, attempts: Sequence[Attempt]) -> bool:
        """Count them, obey what was typed, draw if it is time; return whether to go on."""
        now = time.monotonic()
        self._tally.turn(now)
        for each in attempts:
            self._tally.count(each)
        typed = self._keyboard.typed().lower()
        for key in typed:
            if key == "q":
                return False
            if key in SORTS:
                self._is_reversed = self._sort == key and not self._is_reversed
                self._sort = key
        if typed or now - self._drawn >= PERIOD:
            self._draw(now)
        return True

    def _draw(self, now: float) -> None:
        self._drawn = now
        page = Page(
            rows=self._tally.rows(),
            nodes=self.watch.nodes.forget(now),
            queues=self._lengths.known,
            note=self._note if now < self._note_ends else "",
            seconds=now - self._began,
            sort=self._sort,
            is_reversed=self._is_reversed,
        )
        width, height = self._console.size
        self._live.update(page.drawn(width, height, self._console.encoding), refresh=True)
