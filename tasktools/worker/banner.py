"""The line that describes what a worker or a beat of this project starts with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tasktools.brokers import broker_of, private
from tasktools.brokers.base import PRIVATE_SOCKET, STOCK_SOCKET, with_stock_urls
from tasktools.brokers.masking import masked
from tasktools.celery_compat import STARTUP_INFO
from tasktools.registry.registry import names
from tasktools.render import counted

if TYPE_CHECKING:
    from celery import Celery


def summary(app: Celery, name: str, *, queues: str | None = None, excluded: str | None = None) -> str:
    """Return one line: the app and its -A name, broker and result backend without passwords, queues, number of tasks.

    `queues` and `excluded` are what was typed for -Q and -X.
    """
    broker, results = broker_of(app).uri(), backend_uri(app)
    # The path of its socket is long, and nobody has chosen it.
    is_private = private.is_private(app.conf) and broker == results
    parts = [
        f"app {app.main or 'unnamed'} (-A {name or 'has no name'})",
        *(["broker and results: the private Valkey"] if is_private else [f"broker {broker}", f"results {results}"]),
        f"queues {', '.join(_taken(app, queues, excluded)) or 'none'}",
        counted(len(names(app)), "task"),
    ]
    return " | ".join(parts)


def _taken(app: Celery, queues: str | None, excluded: str | None) -> list[str]:
    """Return the queues that a worker takes from (celery.worker.WorkController.setup_queues)."""
    own: Any = app.amqp.Queues([*app.amqp.queues.values()])  # Celery chooses: what an alias means differs by version
    try:
        own.select(queues.split(",") if queues else None)
        own.deselect(excluded.split(",") if excluded else None)
    except KeyError:  # a queue that is not declared: the worker refuses it
        return queues.split(",") if queues else []
    # Its keys are what was typed, which Celery before 5.7 leaves as an alias.
    return [str(each.name) for each in own.consume_from.values()]


def show_stock_urls(app: Celery, command: str) -> None:
    """Have the banner of `command` show the private Valkey by the URL that a stock Celery understands.

    `command` is "worker" or "beat"; the class of the other one is not imported.
    """
    startup_of = STARTUP_INFO[command]
    base = getattr(app, command.capitalize())

    def startup_info(self: Any, *args: Any, **options: Any) -> str:
        return with_stock_urls(str(startup_of.of(base)(self, *args, **options)))

    setattr(app, command.capitalize(), type(base.__name__, (base,), {startup_of.name: startup_info}))


def backend_uri(app: Celery) -> str:
    """Return the URL of the result backend without its password; "disabled" if there is none."""
    url = app.backend_cls if isinstance(app.backend_cls, str) else app.conf.result_backend
    scheme, _, rest = str(url or "disabled").partition("+socket://")
    return (
        f"{STOCK_SOCKET}{rest}"
        if rest and scheme.startswith(PRIVATE_SOCKET.partition("+")[0])
        else masked(url or "disabled")
    )
