"""Check within a time limit whether the broker and the result backend answer."""

from __future__ import annotations

import re
import shutil
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from tasktools import render
from tasktools.brokers import broker_of, private
from tasktools.brokers.base import Broker
from tasktools.brokers.masking import hide
from tasktools.brokers.timeouts import TimedOut, within, within_thread
from tasktools.environment.tables import migrate_hint_for
from tasktools.exceptions import ConfigurationError, TasktoolsError, Unreachable

if TYPE_CHECKING:
    from celery import Celery

T = TypeVar("T")


def check_broker(app: Celery, limit: float) -> None:
    """Return when the broker of `app` has answered.

    Raises Unreachable if it does not answer within `limit` seconds: it refuses, is silent, or cannot be found.
    """
    broker = broker_of(app)
    broker.prepare()
    _reach(within_thread, broker.name, limit, broker.ping, limit)


def connect(broker: Broker, limit: float, *, consequence: str = "", **more: Any) -> Any:
    """Return a kombu Connection to the broker. A thread makes it, because the look-up of its host name cannot be interrupted.

    `more` are options of Celery's app.connection_for_write.

    Raises Unreachable if there is no connection within `limit` seconds; `consequence` is added to the sentence.
    """
    make = partial(broker.publishing_connection, limit, **more)
    return _reach(within_thread, broker.name, limit, make, consequence=consequence)


def reach(subject: str, limit: float, call: Callable[..., T], *args: Any) -> T:
    """Return `call(*args)`, which talks to the server; `subject` names the server at the beginning of a sentence.

    Raises Unreachable when it fails or takes longer than `limit` seconds.
    """
    found: T = _reach(within, subject, limit, call, *args)
    return found


def _reach(run: Callable[..., Any], subject: str, limit: float, *call: Any, consequence: str = "") -> Any:
    try:
        return run(limit, *call)
    except TimedOut:
        raise silence(subject, consequence=consequence) from None
    except Exception as error:
        cause = next((each for each in chain(error) if isinstance(each, TasktoolsError)), None)
        if cause is not None:
            raise cause from error
        if "TimeoutError" in _redis_classes(error):  # redis-py has the same limit, and may be the first to notice
            raise silence(subject, consequence=consequence) from error
        if isinstance(error, ImportError):
            sentence = f"{subject} needs a library that is not installed: {reason_at_end(error)}{consequence}"
            hint = _DRIVER if came_through(error, "sqlalchemy") else "install it"
            raise ConfigurationError(sentence, hint=hint) from error
        if is_misuse(error):
            sentence = f"{subject} cannot be used: {type(error).__name__}: {reason_at_end(error)}{consequence}"
            raise ConfigurationError(sentence, hint=SETTINGS_HINT) from error
        if lacks_table(error):
            sentence = f"{subject} cannot be used: {reason_at_end(error)}{consequence}"
            raise ConfigurationError(sentence, hint=migrate_hint_for(reason(error))) from error
        raise unreachable(subject, error, consequence=consequence) from error


def unreachable(subject: str, error: BaseException, *, consequence: str = "") -> Unreachable:
    """Return the error for what a server, or the way to it, has raised. `subject` names it at the beginning of a sentence."""
    return Unreachable(f"{subject} {_what(error)}: {reason_at_end(error)}{consequence}", hint=remedy(subject, error))


def _what(error: BaseException) -> str:
    if is_refused(error) or "AuthenticationError" in _redis_classes(error) or _amqp_hint(error):
        return "refuses"
    return "answers, but not as Redis or Valkey" if "InvalidResponse" in _redis_classes(error) else "cannot be reached"


def silence(subject: str, *, consequence: str = "") -> Unreachable:
    """Return the error for a server that says nothing, such as a plain Redis that is addressed with TLS."""
    hint = f"{HINT}; rediss:// is for a port that speaks TLS" if '"rediss://' in subject else HINT
    return Unreachable(f"{subject} does not answer.{consequence}", hint=hint)


SETTINGS_HINT = "see the settings of that name: CELERY_BROKER_..., CELERY_RESULT_...; --traceback shows where"

HINT = "start it, or fix its address in the settings (CELERY_BROKER_URL, CELERY_RESULT_BACKEND)"


_ADDRESS = "fix the address in the settings (CELERY_BROKER_URL, CELERY_RESULT_BACKEND)"

_DRIVER = "install it, or name another driver in the URL, as in sqla+postgresql+psycopg:// or db+mysql+pymysql://"

#: What to do about an error that a Redis or Valkey returns, by the name of its class: this module does not import redis.
_REMEDIES = {
    "AuthenticationError": "the server runs and refuses the user or the password: set those that it knows in the URL",
    "InvalidResponse": f"another program listens there, or the port speaks TLS (rediss://): {_ADDRESS}",
    "NoPermissionError": "allow its user that on the server (ACL SETUSER), or name another user in the URL",
    "OutOfMemoryError": "free memory on that server, or raise its maxmemory",
    "ReadOnlyError": "name the primary server in the settings: this one is a replica",
    "ResponseError": "the server runs and refuses this one command; its answer says why",
}


def is_misuse(error: BaseException) -> bool:
    """Whether the error says that a transport or backend cannot use a setting. An untrusted certificate is not such an error."""
    if any((kind.__module__, kind.__name__) == ("sqlalchemy.exc", "ArgumentError") for kind in type(error).__mro__):
        return True
    return isinstance(error, (TypeError, ValueError)) and not isinstance(error, OSError)


