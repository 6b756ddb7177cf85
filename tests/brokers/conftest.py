"""The fixtures of the command tests, for what a command does with a broker."""

from tests.commands.conftest import elsewhere, server_that_ends_with_the_suite, typed

__all__ = ["elsewhere", "server_that_ends_with_the_suite", "typed"]
