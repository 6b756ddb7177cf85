"""Whether broker and result backend answer, found out within a limit."""

from __future__ import annotations

import shutil
import traceback
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from tasktools import render
from tasktools.brokers import broker_of, private
from tasktools.brokers.base import Broker
from tasktools.brokers.masking import hide
from tasktools.brokers.timeouts import TimedOut, within, within_thread
from tasktools.exceptions import ConfigurationError, ProjectError, TasktoolsError, Unreachable

if TYPE_CHECKING:
    from celery import Celery

T = TypeVar("T")


def check_broker(app: Celery, limit: float) -> None:
    """Return when the broker of `app` has answered.

    Raises Unreachable when it has not within `limit` seconds: it refuses, is silent, or cannot be found.
    """
    broker = broker_of(app)
    broker.prepare()
    _reach(within_thread, broker.name, limit, broker.ping, limit)


def connect(broker: Broker, limit: float, *, consequence: str = "") -> Any:
    """Return a kombu Connection to the broker, made in a thread: the look-up of its host name cannot be interrupted.

    Raises Unreachable when there is none within `limit` seconds; `consequence` is put after the sentence.
    """
    return _reach(within_thread, broker.name, limit, broker.publishing_connection, limit, consequence=consequence)


def reach(subject: str, limit: float, call: Callable[..., T], *args: Any) -> T:
    """Return `call(*args)`, a talk with the server that `subject` names at the beginning of a sentence.

    Raises Unreachable when it fails or takes longer than `limit` seconds.
    """
    found: T = _reach(within, subject, limit, call, *args)
    return found


def _reach(run: Callable[..., Any], subject: str, limit: float, *call: Any, consequence: str = "") -> Any:
    try:
        return run(limit, *call)
    except TimedOut:
        raise Unreachable(f"{subject} does not answer.{consequence}", hint=_silent_hint(subject)) from None
    except Exception as error:
        cause = next((each for each in chain(error) if isinstance(each, TasktoolsError)), None)
        if cause is not None:
            raise cause from error
        if is_misuse(error):
            sentence = f"{subject} cannot be used: {type(error).__name__}: {reason(error)}.{consequence}"
            raise ConfigurationError(sentence, hint=SETTINGS_HINT) from error
        hint = remedy(subject, error)
        raise Unreachable(f"{subject} {_what(error)}: {reason(error)}.{consequence}", hint=hint) from error


def _what(error: BaseException) -> str:
    if is_refused(error) or "AuthenticationError" in _redis_classes(error):
        return "refuses"
    return "answers, but not as Redis or Valkey" if "InvalidResponse" in _redis_classes(error) else "cannot be reached"


def _silent_hint(subject: str) -> str:
    """Return the hint for a server that says nothing, as a plain Redis does that is greeted with TLS."""
    return f"{HINT}; rediss:// is for a port that speaks TLS" if '"rediss://' in subject else HINT


SETTINGS_HINT = "see the settings of that name: CELERY_BROKER_..., CELERY_RESULT_...; --traceback shows where"

HINT = "start it, or fix its address in the settings (CELERY_BROKER_URL, CELERY_RESULT_BACKEND)"


_ADDRESS = "fix the address in the settings (CELERY_BROKER_URL, CELERY_RESULT_BACKEND)"

#: What to do about an answer of a Redis or Valkey that is an error, by the name of its class: redis is not imported here.
_REMEDIES = {
    "AuthenticationError": "the server runs and refuses the user or the password: set those that it knows in the URL",
    "InvalidResponse": f"another program listens there, or the port speaks TLS (rediss://): {_ADDRESS}",
    "NoPermissionError": "allow its user that on the server (ACL SETUSER), or name another user in the URL",
    "OutOfMemoryError": "free memory on that server, or raise its maxmemory",
    "ReadOnlyError": "name the primary server in the settings: this one is a replica",
    "ResponseError": "the server runs and refuses this one command; its answer says why",
}


