"""A lease: of many processes that ask for one name, one is in charge until its lease ends."""

from __future__ import annotations

import abc
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Who holds a lease."""

    #: What the holder says of itself; "" if the broker does not know.
    text: str
    #: When the lease ends unless the holder keeps it, in seconds from now.
    seconds: float


class Lease(abc.ABC):
    """A lease as one process asks for it. Errors are those of the broker's library."""

    #: What the guarantee of this kind of lease is, in a few words.
    guarantee = ""
    #: The time of the server when it answered last, in seconds since 1970, and that of time.monotonic(); None if unknown.
    server_time: tuple[float, float] | None = None

    @abc.abstractmethod
    def hold(self, text: str, seconds: float) -> Holder | None:
        """Take the lease or keep it for `seconds`; return who holds it if it is another process.

        `text` is what others get to see of this process. It stays what it was when the lease was taken.
        """

    @abc.abstractmethod
    def give_up(self) -> None:
        """End the lease if this process holds it, and wake one of those that wait. Also leave those that wait."""

    @abc.abstractmethod
    def wait(self, text: str, seconds: float) -> None:
        """Stand by for at most `seconds`; return earlier if the lease is given up. `text` is what others get to see."""

    @abc.abstractmethod
    def close(self) -> None:
        """Close the connection. The lease is not given up."""
