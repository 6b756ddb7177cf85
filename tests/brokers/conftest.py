"""The fixtures of the command tests, for what a command does with a broker."""

from tests.brokers.bulk import client, events, make
from tests.commands.conftest import elsewhere, server_that_ends_with_the_suite, typed

__all__ = ["client", "elsewhere", "events", "make", "server_that_ends_with_the_suite", "typed"]
