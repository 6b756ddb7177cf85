from __future__ import annotations

import sys
from textwrap import dedent, indent
from typing import Any

import pytest
from celery import Celery, Task

from tasktools.checks import transactions
from tests.checks.conftest import Market

HEAD = """\
import django.db
from django.db import transaction
from django.db.transaction import atomic, on_commit
from market import tasks
from market.models import Order
from market.tasks import loose, pay, slow

"""

TASKS = (
    "from celery import shared_task\n@shared_task\ndef pay(pk): ...\n@shared_task(base=Own)\ndef slow(pk): ...\n"
    "@shared_task(**options)\ndef loose(pk): ...\n"
)


def order(market: Market, body: str, *, decorator: str = "", head: str = HEAD) -> list[Any]:
    """Return the findings in a function whose body begins in line 10."""
    market.write("market/tasks.py", TASKS)
    market.write("market/views.py", f"{head}{decorator}\ndef order(x):\n{indent(dedent(body), '    ')}\n")
    return market.found()


def ids(found: list[Any]) -> list[str]:
    return [each[0] for each in found]


WHY = "a worker may start the task before the commit, and also after a rollback."


def test_W062__fires_inside_a_transaction(market: Market) -> None:
    body = "with transaction.atomic():\n    x.save()\n    pay.delay(x)"
    sentence = f"market/views.py:12 calls pay.delay() inside transaction.atomic(): {WHY}"
    assert order(market, body) == [("tasktools.W062", sentence, "pay.delay_on_commit(...)")]


def test_W062__apply_async_has_a_method_of_its_own(market: Market) -> None:
    body = "with transaction.atomic():\n    x.save()\n    tasks.pay.apply_async((x.pk,))"
    sentence = f"market/views.py:12 calls tasks.pay.apply_async() inside transaction.atomic(): {WHY}"
    assert order(market, body) == [("tasktools.W062", sentence, "tasks.pay.apply_async_on_commit(...)")]


def test_W062__the_hint_does_without_a_method_that_the_class_lacks(market: Market) -> None:
    market.app.task_cls = Task
    ((_, _, hint),) = order(market, "with atomic():\n    x.save()\n    pay.delay(x.pk)")
    assert hint == "transaction.on_commit(lambda: pay.delay(...))"


@pytest.mark.parametrize(
    "body",
    [
        "x.save()\npay.delay(1)",
        "x.save()\npay.apply_async(args=[x.pk], queue='q')",
        "Order.objects.create()\npay.delay(1)",
        "Order.objects.filter(pk=1).update(a=1)\npay.delay(1)",
        "Order.objects.all().delete()\npay.delay(1)",
        "Order.objects.bulk_create([])\npay.delay()",
        "Order.objects.bulk_update([])\npay.delay()",
        "x.orders.get_or_create()\npay.delay()",
        "x.orders.update_or_create()\npay.delay()",
        "if x:\n    x.save()\n    pay.delay(x.pk)",
        "x.save()\nwith x:\n    pay.delay(x.pk)",
    ],
)
@pytest.mark.parametrize(
    "block",
    [
        "transaction.atomic()",
        "atomic()",
        "django.db.transaction.atomic(savepoint=False)",
        "x, atomic()",
        "(\n    atomic(),\n)",
        "(\n    open(x) as file,  # (\n    atomic() as y,\n)",
    ],
)
def test_W062__fires(market: Market, body: str, block: str) -> None:
    assert ids(order(market, f"with {block}:\n{indent(body, '    ')}")) == ["tasktools.W062"]
    if block == "atomic()":
        assert order(market, body) == []


@pytest.mark.parametrize("decorator", ["@atomic", "@atomic()", "@transaction.atomic(durable=True)", "@other\n@atomic"])
def test_W062__fires_in_a_function_that_is_a_transaction(market: Market, decorator: str) -> None:
    assert ids(order(market, "x.save()\npay.delay(1)", decorator=decorator)) == ["tasktools.W062"]
    assert ids(order(market, "pay.delay(x.pk)", decorator=decorator)) == []


