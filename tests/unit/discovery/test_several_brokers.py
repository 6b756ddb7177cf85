"""Where another app of the project has a broker of its own: no message goes astray to the private Valkey."""

from __future__ import annotations

import sys
import uuid
import weakref
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
from celery import Celery, _state, shared_task
from celery.local import Proxy
from django.core.checks import Warning as CheckWarning

from tasktools import startup
from tasktools.brokers import private
from tasktools.checks import broker as broker_check
from tasktools.discovery.celery_app import Found
from tasktools.exceptions import ConfigurationError
from tasktools.project import Project
from tasktools.publishing.single import app_of

Make = Callable[..., Any]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Make apps, each held by a module of the project; what they register stays among them."""
    monkeypatch.setattr(_state, "_apps", weakref.WeakSet())
    monkeypatch.setattr(_state, "_on_app_finalizers", set(_state._on_app_finalizers))
    monkeypatch.delenv("CELERY_BROKER_URL", raising=False)
    made: list[Any] = []

    def app(name: str, **options: Any) -> Any:
        module: Any = ModuleType(f"{name}_{uuid.uuid4().hex}")
        module.app = Celery(name, set_as_current=False, **options)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        made.append(module.app)
        return module.app

    yield app
    for each in made:
        each.close()


def module_of(app: Any) -> Any:
    return next(module for module in sys.modules.values() if getattr(module, "app", None) is app)


def hold(app: Any, make_task: Callable[[Any], Any]) -> str:
    """Have the module of `app` define a task, as a file would; return its name."""
    module = module_of(app)

    def add(x: int) -> int:
        return x

    add.__module__ = module.__name__
    module.add = make_task(add)
    return f"{module.__name__}.add"


@pytest.mark.parametrize("own", [True, False], ids=["own", "ready_made"])
def test_choose_broker__never_the_private_one_beside_an_app_that_names_one(
    make: Make, settings: Any, own: bool
) -> None:
    settings.DEBUG = True
    other = make("other", broker="redis://127.0.0.1/3")
    found = Found(app=make("main"), ready_made=not own)
    startup.choose_broker(found)
    assert not private.is_private(found.app.conf)
    if own:
        assert found.app.conf.broker_url is None
        return
    name = f"{module_of(other).__name__}:app"
    with pytest.raises(ConfigurationError) as caught:
        startup.require_broker(found)
    assert caught.value.sentence == (
        f"No broker is configured, and the private one is not used beside {name}, which names a broker."
    )


def test_choose_broker__the_private_one_where_the_other_has_it_too(make: Make, settings: Any) -> None:
    settings.DEBUG = True
    first, second = (Found(app=make(name)) for name in ("first", "second"))
    for found in (first, second):
        startup.choose_broker(found)
        assert private.is_private(found.app.conf)


def test_choose_broker__an_app_whose_configuration_cannot_be_read_names_none(make: Make, settings: Any) -> None:
    settings.DEBUG = True
    make("broken", config_source="no_such_module_of_settings")
    found = Found(app=make("main"))
    startup.choose_broker(found)
    assert private.is_private(found.app.conf)


def test_W001__fires_beside_an_app_that_names_a_broker(make: Make, settings: Any, project: Project) -> None:
    settings.DEBUG = True
    other, found = make("other", broker="redis://127.0.0.1/3"), Found(app=make("main"))
    startup.choose_broker(found)
    project.found = found
    sentence = (
        f"The app {found.name} names no broker and goes to amqp://localhost; {module_of(other).__name__}:app names one."
    )
    hint = "set CELERY_BROKER_URL, or choose that app with TASKTOOLS_APP"
    assert broker_check.check(found) == [CheckWarning(sentence, hint=hint, id="tasktools.W001")]


def test_W001__is_silent_where_no_other_names_one(make: Make, settings: Any, project: Project) -> None:
    settings.DEBUG = True
    make("other")
    found = Found(app=make("main"))
    startup.choose_broker(found)
    project.found = found
    assert broker_check.check(found) == []


def test_app_of__the_app_that_the_module_s_task_belongs_to(make: Make) -> None:
    main, other = make("main", broker="memory://main"), make("other", broker="memory://other")
    name = hold(other, other.task)
    assert name in main.tasks
    assert app_of(main, name) is other
    assert app_of(other, name) is other


@pytest.mark.parametrize("url", [None, "memory://main"], ids=["none", "the same"])
def test_app_of__not_one_without_another_broker(make: Make, url: str | None) -> None:
    main, other = make("main", broker="memory://main"), make("other", broker=url)
    assert app_of(main, hold(other, other.task)) is main


def test_app_of__a_shared_task_is_nobody_s(make: Make) -> None:
    main, other = make("main", broker="memory://main"), make("other", broker="memory://other")
    name = hold(other, shared_task)
    assert type(module_of(other).add) is Proxy
    assert app_of(main, name) is main


def test_app_of__a_name_that_is_not_registered(make: Make) -> None:
    main = make("main", broker="memory://main")
    assert app_of(main, "nosuch") is main


def test_app_of__one_whose_settings_cannot_be_read(make: Make, run_command: Any, project: Project) -> None:
    main, other = make("main", broker="memory://main"), make("other", config_source="no_such_module_of_settings")
    name = hold(other, other.task)
    project.found = Found(app=main)
    done = run_command("enqueue", name, "1")
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines()[0] == (
        f"The task \"{name}\" cannot be registered: ModuleNotFoundError: No module named 'no_such_module_of_settings'."
    )


def test_app_of__one_whose_queues_cannot_be_made(make: Make, run_command: Any, project: Project) -> None:
    main, other = make("main", broker="memory://main"), make("other", broker="memory://other")
    other.conf.task_queues = ["fast"]
    name = hold(other, other.task)
    project.found = Found(app=main)
    done = run_command("enqueue", name, "1")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"CELERY_TASK_QUEUES of {module_of(other).__name__}:app has 'fast', which is no queue.")
