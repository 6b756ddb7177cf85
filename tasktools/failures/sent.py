"""What is sent again, what has become of it, and how long the broker knows that."""

from __future__ import annotations

from dataclasses import dataclass, field

from tasktools.exceptions import TasktoolsError
from tasktools.failures.remade import Remade

#: The key of the broker that says that the message with an id was sent again.
MARK = "tasktools:retried:{}"

#: How long the broker keeps that key, and how long when the table says that the message was sent, in seconds.
KEPT = 7 * 86400
KEPT_AFTER = 3600

#: How long after a claim that key can be relied on: clocks differ, and the claim is a little older than the key.
RELIABLE = KEPT - 3600


@dataclass(frozen=True, kw_only=True)
class Message:
    """What is sent."""

    new_id: str
    message: Remade
    #: The queue from which the failed task came.
    queue: str


@dataclass(kw_only=True)
class Sent:
    """What has become of a batch, by the places of its messages."""

    #: Sent now, or by another process before.
    sent: list[int] = field(default_factory=list)
    before: list[int] = field(default_factory=list)
    #: Not sent, and never can be as they are, with the reasons.
    refused: dict[int, str] = field(default_factory=dict)
    #: Nobody knows.
    doubtful: list[int] = field(default_factory=list)
    #: Not sent now, because it was too late.
    late: list[int] = field(default_factory=list)
    #: Not sent, because of `error`.
    unsent: list[int] = field(default_factory=list)
    error: TasktoolsError | None = None
