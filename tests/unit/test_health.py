from __future__ import annotations

import threading

import pytest

from tasktools.exceptions import ConfigurationError, Unreachable
from tasktools.health import HINT, chain, reach, reason


def test_reach__returns_what_the_call_returns() -> None:
    assert reach("The broker", 30, divmod, 7, 2) == (3, 1)


def test_reach__a_call_that_fails() -> None:
    def refuse() -> None:
        raise ConnectionRefusedError(111, "Connection refused")

    with pytest.raises(Unreachable) as caught:
        reach('The broker "redis://x"', 30, refuse)
    assert caught.value.sentence == ('The broker "redis://x" cannot be reached: [Errno 111] Connection refused.')
    assert caught.value.hint == HINT
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


def test_reach__a_call_that_takes_too_long() -> None:
    released = threading.Event()
    with pytest.raises(Unreachable) as caught:
        reach('The broker "redis://x"', 0.05, released.wait, 30)
    released.set()
    assert caught.value.sentence == 'The broker "redis://x" does not answer.'
    assert caught.value.hint == HINT
    assert caught.value.exit_code == 69


def test_reach__an_error_of_our_own_is_handed_on_from_wherever_it_is_in_the_chain() -> None:
    own = ConfigurationError("No broker is configured.", hint="set it")

    def fail() -> None:
        try:
            raise own
        except ConfigurationError as error:
            try:
                raise OSError("wrapped") from error
            except OSError:
                raise RuntimeError("wrapped again")  # noqa: B904 - a chain by context alone

    with pytest.raises(ConfigurationError) as caught:
        reach("The broker", 30, fail)
    assert caught.value is own


def test_chain__the_cause_goes_before_the_context() -> None:
    cause, context, error = OSError("cause"), OSError("context"), OSError("error")
    error.__cause__, error.__context__ = cause, context
    assert list(chain(error)) == [error, cause]


def test_chain__by_context_alone() -> None:
    first, second = OSError("first"), OSError("second")
    second.__context__ = first
    assert list(chain(second)) == [second, first]


def test_chain__of_nothing() -> None:
    assert list(chain(None)) == []


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(111, "Connection refused"), "[Errno 111] Connection refused"),
        (OSError("two\nlines  and\tmore"), "two lines and more"),
        (OSError("It ended."), "It ended"),
        (TimeoutError(), "TimeoutError"),
        (OSError("no route to redis://user:secret@host:6379/0"), "no route to redis://user:**@host:6379/0"),
        (OSError("tried redis://:one@a;redis://:two@b"), "tried redis://:**@a;redis://:**@b"),
        (OSError("refused: redis://host?password=secret&db=1"), "refused: redis://host?password=**&db=1"),
    ],
)
def test_reason__is_one_line_without_secrets_and_without_a_full_stop(error: OSError, text: str) -> None:
    assert reason(error) == text
