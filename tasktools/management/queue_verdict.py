"""What --max and --max-age of showqueues say: which queues are too long or too old, and of which nobody can know it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from tasktools.arguments.names import shown
from tasktools.beat.words import span
from tasktools.management.queue_options import Asked
from tasktools.queues.look import Look, QueueInfo

if TYPE_CHECKING:
    from tasktools.management.base import TasktoolsCommand


def verdict(command: TasktoolsCommand, seen: Look, asked: Asked) -> None:
    """Report each queue above a limit on stderr, and end with exit code 1 if there is any."""
    found = [sentence for each in seen.queues for sentence in findings(each, asked)]
    if found:
        command.note(*found)
        command.end_with(1, " ".join(found))


def findings(info: QueueInfo, asked: Asked) -> Iterator[str]:
    """Yield what is wrong with a queue. What cannot be known does not count as good: an alert must not be silent for it."""
    name = f'The queue "{shown(info.name)}"'
    if asked.most is not None and info.ready is None:
        yield f"{name}: how many messages wait in it is not known, so --max cannot be checked."
    elif asked.most is not None and info.ready is not None and info.ready > asked.most:
        yield f"{name} holds {info.ready:,} messages, more than {asked.most:,}."
    if asked.max_age is None or info.ready == 0:
        return
    if info.oldest is None:
        yield f"{name}: neither the broker nor the message says how long the oldest has waited, so --max-age cannot be checked."
    elif info.oldest > asked.max_age:
        yield f"{name}: its oldest message has waited for {_span(info.oldest)}, longer than {_span(asked.max_age)}."


def _span(seconds: float) -> str:
    return span(timedelta(seconds=round(seconds) if seconds >= 1 else round(seconds, 3)))
