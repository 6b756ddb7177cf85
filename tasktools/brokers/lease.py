"""A lease: of many processes that ask for one name, one is in charge until its lease ends."""

from __future__ import annotations

import abc
import math
from collections.abc import Callable
from dataclasses import dataclass

#: How long the connection of a lease may take to be made, in seconds, and an answer on it.
LIMIT = 4.0


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Who holds a lease."""

    #: What the holder says of itself; "" if the broker does not know.
    text: str
    #: When the lease ends unless the holder keeps it, in seconds from now; infinity if it does not end by itself.
    seconds: float


@dataclass(frozen=True, kw_only=True)
class ServerTime:
    """What time it was at the server."""

    #: The server's clock, in seconds since 1970, and time.monotonic() of this process at the same moment.
    unix: float
    monotonic: float
    #: How far the two moments may lie apart, in seconds.
    within: float


class Lease(abc.ABC):
    """A lease as one process asks for it. Errors are those of the broker's library."""

    #: After this many seconds at the latest, the holder must call `hold` again, however long the lease is to last.
    longest_pause = math.inf
    #: The clock of the server as it answered last; None if unknown.
    server_time: ServerTime | None = None
    #: Whether a text can be what a holder says of itself; None if any can. What no holder says is not taken for a lease.
    recognizes: Callable[[str], bool] | None = None
    #: What was found at a key of the lease that no holder has written, and where it is now; "" if nothing was. Whoever reports it
    #: empties it.
    foreign = ""
    #: How often this object has taken the lease. When `hold` changes it, another process may have held the lease since the call
    #: before, and what this process knows from then may be out of date.
    terms = 0

    def ask_time(self) -> None:  # noqa: B027 - most servers tell no time
        """Ask the server for its time, if it tells it."""

    @abc.abstractmethod
    def hold(self, text: str, seconds: float) -> Holder | None:
        """Take the lease or keep it for `seconds`; return who holds it if it is another process.

        `text` is what others get to see of this process. It stays what it was when the lease was taken.
        """

    @abc.abstractmethod
    def give_up(self, text: str) -> None:
        """End the lease if this process holds it, and wake one of those that wait; else stop being one of these.

        `text` is what `hold` and `wait` were given.
        """

    @abc.abstractmethod
    def wait(self, text: str, seconds: float) -> None:
        """Stand by for at most `seconds`; return earlier if the lease is given up. `text` is what others get to see."""

    @abc.abstractmethod
    def close(self) -> None:
        """Close the connection. The lease is not given up."""