@pytest.mark.parametrize(
    "start",
    [
        "class Order:\n    @atomic\n    def x(self):\n        ",
        "def a():\n    async def x():\n      with atomic():\n        ",
        "if x:\n    @atomic\n    def x():\n        ",
        f"y = {' + '.join(900 * 'x')}\n@atomic\ndef x():\n    ",
        "try:\n    x = 1\nexcept x:\n    @atomic\n    def x():\n        ",
        "match x:\n    case 1:\n        @atomic\n        def x():\n            ",
    ],
)
def test_W062__fires_in_functions_inside_something_else(market: Market, start: str) -> None:
    market.write("market/tasks.py", TASKS)
    market.write("market/views.py", f"{HEAD}{start}x.save()\n{start.rpartition(chr(10))[2]}pay.delay(x.pk)\n")
    assert ids(market.found()) == ["tasktools.W062"]


@pytest.mark.parametrize(
    "body",
    [
        "pay.delay(1)",
        "pay.delay(x.pk)",
        "pay.delay(1)\nx.save()",
        "pay.delay(1); x.save()",
        "x.create()\npay.delay(1)",
        "x.update({})\npay.delay(1)",
        "cache.delete(x)\npay.delay(1)",
        "save()\npay.delay(1)",
        "x.saved()\npay.delay(1)",
        "x.objects.create\npay.delay(1)",
    ],
)
def test_W062__is_silent_if_nothing_is_written_before(market: Market, body: str) -> None:
    assert order(market, f"with transaction.atomic():\n{indent(body, '    ')}") == []


BRANCHES = [
    ("if x:\n    x.save()\nelse:\n    pay.delay(x.pk)", False),
    ("if x:\n    x.save()\nelif x.y:\n    if x:\n        pay.delay(x.pk)", False),
    ("if x.save():\n    pay.delay(x.pk)", True),
    ("if x:\n    x.save()\npay.delay(x.pk)", True),
    ("x.save()\nif x:\n    pass\nelse:\n    pay.delay(x.pk)", True),
    ("match x:\n    case 1:\n        x.save()\n    case 2:\n        pay.delay(x.pk)", False),
    ("match x:\n    case 1:\n        x.save()\n        pay.delay(x.pk)", True),
    ("match x.save():\n    case 1:\n        pay.delay(x.pk)", True),
    ("try:\n    x.save()\nexcept x:\n    pay.delay(x.pk)", False),
    ("try:\n    x.save()\nfinally:\n    pay.delay(x.pk)", False),
    ("try:\n    x()\nexcept x:\n    x.save()\nexcept y:\n    pay.delay(x.pk)", False),
    ("try:\n    x()\nexcept x:\n    x.save()\nelse:\n    pay.delay(x.pk)", False),
    ("try:\n    x.save()\nexcept x:\n    pass\nelse:\n    pay.delay(x.pk)", True),
    ("try:\n    x.save()\n    pay.delay(x.pk)\nexcept x:\n    pass", True),
    ("for y in x:\n    x.save()\nelse:\n    pay.delay(x.pk)", True),
]
if sys.version_info >= (3, 11):
    BRANCHES.append(("try:\n    x.save()\nexcept* x:\n    pay.delay(x.pk)", False))


@pytest.mark.parametrize(("body", "fires"), BRANCHES)
def test_W062__a_write_in_another_branch_does_not_count(market: Market, body: str, fires: bool) -> None:
    found = order(market, f"with atomic():\n{indent(body, '    ')}")
    assert ids(found) == (["tasktools.W062"] if fires else [])


