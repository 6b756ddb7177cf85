"""The fixtures of the command tests, for what is read of a broker."""

from tests.commands.conftest import queue, server_that_ends_with_the_suite

__all__ = ["queue", "server_that_ends_with_the_suite"]
