"""taskresult --tree --wait: the tree so far, on stderr: redrawn in a terminal, otherwise a line for what is new in it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tasktools.exceptions import Unreachable
from tasktools.management.awaiting import Awaiting
from tasktools.management.layout import Cropped
from tasktools.results.outcome import Outcome
from tasktools.results.tree import Node, Tree

if TYPE_CHECKING:
    from celery import Celery

    from tasktools.management.base import TasktoolsCommand

#: Seconds between two looks at the whole tree, at least, and how many times as long as the latest look has taken.
PERIOD, SHARE = 1.0, 10.0

#: So many lines are printed after one look.
MOST_LINES = 20


class Growing:
    """A tree that grows while tasks finish. Use it as a context manager."""

    def __init__(self, command: TasktoolsCommand, make: Callable[[], Tree], line: Callable[[int, Node], str]) -> None:
        """`make` looks at the whole tree, and `line` is what is shown of a node at a level."""
        self.command, self.make, self.line = command, make, line
        self.is_drawn = command.stderr.isatty() and not command.as_json
        self._said: dict[str, str] = {}
        self._next = 0.0
        self._live: Any = None

    def __enter__(self) -> Growing:
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            with contextlib.suppress(OSError):  # the terminal has gone
                self._live.stop()

    def look(self) -> Tree:
        """Return the tree as it is now. Raises Unreachable."""
        began = time.monotonic()
        tree = self.make()
        ended = time.monotonic()
        self._next = ended + max(PERIOD, SHARE * (ended - began))
        return tree

    @contextlib.contextmanager
    def waiting(self, app: Celery, limit: float, total: int) -> Iterator[Callable[[Sequence[Outcome], float], object]]:
        """Yield what is called while it waits for `total` tasks, for `limit` seconds at the most."""
        if self.is_drawn:
            yield lambda unfinished, seconds: self._look_again()
            return
        with Awaiting(self.command, app, "", limit, total=total) as watch:

            def note(unfinished: Sequence[Outcome], seconds: float) -> None:
                watch(unfinished, seconds)
                self._look_again()

            yield note

    def _look_again(self) -> None:
        if time.monotonic() >= self._next:
            with contextlib.suppress(Unreachable):  # whoever waits is told
                self.show(self.look())

    def show(self, tree: Tree) -> None:
        """Show a tree that is not the last one."""
        lines = [(node, self.command.shortened(self.line(level, node))) for level, node in tree.lines()]
        if self.is_drawn:
            with contextlib.suppress(OSError):
                self._draw([text for _, text in lines])
        elif not self.command.as_json:
            self._tell(lines)

    def _draw(self, lines: Sequence[str]) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        if self._live is None:
            self._live = Live(console=Console(stderr=True), transient=True, auto_refresh=False)
            self._live.start()
        text = Text("\n".join(lines), no_wrap=True, overflow="ellipsis")
        self._live.update(Cropped([text]), refresh=True)

    def _tell(self, lines: Sequence[tuple[Node, str]]) -> None:
        """Print what has changed since the last time."""
        new = [(node.id, text) for node, text in lines if self._said.get(node.id) != text.strip()]
        self._said.update({task_id: text.strip() for task_id, text in new})
        self.command.note(*(text for _, text in new[:MOST_LINES]))
        if len(new) > MOST_LINES:
            self.command.note(f"And {len(new) - MOST_LINES:,} more tasks and groups have changed.")
