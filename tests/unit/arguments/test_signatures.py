"""Decorators and classes that hide or change the signature of a task: what Celery accepts is accepted."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import pytest
from celery import Celery, Task

from tasktools.arguments.binding import Bound, bind
from tasktools.arguments.call import Call
from tasktools.arguments.target import describe
from tasktools.arguments.values import Checker
from tasktools.beat.schedule import faults
from tasktools.exceptions import ArgumentError
from tasktools.publishing.batch import enqueue_many
from tasktools.registry.registry import signature_of


class Session: ...


def passed_on(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def outer(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return outer


def with_session(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def outer(*args: Any, **kwargs: Any) -> Any:
        return function(Session(), *args, **kwargs)

    return outer


def with_tenant(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def outer(tenant, *args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return outer


def named_anew(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def outer(sku, count=1) -> Any:
        return function(Session(), sku, count)

    return outer


class Adds(Task):
    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        return super().apply_async(("tenant", *(args or ())), kwargs, **options)


class Checked(Task):
    """It does what it likes, and leaves the arguments alone."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return super().__call__(Session(), *args, **kwargs)


class Post(Task):
    name = "shop.post"

    def run(self, word: str, times: int = 1) -> None: ...


def stock(session, sku: str, count: int = 1) -> None: ...


def moved(session: Session, sku: str, day: date | None = None) -> None: ...


def add(x: int, y: int = 2, *, factor: float = 1.0) -> None: ...


def later(day: date, note: str = "") -> None: ...


def by_place(x: int, /, y: int = 0) -> None: ...


def gather(*values: int, **named: int) -> None: ...


@pytest.fixture(scope="module")
def shop() -> Iterator[Any]:
    app = Celery("shop", broker="memory://", set_as_current=False)
    made: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
        "plain": (add, {}),
        "retried": (add, {"autoretry_for": (ValueError,)}),
        "bound": (stock, {"bind": True}),
        "by_place": (by_place, {}),
        "gather": (gather, {}),
        "passed_on": (passed_on(add), {}),
        "later": (passed_on(later), {}),
        "injected": (with_session(stock), {}),
        "injected_typed": (with_session(moved), {}),
        "bound_injected": (with_session(moved), {"bind": True}),
        "injected_retried": (with_session(stock), {"autoretry_for": (ValueError,)}),
        "tenant": (with_tenant(add), {}),
        "named_anew": (named_anew(stock), {}),
        "untyped": (stock, {"typing": False}),
        "called": (stock, {"typing": False, "base": Checked}),
        "adds": (later, {"base": Adds}),
    }
    for name, (function, options) in made.items():
        app.task(function, name=f"shop.{name}", shared=False, **options)
    app.register_task(Post())
    yield app
    app.close()


NAMES = (
    *("plain", "retried", "bound", "by_place", "gather", "passed_on", "later", "injected", "injected_typed", "tenant"),
    *("bound_injected", "injected_retried", "named_anew", "untyped", "called", "adds", "post"),
)
KEYWORDS = ({}, {"x": 1}, {"sku": "A1"}, {"y": 3}, {"z": 1}, {"session": 1}, {"count": 2, "sku": "B"}, {"tenant": 1})
CALLS = [([*range(count)], kwargs) for count, kwargs in itertools.product(range(4), KEYWORDS)]


def accepts(task: Any, args: Any, kwargs: Any) -> bool:
    try:
        task.apply_async(args, kwargs, ignore_result=True)
    except TypeError:
        return False
    return True


def succeeds(call: Callable[[], Any]) -> bool:
    try:
        call()
    except ArgumentError:
        return False
    return True


@pytest.mark.parametrize("name", NAMES)
def test_accepted__is_what_celery_accepts(shop: Any, name: str) -> None:
    task = shop.tasks[f"shop.{name}"]
    signature = signature_of(task)
    for args, kwargs in CALLS:
        accepted = accepts(task, args, kwargs)
        given = {"args_json": json.dumps(args), "kwargs_json": json.dumps(kwargs)}
        taken = succeeds(lambda given=given: bind(signature, **given))
        if signature.checked is None and not accepted:
            continue  # by what a class of the project's does on the way
        assert taken is accepted, (args, kwargs)
        shop.conf.beat_schedule = {"it": {"task": task.name, "schedule": 60, "args": args, "kwargs": kwargs}}
        refused = [fault.kind for fault in faults(shop)].count("arguments")
        assert bool(refused) is not accepted, (args, kwargs)


@pytest.mark.parametrize(
    "name", ["passed_on", "later", "injected", "injected_typed", "bound_injected", "tenant", "called", "adds"]
)
def test_accepted__from_a_file_too_whatever_the_types(shop: Any, name: str) -> None:
    task = shop.tasks[f"shop.{name}"]
    checker = Checker(signature_of(task), task.name)
    for args, _ in CALLS:
        if accepts(task, args, {}):
            assert checker.values(args, {}) == Bound(tuple(args), {})
        elif name != "adds":
            assert not succeeds(lambda args=args: checker.values(args, {})), args


