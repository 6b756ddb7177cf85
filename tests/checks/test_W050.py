from __future__ import annotations

import sys

import pytest

from tests.checks.conftest import Market

TASK = "from celery import shared_task\n\n@shared_task\ndef rebuild(): ...\n\n@shared_task\ndef other(): ...\n"


@pytest.mark.parametrize("other", ["bazaar.market.tasks", "tasks", "zzz.tasks", "a.tasks"])
def test_W050__fires_for_a_file_with_two_names(market: Market, other: str) -> None:
    """The name that is right is that of the installed app, whichever is shorter."""
    market.write("market/tasks.py", TASK, name=other)
    assert market.found() == []
    market.write("market/tasks.py", TASK)
    sentence = (
        f'market/tasks.py is imported as "market.tasks" and as "{other}":'
        ' its task "rebuild" is registered under each name.'
    )
    assert market.found() == [("tasktools.W050", sentence, f"import market.tasks everywhere, and {other} nowhere")]


def test_W050__of_other_names_the_shortest_is_right(market: Market) -> None:
    for name in ("bazaar.market.deep.tasks", "market.deep.tasks", "parket.deep.tasks"):
        market.write("market/deep/tasks.py", TASK, name=name)
    (message,) = market.found()
    assert message[1].startswith(
        'market/deep/tasks.py is imported as "market.deep.tasks" and as "parket.deep.tasks" and as "bazaar.market.deep.tasks": '
    )
    assert message[2] == "import market.deep.tasks everywhere, and parket.deep.tasks nowhere"


@pytest.mark.parametrize(
    "text",
    [
        'from celery import shared_task\n\n@shared_task(name="rebuild")\ndef rebuild(): ...\n',
        "from celery import shared_task\n\n@shared_task(**options)\ndef rebuild(): ...\n",
        "def rebuild(): ...\n",
        "from invoke import task\n@task\ndef rebuild(): ...\n",
    ],
)
def test_W050__is_silent_where_no_task_has_two_names(market: Market, text: str) -> None:
    for name in ("market.tasks", "bazaar.market.tasks"):
        market.write("market/tasks.py", text, name=name)
    assert market.found() == []


def test_W050__is_silent_for_two_names_of_one_module(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bazaar.market.tasks", market.write("market/tasks.py", TASK))
    assert market.found() == []


def test_W050__is_silent_for_what_python_runs(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    """Celery gives the tasks of such a module the name of the app."""
    market.write("market/tasks.py", TASK)
    monkeypatch.setitem(sys.modules, "__main__", market.write("market/tasks.py", TASK, imported=False))
    assert market.found() == []
