from __future__ import annotations

from textwrap import indent

import pytest

from tests.checks.conftest import Market

HEAD = """\
import celery.result
from celery import chain, chord, group, shared_task
from celery.result import AsyncResult, GroupResult, allow_join_result

from market import deep
from market.deep import far, again
from . import deep as near

@shared_task
def add(x, y): ...

"""

DEEP = (
    "from celery import shared_task\nfrom market.deeper import again\n@shared_task\ndef far(): ...\ndef plain(): ...\n"
)
DEEPER = "from celery import shared_task\n@shared_task\ndef again(): ...\n"


def total(
    market: Market, body: str, *, decorator: str = "@shared_task", head: str = HEAD
) -> list[tuple[str | None, str, str | None]]:
    """Return the findings in a task `total`, the body of which is in line 14 and below."""
    market.write("market/deeper.py", DEEPER)
    market.write("market/deep.py", DEEP)
    market.write("market/tasks.py", f"{head}{decorator}\ndef total(self, x=None):\n{indent(body, '    ')}\n")
    return market.found()


def test_W061__fires_for_a_result_that_is_waited_for(market: Market) -> None:
    sentence = (
        'The task "total" waits for the result of a task (market/tasks.py:15, .get()): '
        "Celery refuses that, or the worker waits for itself."
    )
    hint = "send what comes next as a chain or a chord: chain(first.s(...), then.s()).delay()"
    assert total(market, "x += 1\nreturn add.delay(1, 2).get()") == [("tasktools.W061", sentence, hint)]


@pytest.mark.parametrize(
    "body",
    [
        "add.delay(1, 2).get(timeout=3)",
        "add.delay(1, 2).wait()",
        "add.apply_async((1, 2)).get()",
        "far.delay().get()",
        "again.delay().get()",
        "deep.far.delay().get()",
        "deep.again.delay().get()",
        "near.far.delay().get()",
        "add.s(1, 2).delay().get()",
        "add.si(1, 2).apply_async().get()",
        "add.signature((1, 2)).delay().get()",
        "add.subtask((1, 2)).delay().get()",
        "group(add.s(1, x) for x in range(3))().join()",
        "group([add.s(1, 2)]).delay().get()",
        "chain(add.s(1, 2), add.s(3))().get()",
        "chord([add.s(1, 2)])(add.s()).get()",
        "celery.group([])().get()",
        "AsyncResult(x).get()",
        "GroupResult(x).join()",
        "celery.result.ResultSet([]).join()",
        "result = add.delay(1, 2)\nreturn result.get()",
        "result = add.delay(1, 2)\nif result.ready():\n    return [result.get()]",
        "with open(x) as file:\n    add.delay(1, 2).get()",
        "add.delay(\n    1, 2\n).wait()",
        "group([\n    add.s(1, 2)\n])().join()",
        "result = group(\n    [add.s(1, 2)]\n)()\nresult.join()",
    ],
)
def test_W061__fires(market: Market, body: str) -> None:
    assert [each[0] for each in total(market, body)] == ["tasktools.W061"]