@pytest.mark.parametrize(
    ("name", "words", "bound"),
    [
        ("passed_on", ["1", "5"], Bound((1, 5), {})),
        ("passed_on", ["1", "factor=2"], Bound((1,), {"factor": 2.0})),
        ("passed_on", ["1", "two"], Bound((1, "two"), {})),
        ("passed_on", ["1", "z=3"], Bound((1,), {"z": 3})),
        ("later", ["2030-01-31", "007"], Bound((date(2030, 1, 31), "007"), {})),
        ("injected", ["A1", "3"], Bound(("A1", 3), {})),
        ("injected", ["7"], Bound((7,), {})),
        ("injected", ["sku=007", "count=3"], Bound((), {"sku": "007", "count": 3})),
        ("injected_typed", ["A1", "day=2030-01-31"], Bound(("A1",), {"day": date(2030, 1, 31)})),
        ("bound_injected", ["A1", "day=2030-01-31"], Bound(("A1",), {"day": date(2030, 1, 31)})),
        ("tenant", ["t1", "1", "y=3"], Bound(("t1", 1), {"y": 3})),
        ("tenant", ["tenant=t1", "x=3"], Bound((), {"tenant": "t1", "x": 3})),
        ("named_anew", ["007", "3"], Bound(("007", 3), {})),
        ("adds", ["2030-01-31"], Bound((date(2030, 1, 31),), {})),
        ("adds", ["day=2030-01-31", "note=007"], Bound((), {"day": date(2030, 1, 31), "note": "007"})),
        ("untyped", ["x", "007"], Bound(("x", "007"), {})),
        ("called", ["A1"], Bound(("A1",), {})),
        ("post", ["007", "2"], Bound(("007", 2), {})),
        ("post", ["x=1", "2"], Bound(("x=1", 2), {})),
        ("post", [], Bound((), {})),
    ],
)
def test_words__are_typed_by_the_function_inside_where_that_cannot_go_wrong(
    shop: Any, name: str, words: list[str], bound: Bound
) -> None:
    assert bind(signature_of(shop.tasks[f"shop.{name}"]), words) == bound


@pytest.mark.parametrize(
    ("name", "words", "sentence"),
    [
        ("post", ["a", "two"], '"two" is not an integer, which "times" of shop takes.'),
        ("passed_on", ["x=two"], '"two" is not an integer, which "x" of shop takes.'),
        ("injected", ["A1", "count=many"], '"many" is not an integer, which "count" of shop takes.'),
        ("tenant", ["x=1"], "shop: missing a required argument: 'tenant'."),
        ("named_anew", ["a", "1", "2"], '"2" is one word too many: it is number 3.'),
    ],
)
def test_words__a_name_tells_the_parameter_and_celery_the_rest(
    shop: Any, name: str, words: list[str], sentence: str
) -> None:
    with pytest.raises(ArgumentError) as caught:
        bind(signature_of(shop.tasks[f"shop.{name}"]), words, task="shop")
    assert caught.value.sentence == sentence


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("injected", "(session, sku: str, count: int = 1)"),
        ("named_anew", "(sku: str, count: int = 1)"),
        ("tenant", "(tenant, *args, **kwargs)"),
        ("adds", "(day: datetime.date, note: str = '')"),
        ("retried", "(x: int, y: int = 2, *, factor: float = 1.0)"),
    ],
)
def test_shown__is_what_tells_most(shop: Any, name: str, text: str) -> None:
    assert describe(signature_of(shop.tasks[f"shop.{name}"]).shown) == text


@pytest.mark.parametrize(
    ("name", "cells", "bound"),
    [
        ("injected", {"sku": "007", "count": ""}, Bound((), {"sku": "007"})),
        ("passed_on", {"x": "3", "z": "a"}, Bound((), {"x": 3, "z": "a"})),
        ("tenant", {"tenant": "t1", "x": "3"}, Bound((), {"tenant": "t1", "x": 3})),
    ],
)
def test_cells__are_named_and_so_are_typed(shop: Any, name: str, cells: dict[str, str], bound: Bound) -> None:
    assert Checker(signature_of(shop.tasks[f"shop.{name}"]), "shop").cells(cells) == bound


def test_values__keep_their_types_where_they_do_not_fit_the_function_inside(shop: Any) -> None:
    checker = Checker(signature_of(shop.tasks["shop.later"]), "shop")
    assert checker.values(["2030-01-31"], {}) == Bound((date(2030, 1, 31),), {})
    assert checker.values(["soon"], {}) == Bound(("soon",), {})


@pytest.mark.parametrize(
    ("name", "args", "why"),
    [
        ("post", (), "missing a required argument: 'word'"),
        ("post", ("a",), ""),
        ("untyped", (), "missing a required argument: 'session'"),
        ("injected", (), ""),
        ("adds", (), ""),
        ("plain", (), "missing a required argument: 'x'"),
    ],
)
def test_misfit__is_known_where_nothing_stands_between(shop: Any, name: str, args: tuple[Any, ...], why: str) -> None:
    assert signature_of(shop.tasks[f"shop.{name}"]).misfit(args, {}) == why


def test_a_function_in_c_takes_anything() -> None:
    class Odd(Task):
        run = staticmethod(dict.update)

    assert bind(signature_of(Odd()), ["1", "a=2"]) == Bound((1,), {"a": 2})


@pytest.mark.parametrize("name", ["post", "injected", "adds"])
def test_enqueue_many__checks_as_celery_does(shop: Any, name: str) -> None:
    [batch] = enqueue_many(shop, [Call(task=f"shop.{name}", args=("A1",), options={"ignore_result": True})])
    assert len(batch.ids) == 1
