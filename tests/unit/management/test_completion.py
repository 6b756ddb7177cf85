from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery

from tasktools.management.completion import Line, answer, completed_by, listed, one_of
from tasktools.registry.candidates import keywords, queue_names, task_names


def one() -> None:
    pass


@pytest.fixture
def odd() -> Iterator[Any]:
    """An app with two tasks of one last name, and a name that a shell would have to quote."""
    app = Celery("odd", broker="memory://", set_as_current=False)
    for name in ("a.send", "b.send", "a.once", "a.$(touch ran)", "two words", "=ls"):
        app.task(one, name=name, shared=False)
    app.conf.task_queues = None
    app.conf.task_routes = {"a.once": "slow", "b.send": "=ls"}
    yield app
    app.close()


def complete(app: Any, *words: str) -> list[str]:
    return answer(words, lambda name: app)


def test_task_names__full_ones_and_short_ones(odd: Any) -> None:
    names = task_names(odd)
    assert {"a.send", "b.send", "a.once", "once"} <= names
    assert "send" not in names


def test_queue_names__of_the_settings_and_the_routes(odd: Any) -> None:
    assert queue_names(odd) == {"celery", "slow", "=ls"}


@pytest.mark.parametrize(
    ("name", "words", "prefix", "expected"),
    [
        ("site.tasks.total", [], "", ["x=", "y=", "factor="]),
        ("site.tasks.total", ["y=1", "3"], "", ["x=", "factor="]),
        ("site.tasks.total", [], "x=", []),
        ("typed", [], "flag=", ["flag=true", "flag=false"]),
        ("typed", [], "colour=", ["colour=RED", "colour=BLUE"]),
        ("typed", [], "size=", ["size=S", "size=L", "size=3"]),
        ("gather", [], "", []),
        ("bound", [], "", ["word="]),
        ("nosuch", [], "", []),
    ],
)
def test_keywords__of_the_task_that_is_named(
    app: Any, name: str, words: list[str], prefix: str, expected: list[str]
) -> None:
    assert list(keywords(app, name, words, prefix)) == expected


def test_answer__the_commands_first(app: Any) -> None:
    assert complete(app, "showt") == ["showtasks"]
    assert complete(app, "help", "enq") == ["enqueue"]
    assert {"enqueue", "migrate", "help"} <= set(complete(app))
    assert complete(app, "nosuch", "") == []


def test_answer__leaves_out_what_a_shell_would_have_to_quote(odd: Any) -> None:
    assert "two words" in task_names(odd)
    assert "a.once" in complete(odd, "enqueue", "")
    assert [word for word in complete(odd, "enqueue", "") if set(word) & set(" $(`")] == []


@pytest.mark.parametrize("words", [["enqueue", ""], ["enqueue", "--queue", ""], ["enqueue", "--queue="]])
def test_answer__leaves_out_what_zsh_replaces_by_the_path_of_a_program(odd: Any, words: list[str]) -> None:
    found = complete(odd, *words)
    assert found
    assert [word for word in found if word.startswith("=") or "==" in word] == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["enqueue", "--wai"], ["--wait"]),
        (["enqueue", "bound", "--wait", ""], ["word="]),
        (["enqueue", "--wait", "boun"], ["bound"]),
        (["enqueue", "--queue", "boun", "boun"], ["bound"]),
        (["enqueue", "--queue=boun", "boun"], ["bound"]),
        (["enqueue", "--queue", "sl"], ["slow"]),
        (["enqueue", "--queue=sl"], ["--queue=slow"]),
        (["enqueue", "tasks.total", "-1", "fac"], ["factor="]),
        (["enqueue", "bound", "--", "w"], ["word="]),
        (["enqueue", "bound", "--", "--wai"], []),
        (["enqueue", "bound", "--countdown", ""], []),
        (["enqueue", "--nosuch=1", "boun"], ["bound"]),
        (["enqueue", "--nosuch="], []),
        (["showtasks", "boun"], ["bound"]),
        (["showtasks", "bound", ""], []),
        (["runworker", "-Q", "celery,s"], ["celery,slow"]),
        (["runworker", "-Q", "slow,s"], []),
        (["runworker", "-X", "sl"], ["slow"]),
        (["runworker", "-P", "pre"], ["prefork"]),
        (["runworker", "-l", "IN"], ["INFO"]),
        (["runworker", "-l", "in"], ["info"]),
        (["runbeat", "--max-i"], ["--max-interval"]),
        (["celery", "inspec"], ["inspect"]),
        (["celery", "worker", "--pool", "pre"], ["prefork"]),
        (["completion", "f"], ["fish"]),
        (["dumpdata", "tests"], ["tests_site"]),
    ],
)
def test_answer__by_the_parser_of_the_command(app: Any, words: list[str], expected: list[str]) -> None:
    assert complete(app, *words) == expected


def test_answer__hides_what_the_help_hides(app: Any) -> None:
    assert "--purge" in complete(app, "runworker", "--")
    assert "--no-discard" not in complete(app, "runworker", "--no")


def test_app__is_the_one_that_is_named(app: Any) -> None:
    asked: list[str | None] = []

    def find(name: str | None) -> Any:
        asked.append(name)
        return app

    answer(["enqueue", "-A", "proj:app", ""], find)
    answer(["enqueue", "--app=proj:app", ""], find)
    answer(["enqueue", ""], find)
    answer(["enqueue", "--"], find)
    assert asked == ["proj:app", "proj:app", None]


def test_completers__are_held_by_the_action() -> None:
    action = completed_by(argparse.ArgumentParser().add_argument("colour"), listed(one_of(["red", "BLUE"])))
    completer: Any = action.completer  # type: ignore[attr-defined]
    assert list(completer(Line(prefix="", find_app=lambda name: None))) == ["red", "BLUE"]
    assert list(completer(Line(prefix="red,", find_app=lambda name: None))) == ["red,BLUE"]
