from __future__ import annotations

from typing import Any

import pytest
from celery import Celery

from tasktools.checks import imports
from tasktools.exceptions import ProjectError
from tests.checks.conftest import Market

SHARED = "from celery import shared_task\n\n@shared_task(name='report')\ndef {}(): ...\n"
HINT = 'give each its own name, as in @shared_task(name="...")'


def test_W051__fires_for_one_name_in_two_files(market: Market) -> None:
    market.write("market/tasks.py", SHARED.format("one"))
    assert market.found() == []
    market.write("market/other.py", "\n" + SHARED.format("two").replace("(name", "(autoretry_for=(ValueError,), name"))
    sentence = '2 functions are the task "report": market/other.py:5 and market/tasks.py:4. Celery keeps one of them.'
    assert market.found() == [("tasktools.W051", sentence, HINT)]


def test_W051__fires_for_one_name_twice_in_a_file(market: Market) -> None:
    second = "\n@shared_task(name='report')\ndef two(): ...\n"
    market.write("market/tasks.py", SHARED.format("one") + second)
    sentence = '2 functions are the task "report": market/tasks.py:4 and market/tasks.py:7. Celery keeps one of them.'
    assert market.found() == [("tasktools.W051", sentence, HINT)]


def test_W051__fires_for_a_function_that_is_defined_twice(market: Market) -> None:
    market.write("market/tasks.py", "from celery import shared_task\n" + 3 * "@shared_task\ndef report(): ...\n")
    assert [each[1] for each in market.found()] == [
        '3 functions are the task "market.tasks.report": market/tasks.py:3 and market/tasks.py:5 and market/tasks.py:7.'
        " Celery keeps one of them."
    ]


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("@shared_task", ""),
        ("", "@shared_task"),
        ("@shared_task", "@shared_task(name='other')"),
        ("@shared_task", "@shared_task(name=NAME)"),
        ("@shared_task", "@shared_task(**options)"),
        ("@shared_task", "@task"),
    ],
)
def test_W051__is_silent_where_one_of_two_is_another_task(market: Market, one: str, two: str) -> None:
    market.write(
        "market/tasks.py", f"from celery import shared_task\n{one}\ndef report(): ...\n{two}\ndef report(): ...\n"
    )
    assert market.found() == []


def test_W051__is_silent_where_the_code_chooses(market: Market) -> None:
    task = "    @shared_task\n    def report(): ...\n"
    text = f"from celery import shared_task\nif FAST:\n{task}else:\n{task}"
    market.write("market/tasks.py", text)
    assert market.found() == []


APP_TASK = "from bazaar.{} import app\n\n@app.task(name='report')\ndef {}(): ...\n"


@pytest.mark.parametrize("name", ["other", "zoo"])  # which is read before tasks.py, or after it
@pytest.mark.parametrize(("second", "fires"), [("first", True), ("second", False), ("", True)])
def test_W051__only_tasks_of_one_app_meet(market: Market, second: str, fires: bool, name: str) -> None:
    with Celery("other", broker="memory://", set_as_current=False) as other:
        market.write("bazaar/first.py", "")
        held: Any = market.write("bazaar/second.py", "")
        held.app = other
        market.write("market/tasks.py", APP_TASK.format("first", "one"))
        market.write(f"market/{name}.py", APP_TASK.format(second, "two") if second else SHARED.format("two"))
        assert [each[0] for each in market.found()] == ["tasktools.W051"] * fires


def test_W051__is_silent_for_a_file_that_is_not_imported(market: Market, settings: Any) -> None:
    settings.SILENCED_SYSTEM_CHECKS = ["tasktools.W052"]
    market.write("market/tasks.py", SHARED.format("one"))
    market.write("market/other.py", SHARED.format("two"), imported=False)
    assert market.found() == []


def test_W051__tasks_that_cannot_be_imported_are_reported_in_its_place(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    market.write("market/tasks.py", SHARED.format("one"))
    market.write("market/other.py", SHARED.format("two"))
    monkeypatch.setattr(imports.startup, "load_tasks", lambda found: [ProjectError("It is broken.", hint="fix it")])
    assert market.found() == [("tasktools.W002", "It is broken.", "fix it")]


@pytest.mark.parametrize("text", [SHARED.format("one") + "def two(): ...\n" * 2, SHARED.format("one")])
def test_W051__without_two_tasks_of_one_name_nothing_is_imported(
    market: Market, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(imports.startup, "load_tasks", lambda found: pytest.fail("the tasks are imported"))
    market.write("market/tasks.py", text)
    assert market.found() == []


def test_W051__a_file_with_names_of_its_own_is_not_parsed(market: Market, parsed: list[str]) -> None:
    market.write("market/tasks.py", SHARED.format("one"))
    assert market.found() == []
    assert parsed == []
    market.write("market/other.py", SHARED.format("one"))
    assert [each[0] for each in market.found()] == ["tasktools.W051"]
    assert sorted(parsed) == ["market.other", "market.tasks"]
