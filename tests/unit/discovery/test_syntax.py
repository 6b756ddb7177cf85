"""What reading alone is sure of: the names of a file, and the task that one of them stands for."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from celery import Celery

from tasktools.discovery.sources import File
from tasktools.discovery.syntax import Module, Reader, parsed

TASK = "from celery import shared_task\n@shared_task\ndef add(): ...\n"


HEAD = "import celery\nfrom celery import shared_task\nfrom shop_of_this_test import app, other\n"


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A module with a Celery app, and something that is none."""
    made: Any = ModuleType("shop_of_this_test")
    monkeypatch.setitem(sys.modules, made.__name__, made)
    made.other = object()
    with Celery("shop", set_as_current=False) as made.app:
        yield made


def module(folder: Path, text: str, name: str = "shop.tasks") -> Module:
    path = folder / f"{name.rpartition('.')[2]}.py"
    path.write_text(f"{text}\n# add.delay(\n")  # a file that sends nothing is not parsed
    made = parsed(File(name, path, True))
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("import a", {"a": "a"}),
        ("import a.b", {"a": "a"}),
        ("import a.b as c", {"c": "a.b"}),
        ("from a.b import c", {"c": "a.b.c"}),
        ("from a import b as c", {"c": "a.b"}),
        ("from . import a", {"a": "shop.a"}),
        ("from .a import b", {"b": "shop.a.b"}),
        ("from ..a import b", {"b": "a.b"}),
        ("import a\nimport a.b", {"a": "a"}),
        ("import a\nfrom b import a", {"a": ""}),
        ("import a\na = 1", {"a": ""}),
        ("a = 1\nimport a", {"a": ""}),
        ("a = 1\na = 2\nimport a", {"a": ""}),
        ("a = 1", {"a": "shop.tasks.a"}),
        ("def a(): ...", {"a": "shop.tasks.a"}),
        ("a = 1\ndef a(): ...", {"a": ""}),
        ("a()\nb.c = d", {}),
        ("import a\nfrom b import *", {}),
    ],
)
def test_names__what_each_stands_for(tmp_path: Path, text: str, names: dict[str, str]) -> None:
    assert module(tmp_path, text).names == names


def test_names__of_a_package_are_relative_to_itself(tmp_path: Path) -> None:
    (tmp_path / "__init__.py").write_text("from .a import b\nfrom ..c import d\n# add.delay(\n")
    made = parsed(File("site.shop", tmp_path / "__init__.py", True))
    assert made is not None
    assert made.names == {"b": "site.shop.a.b", "d": "site.c.d"}


@pytest.mark.parametrize(
    ("expression", "origin"), [("a", "x.a"), ("a.b.c", "x.a.b.c"), ("c", ""), ("c.b", ""), ("a().b", ""), ("1", "")]
)
def test_origin__of_an_expression(tmp_path: Path, expression: str, origin: str) -> None:
    node = ast.parse(expression, mode="eval").body
    assert module(tmp_path, "from x import a").origin(node) == origin


@pytest.mark.parametrize(("hops", "is_known"), [(0, True), (4, True), (5, False)])
def test_task__through_modules_that_import_it(tmp_path: Path, hops: int, is_known: bool) -> None:
    texts = [TASK, *(f"from shop.m{each} import add\n" for each in range(hops))]
    made = [module(tmp_path, text, f"shop.m{each}") for each, text in enumerate(texts)]
    found = Reader([each.file for each in made]).task(f"shop.m{hops}.add")
    assert (found is not None) is is_known
    if found:
        assert (found[0].file.module, found[1].function.name) == ("shop.m0", "add")


@pytest.mark.parametrize("origin", ["", "add", "shop.m0.other", "shop.nowhere.add", "shop.m0.shared_task"])
def test_task__of_what_is_none(tmp_path: Path, origin: str) -> None:
    assert Reader([module(tmp_path, TASK, "shop.m0").file]).task(origin) is None


@pytest.mark.parametrize(
    ("decorator", "given", "options"),
    [
        ("shared_task", "", set()),
        ("shared_task()", "", set()),
        ("celery.shared_task(bind=True)", "", {"bind"}),
        ("celery.app.shared_task", "", set()),
        ("app.task", "", set()),
        ("app.task(name='a', base=Own)", "a", {"name", "base"}),
        ("shared_task(name=NAME)", None, {"name"}),
        ("shared_task(name=5)", None, {"name"}),
        ("shared_task(bind=True, **options)", None, {"bind", "**"}),
    ],
)
def test_tasks__what_their_decorators_say(
    tmp_path: Path, shop: ModuleType, decorator: str, given: str | None, options: set[str]
) -> None:
    (task,) = module(tmp_path, f"{HEAD}@{decorator}\nasync def add(): ...").tasks
    assert (task.function.name, task.given, task.options) == ("add", given, options)
    assert task.app is (shop.app if decorator.startswith("app") else None)


@pytest.mark.parametrize("decorator", ["app", "app.other", "other.task", "task", "nothing.task", "app.task.task"])
def test_tasks__what_is_none(tmp_path: Path, shop: ModuleType, decorator: str) -> None:
    assert module(tmp_path, f"{HEAD}@{decorator}\ndef add(): ...").tasks == []
