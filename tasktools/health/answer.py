"""What a worker and a beat answer to a probe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Answer:
    """Whether it is so, and why, as the beginning of a sentence."""

    ok: bool
    reason: str


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How long something may last, in seconds."""

    #: The loop of a worker does not turn.
    loop: float = 20.0
    #: A worker takes nothing although its queues are not empty, and it has room.
    stall: float = 20.0
    #: A worker that has lost its connection has no new one, although the broker answers. Celery pauses for up to 32 s.
    reconnect: float = 60.0
    #: Every process of the pool runs the same task; None for no limit.
    stuck: float | None = None
    #: The next round of a beat is late; a round lasts.
    beat: float = 20.0
    round: float = 60.0
    #: Between two looks at the queues.
    look: float = 2.5
    #: Between two writes of the file that a probe reads.
    write: float = 5.0


class Watch(Protocol):
    """What follows a worker or a beat."""

    limits: Limits

    def forgive(self) -> None:
        """The whole process has stood still: what did not happen in that time proves nothing."""

    def live(self) -> Answer:
        """Whether the process works. If not, it must be started again."""

    def ready(self) -> Answer:
        """Whether it does what it is there for. If not, a restart would not help."""
