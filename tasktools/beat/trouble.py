"""What goes wrong again and again is reported when it begins, and from time to time."""

from __future__ import annotations

import time

from celery.utils.log import get_logger
from redis.exceptions import NoPermissionError

from tasktools.brokers.reach import reason
from tasktools.exceptions import TasktoolsError
from tasktools.terminal import line

logger = get_logger("celery.beat")

#: How long the same error is not reported again, in seconds.
SILENCE = 60.0

#: The hint for a user of Redis who may not do what beat does there. The server's own error may not name the key.
RIGHTS = 'allow the broker\'s user the keys "tasktools:beat:*", with the prefix of its keys (ACL SETUSER)'


class Trouble:
    """Reports errors. Each text is reported once a minute."""

    def __init__(self) -> None:
        self._said: dict[str, float] = {}
        self._is_lost = False

    def report(self, error: Exception, what: str = "") -> None:
        """Log an error that does not stop beat; without `what`, nothing is sent until `over` is called."""
        told = (
            error.hint if isinstance(error, TasktoolsError) else RIGHTS if isinstance(error, NoPermissionError) else ""
        )
        hint = f" Hint: {told}" if told else ""
        kind = "" if isinstance(error, TasktoolsError) else f"{type(error).__name__}: "
        text = line(f"{what}{': ' if what else ''}{kind}{reason(error)}.{hint}")
        self._is_lost = self._is_lost or not what
        now = time.monotonic()
        if now - self._said.get(text, -SILENCE) >= SILENCE:
            self._said[text] = now
            logger.error("beat: %s", text)
            logger.debug("beat: where that was raised", exc_info=error)

    def over(self) -> None:
        """Report that sending goes on."""
        if self._is_lost:
            self._is_lost = False
            self._said.clear()
            logger.warning("beat: goes on.")
