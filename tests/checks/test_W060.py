from __future__ import annotations

import functools
import typing
from collections.abc import Sequence
from types import ModuleType
from typing import Any, Optional, Union

import kombu.utils.json
import pytest
from celery import Celery, Task
from django.contrib.auth import models
from django.contrib.auth.models import User
from django.core.checks import run_checks

from tasktools import checks
from tasktools.discovery.celery_app import Found
from tasktools.project import Project


def ids() -> list[str | None]:
    return [message.id for message in run_checks(tags=[checks.TAG])]


def greet(user: User, times: int = 1) -> None: ...


def test_W060__fires_for_a_model(shop: Any) -> None:
    shop.task(name="shop.greet", shared=False)(greet)
    (message,) = run_checks(tags=[checks.TAG])
    place = f"tests/checks/test_W060.py:{greet.__code__.co_firstlineno}"
    assert message.msg == (
        f'The task "shop.greet" ({place}) takes a model instance, which json cannot serialize: '
        'its parameter "user" is annotated as User.'
    )
    assert message.hint == "take the primary key, and read the object in the task: User.objects.get(pk=...)"
    assert message.id == "tasktools.W060"


def annotated(annotation: Any) -> Any:
    def run(x: int, it: Any, *, y: int = 1) -> None: ...

    run.__annotations__["it"] = annotation
    return run


@pytest.mark.parametrize(
    "annotation",
    [
        User,
        User | None,
        Optional[User],  # noqa: UP045
        Union[User, models.Group],  # noqa: UP007
        list[User],
        tuple[User, ...],
        set[User],
        frozenset[User],
        list[User | None],
        "User",
        "models.User",
        "User | None",
        "Optional[User]",
        "typing.Optional[User]",
        "list[User]",
        "Sequence[models.User]",
    ],
)
def test_W060__fires_for_annotations_with_a_model(shop: Any, annotation: Any) -> None:
    shop.task(name="shop.run", shared=False)(annotated(annotation))
    assert ids() == ["tasktools.W060"]


@pytest.mark.parametrize(
    "annotation",
    [
        int,
        None,
        Any,
        type[User],
        User | int,
        dict[str, User],
        list[int],
        list,
        Sequence[int],
        "int",
        "type[User]",
        "User | int",
        "Nobody",
        "models.Nobody",
        "nobody.User",
        "Nobody | User",
        "None",
        "",
        "3",
        3,
        typing.TypeVar("T"),
        ModuleType("m"),
    ],
)
def test_W060__is_silent_for_annotations_that_accept_something_else(shop: Any, annotation: Any) -> None:
    shop.task(name="shop.run", shared=False)(annotated(annotation))
    assert ids() == []


def test_W060__is_silent_for_what_a_task_returns(shop: Any) -> None:
    def find(key: int) -> User:
        raise NotImplementedError

    shop.task(name="shop.find", shared=False)(find)
    assert ids() == []


def test_W060__fires_where_celery_tries_again(shop: Any) -> None:
    """The option wraps the function."""
    shop.task(name="shop.greet", shared=False, autoretry_for=(ValueError,))(greet)
    assert ids() == ["tasktools.W060"]


def test_W060__is_silent_for_a_decorator_that_may_read_the_object(shop: Any) -> None:
    @functools.wraps(greet)
    def read(key: int) -> None: ...

    shop.task(name="shop.greet", shared=False)(read)
    assert ids() == []


def test_W060__is_silent_for_a_task_that_is_a_class(shop: Any) -> None:
    class Greet(Task):
        name = "shop.greet"

        def run(self, user: User) -> None: ...

    shop.register_task(Greet())
    assert ids() == []


@pytest.mark.parametrize("method", ["apply_async", "delay", "__call__"])
def test_W060__is_silent_for_a_class_that_may_convert(shop: Any, method: str) -> None:
    base = type("Own", (Task,), {method: lambda self, *args, **kwargs: None, "abstract": True})
    shop.task(name="shop.greet", shared=False, base=base)(greet)
    assert ids() == []


def test_W060__is_silent_for_another_serializer_of_the_task(shop: Any) -> None:
    shop.task(name="shop.greet", shared=False, serializer="pickle")(greet)
    assert ids() == []


def test_W060__is_silent_for_another_serializer_of_the_app(shop: Any) -> None:
    shop.conf.update(task_serializer="pickle", accept_content=["pickle", "json"])
    shop.task(name="shop.greet", shared=False)(greet)
    assert ids() == []
    shop.tasks["shop.greet"].serializer = "json"
    assert ids() == ["tasktools.W060"]


@pytest.mark.parametrize(("kind", "fires"), [(User, False), (models.Group, True)])
def test_W060__is_silent_for_models_that_the_project_serializes(
    shop: Any, monkeypatch: pytest.MonkeyPatch, kind: type, fires: bool
) -> None:
    monkeypatch.setattr(kombu.utils.json, "_encoders", {"other": (None, str), kind: (None, str)})
    shop.task(name="shop.greet", shared=False)(greet)
    assert ids() == ["tasktools.W060"] * fires


def test_W060__is_silent_where_the_annotations_cannot_be_read(shop: Any) -> None:
    class Lazy:
        def __get__(self, *_: Any) -> Any:
            raise NameError("User")

    kind = type("Function", (), {"__annotations__": Lazy(), "__call__": lambda self, user: None})
    function = kind()
    function.__name__, function.__module__ = "greet", "shop.tasks"
    shop.task(name="shop.greet", shared=False)(greet)
    shop.tasks["shop.greet"].__wrapped__ = function
    assert ids() == []


def test_W060__makes_no_tasks_of_an_app_of_the_project(project: Project) -> None:
    with Celery("own", broker="memory://", set_as_current=False) as app:
        app.task(name="own.greet", shared=False)(greet)
        project.found = Found(app=app)
        assert ids() == []
        assert not app.finalized
        app.finalize()
        assert ids() == ["tasktools.W060"]
