"""A call that surely fits is one that the signature of the task takes; of others, the signature shows why not."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery, Task

from tasktools.registry.registry import signature_of, surely_takes


class Sending(Task):
    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        return super().apply_async(args, kwargs, **options)


class Calling(Task):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return super().__call__(*args, **kwargs)


class Counting(Task):
    name = "shop.counting"

    def run(self, x: int) -> int:
        return x


class Built(Task):
    name = "shop.built"
    run = staticmethod(len)


def with_session(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def inner(*args: Any, **kwargs: Any) -> Any:
        return function("session", *args, **kwargs)

    return inner


def plain(x: int, y: int = 2, *, word: str = "") -> None: ...
def bound(self: Any, x: int, y: int = 2, *, word: str = "") -> None: ...
def by_place(x: int, /, y: int = 2, **more: Any) -> None: ...
def by_place_alone(x: int, /, y: int = 2) -> None: ...


def signed(*args: Any, **kwargs: Any) -> None: ...


X = inspect.Parameter("x", inspect.Parameter.POSITIONAL_ONLY)
signed.__signature__ = inspect.Signature([X])  # type: ignore[attr-defined]

CALLS: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    *[((), {}), ((1,), {}), ((1, 2), {}), ((1, 2, 3), {}), ((), {"x": 1}), ((1,), {"y": 2}), ((1,), {"word": "a"})],
    *[((1,), {"x": 1}), ((), {"y": 2}), ((1,), {"other": 3})],
]


@pytest.fixture(scope="module")
def shop() -> Iterator[Any]:
    app = Celery("shop", broker="memory://", set_as_current=False)
    kinds: dict[str, dict[str, Any]] = {
        "plain": {"fun": plain},
        "bound": {"fun": bound, "bind": True},
        "by_place": {"fun": by_place},
        "by_place_alone": {"fun": by_place_alone},
        "signed": {"fun": signed},
        "decorated": {"fun": with_session(plain)},
        "retried": {"fun": plain, "autoretry_for": (ValueError,)},
        "untyped": {"fun": plain, "typing": False},
        "sending": {"fun": plain, "base": Sending},
        "calling": {"fun": plain, "base": Calling},
    }
    for name, options in kinds.items():
        function = options.pop("fun")
        app.task(name=f"shop.{name}", shared=False, **options)(function)
    app.register_task(Counting())
    app.register_task(Built())
    app.finalize()
    yield app
    app.close()


def fits(task: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    signature = signature_of(task)
    try:
        signature.check(args, kwargs)
    except TypeError:
        return False
    return signature.misfit(args, kwargs) == ""


@pytest.mark.parametrize(("args", "kwargs"), CALLS)
def test_surely_takes__only_what_the_signature_takes(shop: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    tasks = [task for name, task in shop.tasks.items() if name.startswith("shop.")]
    assert len(tasks) == 12
    assert [each.name for each in tasks if surely_takes(each, args, kwargs) and not fits(each, args, kwargs)] == []


@pytest.mark.parametrize("name", ["plain", "bound"])
@pytest.mark.parametrize(("args", "kwargs"), CALLS)
def test_surely_takes__all_that_a_plain_function_takes(
    shop: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    task = shop.tasks[f"shop.{name}"]
    assert surely_takes(task, args, kwargs) == fits(task, args, kwargs)


def test_surely_takes__arguments_by_place(shop: Any) -> None:
    assert surely_takes(shop.tasks["shop.by_place"], (1, 2), {})


@pytest.mark.parametrize("name", ["by_place", "by_place_alone"])
def test_surely_takes__no_keywords_beside_arguments_that_go_by_place_alone(shop: Any, name: str) -> None:
    task = shop.tasks[f"shop.{name}"]
    task.__header__(x=1)  # Celery takes it, and the function may not
    assert not surely_takes(task, (), {"x": 1})


@pytest.mark.parametrize("name", ["decorated", "signed", "retried", "counting", "built"])
def test_surely_takes__nothing_of_a_function_that_is_not_plain(shop: Any, name: str) -> None:
    assert not surely_takes(shop.tasks[f"shop.{name}"], (1,), {})
