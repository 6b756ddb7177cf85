"""The workers, as their events show them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasktools.events.attempts import LONGEST_NAME

#: A worker of which nothing has been heard for so long is gone, in seconds. Workers send a heartbeat every two seconds.
GONE = 30.0

#: So many workers are remembered.
MOST_WORKERS = 1_000


@dataclass(slots=True)
class Node:
    """A worker."""

    name: str
    #: When it was last heard, by a clock that never goes back.
    heard: float
    is_online: bool = True
    #: How many tasks it runs, and how many it has begun since it started; None if it has not said so.
    active: int | None = None
    processed: int | None = None
    #: Whether it has sent an event of a task.
    sends: bool = False
    #: How many times it has run tasks without an event.
    silent: int = 0


class Nodes:
    """Remembers the workers."""

    def __init__(self) -> None:
        self.known: dict[str, Node] = {}

    def notice(self, event: Mapping[str, Any], now: float) -> Node | None:
        """Take notice of an event. Return the worker if it has begun to run, or is heard for the first time."""
        name, kind = event.get("hostname"), str(event.get("type"))
        if not isinstance(name, str) or kind == "task-sent" or not kind.startswith(("task-", "worker-")):
            return None  # task-sent comes from a client
        node = self.known.get(name)
        is_new = node is None or kind == "worker-online"
        if node is None:
            if len(self.known) >= MOST_WORKERS or len(name) > LONGEST_NAME:
                return None
            node = self.known[name] = Node(name, now)
        node.heard, node.is_online = now, kind != "worker-offline"
        if kind == "worker-online":
            node.processed, node.sends, node.silent = None, False, 0
        elif kind.startswith("task-"):
            node.sends, node.silent = True, 0
        else:
            self._beat(node, event)
        return node if is_new and node.is_online else None

    @staticmethod
    def _beat(node: Node, event: Mapping[str, Any]) -> None:
        active, processed = event.get("active"), event.get("processed")
        node.active = active if isinstance(active, int) else None
        if isinstance(processed, int):
            if node.processed is not None and processed > node.processed and not node.sends:
                node.silent += 1
            node.processed = processed

    def forget(self, now: float) -> list[Node]:
        """Forget the workers of which nothing was heard for long; return those that are left, by name."""
        self.known = {name: node for name, node in self.known.items() if now - node.heard < GONE}
        return [node for _, node in sorted(self.known.items()) if node.is_online]