@pytest.mark.parametrize(
    "body",
    [
        "pay.delay_on_commit(x.pk)\nx.delay(1)",
        "return pay.delay(x.pk)",
        "x.task = pay.delay(x.pk).id",
        "on_commit(lambda: pay.delay(x.pk))",
        "transaction.on_commit(lambda: pay.delay(x.pk))",
        "pay.delay_on_commit(x.pk)",
        "pay.apply_async((x.pk,), countdown=3)",
        "pay.apply_async((x.pk,), eta=x)",
        "pay.apply_async((x.pk,), **x)",
        "pay.s(x.pk)",
        "pay(x.pk)",
        "x.delay(x.pk)",
        "nothing.delay(x.pk)",
        "Order.delay(x.pk)",
        "tasks.nothing.delay(x.pk)",
        "slow.delay(x.pk)",
        "loose.delay(x.pk)",
        "delay(x.pk)",
        "def later():\n    pay.delay(x.pk)\nx(later)",
    ],
)
def test_W062__is_silent(market: Market, body: str) -> None:
    body = f"x.save()\n{body}"
    assert order(market, f"with transaction.atomic():\n{indent(body, '    ')}") == []


@pytest.mark.parametrize(
    "body",
    [
        "with transaction.atomic():\n    x.save()\npay.delay(x.pk)",
        "x.save()\nwith transaction.atomic():\n    pay.delay(1)",
        "with transaction.atomic(using='other'):\n    x.save()\n    pay.delay(x.pk)",
        "with transaction.atomic('other'):\n    x.save()\n    pay.delay(x.pk)",
        "with transaction.atomic(**x):\n    x.save()\n    pay.delay(x.pk)",
        "with x(Order.objects.create()), transaction.atomic():\n    pay.delay(x.pk)",
        "with (\n    x(Order.objects.create()),\n    atomic(),\n):\n    pay.delay(x.pk)",
        "with other.atomic():\n    x.save()\n    pay.delay(x.pk)",
        "with x:\n    x.save()\n    pay.delay(x.pk)  # atomic",
        "pay = x\nwith transaction.atomic():\n    x.save()\n    pay.delay(x.pk)",
    ],
)
def test_W062__is_silent_outside(market: Market, body: str) -> None:
    assert order(market, body) == []


@pytest.mark.parametrize("decorator", ["@other", "@atomic('other')", "@atomic(using='other')", "@other.atomic"])
def test_W062__is_silent_in_functions_that_are_no_transaction(market: Market, decorator: str) -> None:
    assert order(market, "with x:  # atomic\n    x.save()\n    pay.delay(x.pk)", decorator=decorator) == []


@pytest.mark.parametrize("method", ["delay", "apply_async"])
def test_W062__is_silent_for_a_class_that_may_wait_for_the_commit(market: Market, method: str) -> None:
    market.app.task_cls = type("Own", (Task,), {method: lambda self, *args, **kwargs: None, "abstract": True})
    assert order(market, "with atomic():\n    x.save()\n    pay.delay(x.pk)") == []


def test_W062__the_class_is_that_of_the_app_of_the_task(market: Market) -> None:
    kind = type("Own", (Task,), {"delay": lambda self, *args, **kwargs: None, "abstract": True})
    with Celery("other", broker="memory://", set_as_current=False, task_cls=kind) as other:
        module: Any = market.write("bazaar/other.py", "")
        module.app = other
        market.write("market/deep.py", "from bazaar.other import app\n@app.task\ndef pay(pk): ...\n")
        assert (
            order(
                market,
                "with atomic():\n    x.save()\n    pay.delay(x.pk)",
                head=HEAD.replace("market.tasks import loose, pay", "market.deep import pay"),
            )
            == []
        )


def test_W062__without_a_word_of_atomic_nothing_is_parsed(market: Market, parsed: list[str]) -> None:
    assert order(market, "pay.delay(x.pk)", head="from market.tasks import pay\n") == []
    assert parsed == []
    assert ids(order(market, "with atomic():\n    x.save()\n    pay.delay(x.pk)")) == ["tasktools.W062"]
    assert sorted(parsed) == ["market.tasks", "market.views"]


def test_W062__a_function_that_sends_nothing_is_not_read(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    original = transactions.inside
    monkeypatch.setattr(transactions, "inside", lambda body: read.append(body[0].lineno) or original(body))
    other = "def other():\n    x.save()\n"
    assert order(market, f"{other}def send():\n    pay.delay(x.pk)\n{other}", decorator="@atomic") == []
    assert read == [10, 13]