def lacks_table(error: BaseException) -> bool:
    """Whether the error says that a database has no such table (Django wraps the errors of all databases)."""
    texts = (str(each) for each in chain(error) if type(each).__module__ == "django.db.utils")
    return any(_NO_TABLE.search(text) for text in texts)


_NO_TABLE = re.compile(r"no such table|(?:relation|table) .*(?:does not|doesn't) exist", re.IGNORECASE)


def is_disk_full(error: BaseException) -> bool:
    """Whether it is the answer of a Redis or Valkey that accepts no more writes because it cannot write to its disk."""
    return "MISCONF" in str(error)


def is_refused(error: BaseException) -> bool:
    """Whether it is an error that a running Redis or Valkey returned: the server did not do what it was asked for."""
    return is_disk_full(error) or "ResponseError" in _redis_classes(error)


def is_silence(error: TasktoolsError) -> bool:
    """Whether this error of `reach` says that the server did not answer in time: so may its client, before `reach` does."""
    return error.__cause__ is None or any(isinstance(each, TimeoutError) for each in chain(error.__cause__))


def is_barred(error: BaseException) -> bool:
    """Whether a running broker that speaks AMQP does not allow its user this, or another connection has the queue to itself."""
    return bool(_classes(error, "amqp.exceptions") & {"AccessRefused", "NotAllowed", "ResourceLocked"})


def is_forbidden(error: BaseException) -> bool:
    """Whether a running Redis or Valkey does not allow its user a command."""
    return "NoPermissionError" in _redis_classes(error)


def _redis_classes(error: BaseException) -> set[str]:
    return _classes(error, "redis.exceptions")


def _classes(error: BaseException, module: str) -> set[str]:
    classes = (kind for each in chain(error) for kind in type(each).__mro__)
    return {kind.__name__ for kind in classes if kind.__module__ == module}


def remedy(subject: str, error: BaseException) -> str:
    """Return the hint for an error of the server that `subject` names at the beginning of a sentence."""
    if not is_disk_full(error):
        classes = _redis_classes(error)
        known = next((hint for name, hint in _REMEDIES.items() if name in classes), "")
        return known or _amqp_hint(error) or _connecting_hint(error)
    folder = private.folder_of(subject)
    if folder is None:
        return "make room on the disk of that server; its log says what it cannot write"
    disk = shutil.disk_usage(folder)
    return f'make room on the disk of "{folder}": {disk.free / 1e6:,.1f} of {disk.total / 1e6:,.1f} MB are free'


def _amqp_hint(error: BaseException) -> str:
    """Return the hint for what a RabbitMQ refuses; "" for another error."""
    classes = _classes(error, "amqp.exceptions")
    if "NotAllowed" in classes:
        return "make that virtual host and let the user in (rabbitmqctl add_vhost, set_permissions), or name another in the URL"
    if "AccessRefused" not in classes:
        return ""
    if any("Login was refused" in str(each) for each in chain(error)):
        return _REMEDIES["AuthenticationError"]
    return "allow its user that on the server (rabbitmqctl set_permissions), or name another user in the URL"


def _connecting_hint(error: BaseException) -> str:
    """Return the hint for a connection that failed. It does not say "start it" if the server was reached."""
    if any(getattr(each, "reason", "") in _NO_TLS for each in chain(error) if isinstance(each, OSError)):
        return f"it seems that the port speaks no TLS: write redis:// for rediss://, or amqp:// for amqps://, or {_ADDRESS}"
    if any(text in str(error) for text in _HUNG_UP) and "ConnectionError" in _redis_classes(error):
        return f"it was reached and hung up: is it Redis or Valkey, and does it want TLS (rediss://)? Else {_ADDRESS}"
    if any(each.filename for each in chain(error) if isinstance(each, OSError)):  # that of a socket names no file
        return "make it and let this user write there, or name another in the settings"
    return f"make its folder, or {_ADDRESS}" if "unable to open database file" in str(error) else HINT


#: What redis-py reports of a server that ended the connection; one that wants TLS does so at the first plain command.
_HUNG_UP = ("Connection closed by server", "Connection reset by peer")

#: What OpenSSL reports for an answer that is not TLS.
_NO_TLS = ("WRONG_VERSION_NUMBER", "UNEXPECTED_EOF_WHILE_READING", "HTTP_REQUEST", "RECORD_LAYER_FAILURE")


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception and those that led to it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def came_through(error: BaseException, package: str) -> bool:
    """Whether an exception, or one that led to it, was raised in code of `package` or in code that it called."""
    return any(
        f"{frame.f_globals.get('__name__', '')}.".startswith(f"{package}.")
        for each in chain(error)
        for frame, _ in traceback.walk_tb(each.__traceback__)
    )


#: The packages whose code talks to brokers: py-amqp does so without code of kombu's transports.
_TRANSPORTS = ("kombu.transport", "amqp")


def came_from_broker(error: BaseException) -> bool:
    """Whether code that gives messages to a broker raised an exception."""
    return any(came_through(error, each) for each in _TRANSPORTS)


def reason_at_end(error: BaseException) -> str:
    """Return the text of an exception as the end of a sentence, with its mark."""
    return render.ended(reason(error))


def reason(error: BaseException) -> str:
    """Return the text of an exception as one line without secrets, for use inside a sentence."""
    return hide(" ".join(render.text_of(error).split()) or type(error).__name__).rstrip(".")