def is_misuse(error: BaseException) -> bool:
    """Whether it says that a transport or a backend cannot use a setting; a certificate in which nobody trusts does not."""
    return isinstance(error, (TypeError, ValueError)) and not isinstance(error, OSError)


def is_disk_full(error: BaseException) -> bool:
    """Whether it is the answer of a Redis or Valkey that takes no more because it cannot write to its disk."""
    return "MISCONF" in str(error)


def is_refused(error: BaseException) -> bool:
    """Whether it is an answer of a Redis or Valkey: the server runs, and has not done what it was asked for."""
    return is_disk_full(error) or "ResponseError" in _redis_classes(error)


def _redis_classes(error: BaseException) -> set[str]:
    classes = (kind for each in chain(error) for kind in type(each).__mro__)
    return {kind.__name__ for kind in classes if kind.__module__ == "redis.exceptions"}


def remedy(subject: str, error: BaseException) -> str:
    """Return the hint for an error of the server that `subject` names at the beginning of a sentence."""
    if not is_disk_full(error):
        classes = _redis_classes(error)
        known = next((hint for name, hint in _REMEDIES.items() if name in classes), "")
        return known or _connecting_hint(error)
    folder = private.folder_of(subject)
    if folder is None:
        return "make room on the disk of that server; its log says what it cannot write"
    disk = shutil.disk_usage(folder)
    return f'make room on the disk of "{folder}": {disk.free / 1e6:,.1f} of {disk.total / 1e6:,.1f} MB are free'


def _connecting_hint(error: BaseException) -> str:
    """Return the hint for a connection that failed: a server that was reached need not be started."""
    if any(getattr(each, "reason", "") in _NO_TLS for each in chain(error) if isinstance(each, OSError)):
        return f"it seems that the port speaks no TLS: write redis:// for rediss://, or amqp:// for amqps://, or {_ADDRESS}"
    if "Connection closed by server" in str(error) and "ConnectionError" in _redis_classes(error):
        return f"it was reached and hung up: is it Redis or Valkey, and does it want TLS (rediss://)? Else {_ADDRESS}"
    return HINT


#: What OpenSSL says of an answer that is no TLS.
_NO_TLS = ("WRONG_VERSION_NUMBER", "UNEXPECTED_EOF_WHILE_READING", "HTTP_REQUEST", "RECORD_LAYER_FAILURE")


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception and those that led to it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def came_through(error: BaseException, package: str) -> bool:
    """Whether an exception, or one that led to it, was raised in code of `package` or in what that has called."""
    return any(
        str(frame.f_globals.get("__name__", "")).startswith(f"{package}.")
        for each in chain(error)
        for frame, _ in traceback.walk_tb(each.__traceback__)
    )


#: The packages whose code talks to brokers: py-amqp does so with no code of kombu's transports in between.
_TRANSPORTS = ("kombu.transport", "amqp")


def came_from_broker(error: BaseException) -> bool:
    """Whether an exception was raised where a message is given to a broker."""
    return any(came_through(error, each) for each in _TRANSPORTS)


def unsent(task: str, error: BaseException, *, consequence: str = "") -> ProjectError:
    """Return the error for a call that code or settings of the project have kept from being sent."""
    sentence = f"{task} could not be sent: {type(error).__name__}: {reason(error)}.{consequence}"
    return ProjectError(sentence, hint="the same command with --traceback shows where")


def sent_all_the_same(task: str, error: BaseException) -> TasktoolsError:
    """Return the error for a call that was sent, and after which code of the project failed."""
    sentence = f"{task} was sent, and code of the project failed then: {type(error).__name__}: {reason(error)}."
    return TasktoolsError(sentence, hint="the same command with --traceback shows where")


def reason(error: BaseException) -> str:
    """Return the text of an exception as one line without secrets, for the inside of a sentence."""
    return hide(" ".join(render.text_of(error).split()) or type(error).__name__).rstrip(".")
