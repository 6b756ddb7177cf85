from __future__ import annotations

from typing import Any

import pytest
from celery import Celery

from tasktools.publishing.handing_on import Overlay, Switch, handed_on


class App:
    """Notes what Celery would send."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def send_task(self, name: str, **options: Any) -> str:
        self.sent.append((name, options))
        return "celery's"


def test_handed_on__only_with_the_producer() -> None:
    app, producer, handed = App(), object(), []
    with handed_on(app, producer, lambda *args, **options: handed.append((args, options))):
        app.send_task("a", producer=producer, queue="q")
        assert app.send_task("b", producer=object()) == "celery's"
        assert app.send_task("c") == "celery's"
    assert handed == [(("a",), {"producer": producer, "queue": "q"})]
    assert [name for name, _ in app.sent] == ["b", "c"]


def test_handed_on__several_at_once_in_any_order() -> None:
    app, producers, handed = App(), [object(), object()], []
    first, second = (handed_on(app, each, lambda name, **_: handed.append(name)) for each in producers)
    first.__enter__()
    second.__enter__()
    kept = app.send_task
    first.__exit__(None, None, None)
    assert app.send_task("a", producer=producers[0]) == "celery's"
    app.send_task("b", producer=producers[1])
    second.__exit__(None, None, None)
    assert handed == ["b"]
    assert vars(app).keys() == {"sent"}
    assert kept("c", producer=producers[1]) == "celery's"


def test_handed_on__is_over_after_an_error() -> None:
    app = Celery("shop", set_as_current=False)

    def fail() -> None:
        with handed_on(app, object(), print):
            assert isinstance(app.send_task, Switch)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert "send_task" not in vars(app)


def test_overlay__has_its_own_and_what_is_under_it() -> None:
    app = App()
    over = Overlay(app, sent="own", more=1)
    assert (over.sent, over.more) == ("own", 1)
    over.send_task("a")
    assert app.sent == [("a", {})]
    with pytest.raises(AttributeError):
        over.nothing  # noqa: B018
