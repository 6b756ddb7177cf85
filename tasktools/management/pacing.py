"""enqueue --rate and --max-queue: send no faster than the workers can handle."""

from __future__ import annotations

import time
from collections.abc import Collection

from tasktools.management.progress import Meter
from tasktools.publishing.batch import Publisher

#: Seconds between two looks at a queue that is too long.
QUEUE_PERIOD = 0.5


class Pace:
    """Decides when the next batch may be sent."""

    def __init__(self, rate: int | None, most: int | None) -> None:
        """`rate` is calls per second, `most` is messages in a queue; None means no limit."""
        self.rate = rate
        self.most = most
        self._due = 0.0

    def batch_size(self, size: int) -> int:
        """Return how many calls a batch of at most `size` has: with a rate, the calls of a fifth of a second."""
        return min(size, max(1, self.rate // 5)) if self.rate else size

    def wait(self, publisher: Publisher, queues: Collection[str], calls: int, meter: Meter) -> None:
        """Return when the next batch, with this number of calls, may go to `queues`."""
        if self.rate:
            time.sleep(max(0.0, self._due - time.monotonic()))
        for queue in queues:
            while self.most is not None and (length := publisher.length(queue)) > self.most:
                meter.waits(f'the queue "{queue}" has {length} messages, more than {self.most}')
                time.sleep(QUEUE_PERIOD)
        if self.rate:
            # This counts from now, not from the beginning: the run does not catch up after a time without calls.
            self._due = max(self._due, time.monotonic()) + calls / self.rate
