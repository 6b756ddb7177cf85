from __future__ import annotations

import ssl
import threading

import amqp.exceptions as amqp
import pytest
import redis.exceptions as redis
from django.db.utils import OperationalError

from tasktools.brokers.reach import HINT, chain, reach, reason, reason_at_end
from tasktools.exceptions import ConfigurationError, Unreachable


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


def test_reach__a_certificate_that_nobody_trusts_is_no_setting() -> None:
    def fail() -> None:
        raise ssl.SSLCertVerificationError(1, "certificate verify failed: self-signed certificate")

    with pytest.raises(Unreachable) as caught:
        reach('The broker "amqps://x"', 30, fail)
    assert '"amqps://x" cannot be reached: ' in caught.value.sentence
    assert caught.value.hint == HINT


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (
            redis.NoPermissionError("User shop has no permissions to run the 'hset' command"),
            "allow its user that on the server (ACL SETUSER), or name another user in the URL",
        ),
        (
            redis.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
            "free memory on that server, or raise its maxmemory",
        ),
        (
            redis.ReadOnlyError("You can't write against a read only replica."),
            "name the primary server in the settings: this one is a replica",
        ),
        (
            redis.ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"),
            "the server runs and refuses this one command; its answer says why",
        ),
    ],
    ids=["NOPERM", "OOM", "READONLY", "WRONGTYPE"],
)
def test_reach__a_server_that_answers_and_refuses(error: Exception, hint: str) -> None:
    def refuse() -> None:
        raise OSError(f"wrapped: {error}") from error

    with pytest.raises(Unreachable) as caught:
        reach('The broker "redis://x"', 30, refuse)
    assert caught.value.sentence.startswith('The broker "redis://x" refuses: wrapped: ')
    assert caught.value.hint == hint


def wrong_version() -> OSError:
    cause = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)")
    cause.reason = "WRONG_VERSION_NUMBER"
    error = redis.ConnectionError(f"Error 1 connecting to host:1. {cause.args[1]}")
    error.__cause__ = cause
    return error  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("error", "what", "hint"),
    [
        (
            redis.AuthenticationError("invalid username-password pair or user is disabled."),
            "refuses: invalid username-password pair or user is disabled",
            "the server runs and refuses the user or the password: ",
        ),
        (
            amqp.AccessRefused("Login was refused using authentication mechanism PLAIN.", (0, 0)),
            "refuses: ",
            "the server runs and refuses the user or the password: ",
        ),
        (
            amqp.AccessRefused("access to exchange 'celery' in vhost '/' refused for user 'shop'", (40, 10)),
            "refuses: ",
            "allow its user that on the server (rabbitmqctl set_permissions)",
        ),
        (
            amqp.NotAllowed("vhost shop not found", (10, 40)),
            "refuses: ",
            "make that virtual host and let the user in (rabbitmqctl add_vhost, set_permissions)",
        ),
        (
            redis.InvalidResponse("Protocol Error: b'HTTP/1.1 400 Bad Request'"),
            "answers, but not as Redis or Valkey: Protocol Error: ",
            "another program listens there, or the port speaks TLS (rediss://): fix the address in the settings",
        ),
        (
            redis.ConnectionError("Connection closed by server."),
            "cannot be reached: Connection closed by server",
            "it was reached and hung up: is it Redis or Valkey, and does it want TLS (rediss://)?",
        ),
        (
            wrong_version(),
            "cannot be reached: Error 1 connecting to host:1. ",
            "it seems that the port speaks no TLS: write redis:// for rediss://",
        ),
    ],
    ids=["password", "AMQP login", "AMQP right", "AMQP vhost", "HTTP", "hangs up", "no TLS"],
)
def test_reach__a_server_that_was_reached_is_not_to_be_started(error: Exception, what: str, hint: str) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(Unreachable) as caught:
        reach('The broker "redis://x"', 30, fail)
    assert caught.value.sentence.startswith(f'The broker "redis://x" {what}')
    assert caught.value.hint.startswith(hint)


@pytest.mark.parametrize(
    ("text", "end"),
    [("gone", "gone."), ("It is gone.", "It is gone."), ("Is it running?", "Is it running?"), ("No...", "No.")],
)
def test_reason_at_end__has_one_mark(text: str, end: str) -> None:
    assert reason_at_end(OSError(text)) == end


def test_reach__ends_a_question_as_one() -> None:
    def ask() -> None:
        raise OSError("Is the server running?")

    with pytest.raises(Unreachable) as caught:
        reach('The broker "redis://x"', 5, ask)
    assert caught.value.sentence == 'The broker "redis://x" cannot be reached: Is the server running?'


def test_reach__silence_of_a_port_that_is_greeted_with_tls() -> None:
    released = threading.Event()
    with pytest.raises(Unreachable) as caught:
        reach('The broker "rediss://x"', 0.05, released.wait, 30)
    released.set()
    assert caught.value.hint == f"{HINT}; rediss:// is for a port that speaks TLS"


@pytest.mark.parametrize(
    "text",
    [
        "no such table: django_celery_results_taskresult",
        'relation "django_celery_results_taskresult" does not exist',
        "(1146, \"Table 'site.django_celery_results_taskresult' doesn't exist\")",
    ],
)
def test_reach__a_database_without_the_tables(text: str) -> None:
    """It was a server that should be started."""

    def ask() -> None:
        raise OperationalError(text)

    with pytest.raises(ConfigurationError) as caught:
        reach('The result backend "django-db"', 5, ask)
    assert caught.value.sentence == f'The result backend "django-db" cannot be used: {text}.'
    assert caught.value.hint == "python manage.py migrate"


def test_reach__a_database_that_does_not_answer() -> None:
    def ask() -> None:
        raise OperationalError("could not connect to server")

    with pytest.raises(Unreachable):
        reach('The result backend "django-db"', 5, ask)


def test_reach__a_library_that_notices_the_silence_first() -> None:
    """redis-py has the same limit."""

    def wait() -> None:
        raise redis.TimeoutError("Timeout reading from socket")

    with pytest.raises(Unreachable) as caught:
        reach('The broker "rediss://x"', 30, wait)
    assert caught.value.sentence == 'The broker "rediss://x" does not answer.'
    assert caught.value.hint == f"{HINT}; rediss:// is for a port that speaks TLS"
