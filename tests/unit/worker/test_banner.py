from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import celery
import pytest
from celery import Celery
from kombu import Queue

from tasktools.worker.banner import backend_uri, show_stock_urls, summary

#: Earlier versions take an alias in -Q alone; a worker started with it in -X takes from the queue all the same.
EXCLUDES_ALIASES = celery.VERSION >= (5, 7)


@pytest.fixture
def make() -> Iterator[Callable[..., Any]]:
    """Make apps that are gone after the test: Celery remembers every app that lives."""
    made: list[Any] = []

    def make(name: str | None = "shop", **options: Any) -> Any:
        made.append(Celery(name, set_as_current=False, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


def give_tasks(app: Any, *names: str) -> Any:
    """Leave the app these tasks beside Celery's own: the shared ones of this process do not count here."""

    def task() -> None: ...

    for name in [name for name in app.tasks if not name.startswith("celery.")]:
        del app.tasks[name]
    for name in names:
        app.task(name=name, shared=False)(task)
    return app


def test_summary__one_line_without_passwords(make: Callable[..., Any]) -> None:
    app = make(broker="redis://:secret@localhost:6379/0", backend="redis://:hidden@localhost:6379/1")
    assert summary(give_tasks(app, "shop.add"), "shop.celery:app") == (
        "app shop (-A shop.celery:app) | broker redis://:**@localhost:6379/0 | results redis://:**@localhost:6379/1"
        " | queues celery | 1 task"
    )


def test_summary__an_app_without_names_and_backend(make: Callable[..., Any]) -> None:
    app = give_tasks(make(None, broker="memory://"), "add", "other")
    assert summary(app, "", queues="one,two") == (
        "app unnamed (-A has no name) | broker memory:// | results disabled | queues one, two | 2 tasks"
    )


@pytest.mark.parametrize(
    ("queues", "excluded", "taken"),
    [
        ("a,b", "b", "a"),
        ("a,the other b", None, "a, b"),
        (None, "b", "a, c"),
        (None, "the other b", "a, c" if EXCLUDES_ALIASES else "a, b, c"),
        ("a,a,c", None, "a, c"),
        ("a", "a", "none"),
        (None, "nosuch", "a, b, c"),
    ],
)
def test_summary__the_queues_that_it_takes_from(
    make: Callable[..., Any], queues: str | None, excluded: str | None, taken: str
) -> None:
    named = [Queue("a"), Queue("b", alias="the other b"), Queue("c")]
    app = give_tasks(make(broker="memory://", task_queues=named))
    assert f" | queues {taken} | " in summary(app, "", queues=queues, excluded=excluded)


def test_summary__the_private_server_once_and_without_its_path(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line had the path of its socket twice, and more than 200 characters."""
    line = summary(app, "tasktools.celery:app")
    assert line.startswith("app tests (-A tasktools.celery:app) | broker and results: the private Valkey | queues ")
    monkeypatch.setattr(app, "backend_cls", "redis://elsewhere/1")
    socket = app.conf.broker_url.partition("://")[2]
    assert f" | broker redis+socket://{socket} | results redis://elsewhere/1 | " in summary(app, "")


@pytest.mark.parametrize(
    ("backend", "printed"),
    [
        (None, "disabled"),
        ("redis://user:secret@host/1", "redis://user:**@host/1"),
        ("db+postgresql://user:secret@host/name", "db+postgresql://user:**@host/name"),
        ("redis+socket:///run/valkey.sock", "redis+socket:///run/valkey.sock"),
        ("rpc://", "rpc://"),
        ("django-db", "django-db"),
    ],
)
def test_backend_uri__forms(make: Callable[..., Any], backend: str | None, printed: str) -> None:
    assert backend_uri(make(backend=backend)) == printed


@pytest.mark.parametrize("kind", ["worker", "beat"])
def test_banner__shows_the_private_server_as_a_stock_celery_writes_it(make: Callable[..., Any], kind: str) -> None:
    class Started:
        def startup_info(self, *words: Any, more: int = 0) -> str:
            return f"transport: tasktools+socket:///x {words} {more}"

    app = make()
    app.Worker = app.Beat = Started
    show_stock_urls(app, kind)
    made, other = (app.Worker, app.Beat) if kind == "worker" else (app.Beat, app.Worker)
    assert other is Started
    assert (made.__name__, issubclass(made, Started)) == ("Started", True)
    assert made().startup_info(1, more=2) == "transport: redis+socket:///x (1,) 2"
