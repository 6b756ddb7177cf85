from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from django.db.transaction import non_atomic_requests
from django.urls import clear_url_caches, include, path
from django.views import View

from tasktools.discovery import syntax
from tests.checks.conftest import Market

HEAD = "from django.db import transaction\nfrom market.tasks import pay\n\n"
TASKS = "from celery import shared_task\n@shared_task\ndef pay(pk): ...\n"
VIEW = "def order(request):\n    new = form.save()\n    pay.delay(new.pk)\n"


def order(request: Any) -> Any: ...


class Base(View):
    def get(self, request: Any) -> Any: ...


class Order(Base): ...


for _each in (order, Base, Order):
    _each.__module__ = "market.views"


@pytest.fixture
def urls(market: Market, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Set the views of the site, each of which is in a transaction."""
    monkeypatch.setitem(settings.DATABASES["default"], "ATOMIC_REQUESTS", True)
    module: Any = ModuleType("bazaar.urls")
    monkeypatch.setitem(sys.modules, "bazaar.urls", module)
    market.write("market/tasks.py", TASKS)

    def put(*views: Any) -> None:
        module.urlpatterns = [path("", include([path("deep/", each)])) for each in views]
        settings.ROOT_URLCONF = "bazaar.urls"
        clear_url_caches()

    put(order)
    yield put
    clear_url_caches()


def ids(market: Market, text: str) -> list[str | None]:
    market.write("market/views.py", HEAD + text)
    return [each[0] for each in market.found()]


def test_W063__fires_for_a_view_that_sends_what_it_has_saved(market: Market, urls: Any) -> None:
    market.write("market/views.py", HEAD + VIEW)
    sentence = (
        "market/views.py:6 calls pay.delay() in a view, with ATOMIC_REQUESTS on: "
        "a worker may start the task before the commit, and also after a rollback."
    )
    assert market.found() == [("tasktools.W063", sentence, "pay.delay_on_commit(...)")]


@pytest.mark.parametrize(
    "body",
    [
        "new = Order.objects.create()\n    pay.delay(new.id)",
        "new, made = Order.objects.get_or_create(), 1\n    new.save()\n    pay.delay(new.pk)",
        "new.save()\n    pay.apply_async((str(new.pk),))",
        "self.new = form.save()\n    if self:\n        pay.delay(key=self.new.pk)",
    ],
)
def test_W063__fires(market: Market, urls: Any, body: str) -> None:
    assert ids(market, f"def order(request):\n    {body}\n") == ["tasktools.W063"]


@pytest.mark.parametrize(
    "body",
    [
        "new = Order.objects.get()\n    pay.delay(new.pk)",
        "pay.delay(new.pk)\n    new.save()",
        "pay.delay(new.pk); new.save()",
        "new.save()\n    pay.delay(other.pk)",
        "new.save()\n    pay.delay(new.key)",
        "new.save\n    pay.delay(new.pk)",
        "new.create()\n    pay.delay(new.pk)",
        "pay.delay(1)",
        "new.save()\n    later(lambda: pay.delay(new.pk))",
        "new.save()\n    pay.delay_on_commit(new.pk)",
        "new.save()\n    other.delay(new.pk)",
    ],
)
def test_W063__is_silent(market: Market, urls: Any, body: str) -> None:
    assert ids(market, f"def order(request):\n    {body}\n") == []


def test_W063__leaves_a_block_to_W062(market: Market, urls: Any) -> None:
    body = "with transaction.atomic():\n        new.save()\n        pay.delay(new.pk)"
    assert ids(market, f"def order(request):\n    {body}\n") == ["tasktools.W062"]
    body = "new.save()\n    with transaction.atomic():\n        pay.delay(new.pk)"
    assert ids(market, f"def order(request):\n    {body}\n") == ["tasktools.W063"]
    body = "new.save()\n    with open(x):\n        pay.delay(new.pk)"
    assert ids(market, f"def order(request):\n    {body}\n") == ["tasktools.W063"]


def wrapped(view: Callable[..., Any]) -> Any:
    return functools.wraps(view)(lambda request: view(request))


@pytest.mark.parametrize(
    ("view", "fires"), [(order, True), (wrapped(order), True), (non_atomic_requests(wrapped(order)), False)]
)
def test_W063__only_views_in_a_transaction(market: Market, urls: Any, view: Any, fires: bool) -> None:
    urls(view)
    assert ids(market, VIEW) == ["tasktools.W063"] * fires


METHOD = "class {}:\n    def post(self, request):\n        new.save()\n        pay.delay(new.pk)\n"


@pytest.mark.parametrize(("name", "fires"), [("Order", True), ("Base", True), ("Other", False)])
@pytest.mark.parametrize("attribute", ["view_class", "cls"])
def test_W063__fires_in_the_classes_of_a_view(
    market: Market, urls: Any, attribute: str, name: str, fires: bool
) -> None:
    def view(request: Any) -> Any: ...

    setattr(view, attribute, Order)
    urls(view)
    assert ids(market, METHOD.format(name)) == ["tasktools.W063"] * fires


IN_A_CLASS = "class Order:\n    def order(request): ...\ndef get(request):\n    new.save()\n    pay.delay(new.pk)\n"


@pytest.mark.parametrize("text", [VIEW.replace("order", "other"), VIEW.replace("def", "async def"), IN_A_CLASS])
def test_W063__is_silent_for_other_functions(market: Market, urls: Any, text: str) -> None:
    assert ids(market, text) == []


def test_W063__fires_in_a_view_that_a_function_makes(market: Market, urls: Any) -> None:
    def inner(request: Any) -> Any: ...

    inner.__module__, inner.__qualname__ = "market.views", "make.<locals>.inner"
    urls(inner)
    text = "def make():\n    def inner(request):\n        new.save()\n        pay.delay(new.pk)\n"
    assert ids(market, text) == ["tasktools.W063"]
    inner.__qualname__ = "make.inner"
    assert ids(market, text) == []


def test_W063__is_silent_in_another_module(market: Market, urls: Any) -> None:
    market.write("market/other.py", HEAD + VIEW)
    assert market.found() == []


def test_W063__is_silent_without_the_setting(market: Market, urls: Any, settings: Any) -> None:
    settings.DATABASES["default"]["ATOMIC_REQUESTS"] = False
    assert ids(market, VIEW) == []


def test_W063__silenced_it_imports_no_urlconf(
    market: Market, urls: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SILENCED_SYSTEM_CHECKS = ["tasktools.W063"]
    asked: list[int] = []
    monkeypatch.setattr("django.urls.get_resolver", lambda: asked.append(1))
    assert ids(market, VIEW) == []
    settings.DATABASES["default"]["ATOMIC_REQUESTS"], settings.SILENCED_SYSTEM_CHECKS = False, []
    assert ids(market, VIEW) == []
    assert asked == []


def test_W063__is_silent_for_a_urlconf_that_cannot_be_imported(market: Market, urls: Any, settings: Any) -> None:
    """Django reports it."""
    settings.ROOT_URLCONF = "bazaar.nowhere"
    clear_url_caches()
    assert ids(market, VIEW) == []


def test_W063__a_file_that_sends_nothing_is_not_parsed(
    market: Market, urls: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[str] = []
    monkeypatch.setattr(syntax, "parsed", lambda file: parsed.append(file.module.partition(".")[0]))
    assert ids(market, "def order(request):\n    new.save()\n") == []
    assert "market" not in parsed  # the demo site has a view that sends a task
    assert ids(market, VIEW) == []
    assert "market" in parsed


def test_W063__is_silent_if_the_object_is_saved_in_another_branch(market: Market, urls: Any) -> None:
    branches = "def order(request):\n    if x:\n        x.save()\n    {}:\n        pay.delay(x.pk)\n"
    assert ids(market, branches.format("else")) == []
    assert ids(market, branches.format("if y")) == ["tasktools.W063"]