@pytest.mark.parametrize(
    "body",
    [
        "requests.get(x).get()",
        "x.get()",
        "{}.get(1)",
        "', '.join(x)",
        "x.delay(1).get()",
        "deep.plain.delay().get()",
        "deep.nothing.delay().get()",
        "nothing.delay().get()",
        "deep.deep.far.delay().get()",
        "add.other(1, 2).get()",
        "add.other(1, 2).delay().get()",
        "add(1, 2).get()",
        "add.s(1, 2)().get('x')",
        "value = add.s(1, 2)()\nvalue.get('x')",
        "add.signature((1, 2))().get('x')",
        "add.apply((1, 2)).get()",
        "add.delay(1, 2).ready()",
        "add.delay(1, 2).state.get()",
        "group(add.s(1, 2)).get()",
        "mine.group([])().get()",
        "from mine import group as g\ng([])().get()",
        "add.s(1, 2).get('task')",
        "deep.plain.s()().get()",
        "x.s()().get()",
        "add.delay(1, 2).get(disable_sync_subtasks=False)",
        "add.delay(1, 2).get(**x)",
        "with allow_join_result():\n    add.delay(1, 2).get()",
        "with celery.result.allow_join_result():\n    for _ in x:\n        add.delay(1, 2).get()",
        "result = add.delay(1, 2)\nresult = x\nresult.get()",
        "result = add.delay(1, 2)\nfor result in x:\n    result.get()",
        "result = x\nresult.get()",
        "result, x = add.delay(1, 2), {}\nresult.get()",
        "def later():\n    add.delay(1, 2).get()\nreturn later",
        "return lambda: add.delay(1, 2).get()",
        "class Later:\n    value = add.delay(1, 2).get()",
        "return (add.delay(1, each).get() for each in x)",
        "add = x\nadd.delay(1, 2).get()",
        "from elsewhere import add\nadd.delay(1, 2).get()",
    ],
)
def test_W061__is_silent(market: Market, body: str) -> None:
    assert total(market, body) == []
    later = "x = lambda: far.delay().get()"  # which waits when it is called, and has the file parsed
    assert total(market, f"{body}\n{later}") == []


@pytest.mark.parametrize(
    "decorator", ["", "@task", "@app.job", "@allow_join_result()\n@shared_task", "@shared_task\n@allow_join_result()"]
)
def test_W061__is_silent_for_other_functions(market: Market, decorator: str) -> None:
    assert total(market, "add.delay(1, 2).get()", decorator=decorator) == []


@pytest.mark.parametrize(
    "decorator", ["@shared_task(bind=True)", "@celery.shared_task", "@other\n@shared_task", "@shared_task()\n@other"]
)
def test_W061__fires_for_every_form_of_the_decorator(market: Market, decorator: str) -> None:
    assert [each[0] for each in total(market, "add.delay(1, 2).get()", decorator=decorator)] == ["tasktools.W061"]


def test_W061__reads_a_deep_expression(market: Market) -> None:
    deep = " + ".join(900 * "x")
    assert [each[0] for each in total(market, f"x = {deep}\nadd.delay(1, 2).get()")] == ["tasktools.W061"]


def test_W061__fires_for_a_task_of_an_app(market: Market) -> None:
    market.write("bazaar/celery.py", "")
    head = "from bazaar.celery import app\n@app.task\ndef add(): ...\n"
    assert [each[0] for each in total(market, "add.delay().get()", decorator="@app.task", head=head)] == [
        "tasktools.W061"
    ]
    head = head.replace("bazaar.celery", "bazaar.nowhere")
    assert total(market, "add.delay().get()", decorator="@app.task", head=head) == []


@pytest.mark.parametrize(
    "head",
    [
        HEAD.replace("import chain, chord", "import chain, shared_task as add, chord"),
        HEAD + "class Shop:\n    def add(self): ...\n",
        HEAD + "try: ...\nexcept ValueError as add: ...\n",
        HEAD + "for add in (): ...\n",
        HEAD + "match x:\n    case [*add]: ...\n",
        HEAD + "match x:\n    case {**add}: ...\n",
        HEAD + "match x:\n    case add: ...\n",
        HEAD + "add = print\n",
        HEAD + "del add\n",
        HEAD + "add: int = 3\n",
        HEAD + "from market.deep import *\n",
        HEAD.replace("from celery import", "from huey import"),
        HEAD.replace("from celery import", "from .celery import"),
    ],
)
def test_W061__is_silent_where_a_name_may_stand_for_something_else(market: Market, head: str) -> None:
    assert total(market, "add.delay(1, 2).get()", head=head) == []


def test_W061__a_name_that_is_imported_several_times_is_known(market: Market) -> None:
    head = HEAD + "def other():\n    from market.deep import far\n"
    assert [each[0] for each in total(market, "from market.deep import far\nfar.delay().get()", head=head)] == [
        "tasktools.W061"
    ]


def test_W061__is_silent_for_modules_that_import_from_each_other(market: Market) -> None:
    market.write("market/one.py", "from market.two import lost\n")
    market.write("market/two.py", "from market.one import lost\n")
    assert total(market, "from market.one import lost\nlost.delay().get()") == []
