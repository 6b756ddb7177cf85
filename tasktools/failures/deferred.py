"""What was claimed in a transaction, and is sent when that is committed. Until then only keys are kept: it may last long."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tasktools.exceptions import TasktoolsError
from tasktools.failures import claims
from tasktools.failures.claims import Claimed
from tasktools.failures.retried import Retried

if TYPE_CHECKING:
    from tasktools.failures.retry import Retrier

logger = logging.getLogger("tasktools.failures")


def send_claimed(retrier: Retrier, claimed: Mapping[int, Claimed], size: int) -> Retried:
    """Send these in batches. After an error of the broker, the rest is given back and can be sent later."""
    done = Retried()
    try:
        for some in claims.batches(claimed, size):
            mine = [claimed[pk] for pk in some]
            if done.error:
                claims.release(mine)
                continue
            done.add(retrier.send_claimed(mine))
    except TasktoolsError as error:
        done.error = done.error or error
    return done


def log(done: Retried) -> None:
    """Log what was not sent: whoever began the transaction got the answer before."""
    for pk, why in (*done.refused, *done.doubtful, *done.elsewhere):
        logger.error("Failed task #%d was claimed to be sent again, and was not, or not surely: %s.", pk, why)
    if done.error:
        logger.error("Failed tasks were claimed to be sent again, and some were not sent: %s", done.error)
