"""What goes wrong again and again is reported when it begins, and from time to time."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from celery.utils.log import get_logger
from redis.exceptions import NoPermissionError, RedisError

from tasktools.brokers.reach import reason_at_end, remedy
from tasktools.exceptions import TasktoolsError, Unreachable, tried
from tasktools.terminal import line

logger = get_logger("celery.beat")

#: How long the same error is not reported again, in seconds.
SILENCE = 60.0

#: The hint for a user of Redis who may not do what beat does there. The server's own error may not name the key.
RIGHTS = 'allow the broker\'s user the keys "tasktools:beat:*", with the prefix of its keys (ACL SETUSER)'


#: What may differ in the text of the same error: a time, the number of a command.
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


class Trouble:
    """Reports errors. Each text is reported once a minute."""

    def __init__(self, broker: Callable[[], str] = lambda: "The broker") -> None:
        """`broker` returns what the broker is called at the beginning of a sentence."""
        self._broker = broker
        self._said: dict[str, float] = {}
        self._is_lost = False

    def report(self, error: BaseException, what: str = "") -> None:
        """Log an error that does not stop beat; without `what`, nothing is sent until `over` is called."""
        if not what and isinstance(error, (OSError, RedisError)) and not isinstance(error, NoPermissionError):
            name = tried(self._broker, lambda _: "The broker")
            error = Unreachable(f"{name} broke off or refuses: {reason_at_end(error)}", hint=remedy(name, error))
        told = (
            error.hint if isinstance(error, TasktoolsError) else RIGHTS if isinstance(error, NoPermissionError) else ""
        )
        hint = f" Hint: {told}" if told else ""
        kind = "" if isinstance(error, TasktoolsError) else f"{type(error).__name__}: "
        text = line(f"{what}{': ' if what else ''}{kind}{reason_at_end(error)}{hint}")
        self._is_lost = self._is_lost or not what
        now, shape = time.monotonic(), _NUMBER.sub("", text)
        if now - self._said.get(shape, -SILENCE) >= SILENCE:
            self._said[shape] = now
            logger.error("beat: %s", text)
            logger.debug("beat: where that was raised", exc_info=error)

    def over(self) -> None:
        """Report that sending goes on."""
        if self._is_lost:
            self._is_lost = False
            self._said.clear()
            logger.warning("beat: goes on.")
