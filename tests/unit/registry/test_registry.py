from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, Task

from tasktools.registry.registry import TaskInfo, function_of, names, shell_imports, tasks
from tests.site import tasks as site_tasks
from tests.support import REPOSITORY


@pytest.fixture
def shop() -> Iterator[Any]:
    """An app that is gone after the test: Celery remembers every app that lives."""
    app = Celery("shop", broker="memory://", set_as_current=False)
    yield app
    app.close()


def info(app: Any, name: str) -> TaskInfo:
    (found,) = [each for each in tasks(app) if each.name == name]
    return found


def test_names__without_celery_s_own(app: Any) -> None:
    found = names(app)
    assert {"tests.site.tasks.total", "elsewhere.total", "project.demo.tasks.add"} <= found
    assert not [name for name in found if name.startswith("celery.")]


def test_names__with_celery_s_own(app: Any) -> None:
    assert names(app, builtin=True) - names(app) >= {"celery.chord", "celery.backend_cleanup"}


def test_tasks__what_one_is(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    line = inspect.getsourcelines(site_tasks.total.run)[1]
    assert info(app, "tests.site.tasks.total") == TaskInfo(
        name="tests.site.tasks.total",
        short_name="tasks.total",
        signature="(x: int, y: int = 2, *, factor: float = 1.0)",
        queue="celery",
        defined_in=f"tests/site/tasks.py:{line}",
        doc="Add and multiply.",
    )


def test_tasks__a_bound_one_shows_no_self_and_its_route(app: Any) -> None:
    found = info(app, "tests.site.tasks.bound")
    assert (found.signature, found.queue, found.short_name) == ("(word: str)", "slow", "bound")
    assert found.doc == "Say which task this is."


def test_tasks__without_a_docstring(app: Any) -> None:
    assert info(app, "tests.site.tasks.ignored").doc == ""


def test_tasks__from_elsewhere_the_path_is_absolute(app: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    path, _, line = info(app, "tests.site.tasks.total").defined_in.rpartition(":")
    assert Path(path) == REPOSITORY / "tests" / "site" / "tasks.py"
    assert line.isdigit()


def test_tasks__a_retrying_one_shows_the_function_that_was_written(app: Any) -> None:
    assert info(app, "project.demo.tasks.fragile").signature == "(failures: int = 2)"


def test_tasks__by_name(app: Any) -> None:
    found = [each.name for each in tasks(app)]
    assert found == sorted(names(app))


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("total", ["elsewhere.total", "tests.site.tasks.total"]),
        ("elsewhere", ["elsewhere.total"]),
        ("*.total", ["elsewhere.total", "tests.site.tasks.total"]),
        ("total*", []),
        ("tests.site.tasks.tot??", ["tests.site.tasks.total"]),
        ("Total", []),
        ("[a-z]", []),
    ],
)
def test_tasks__by_pattern(app: Any, pattern: str, found: list[str]) -> None:
    assert [each.name for each in tasks(app, pattern=pattern)] == found


def test_tasks__a_pattern_leaves_the_short_names_as_they_are(app: Any) -> None:
    (found,) = tasks(app, pattern="site.tasks.total")
    assert found.short_name == "tasks.total"


def test_tasks__celery_s_own_where_asked_for(app: Any) -> None:
    assert [each.name for each in tasks(app, pattern="celery.ch*", builtin=True)] == [
        "celery.chain",
        "celery.chord",
        "celery.chord_unlock",
        "celery.chunks",
    ]


@pytest.mark.filterwarnings("ignore::celery.exceptions.CDeprecationWarning")  # Celery 5.7 has it replaced by routes
def test_tasks__a_queue_of_the_task_s_own(shop: Any) -> None:
    @shop.task(name="shop.post", queue="letters", shared=False)
    def post() -> None: ...

    assert info(shop, "shop.post").queue == "letters"


def test_tasks__the_default_queue_is_the_app_s(shop: Any) -> None:
    shop.conf.task_default_queue = "mine"

    @shop.task(name="shop.post", shared=False)
    def post() -> None: ...

    assert info(shop, "shop.post").queue == "mine"


def test_tasks__a_class_without_docstrings_says_nothing_of_celery_s(shop: Any) -> None:
    class Post(Task):
        name = "shop.post"

        def run(self, word: str) -> None: ...

    shop.register_task(Post())
    found = info(shop, "shop.post")
    assert (found.signature, found.doc) == ("(word: str)", "")


def test_function_of__is_what_the_worker_calls(app: Any) -> None:
    assert function_of(app.tasks["tests.site.tasks.total"])(1, 3) == 4
    assert function_of(app.tasks["tests.site.tasks.bound"])("x") == "tests.site.tasks.bound x"


def test_shell_imports__a_line_for_each_task_that_a_module_holds(app: Any) -> None:
    lines = shell_imports(app)
    assert "from tests.site.tasks import total" in lines
    assert "from tests.site.tasks import another_total" in lines
    assert "from project.demo.tasks import fragile" in lines
    assert len(lines) == len(names(app))


def test_shell_imports__each_line_imports(app: Any) -> None:
    held: dict[str, Any] = {}
    exec("\n".join(shell_imports(app)), held)
    assert held["another_total"].name == "elsewhere.total"


def test_shell_imports__a_task_that_no_module_holds_is_left_out(shop: Any) -> None:
    @shop.task(name="shop.local", shared=False)
    def local_to_this_function() -> None: ...

    assert not [line for line in shell_imports(shop) if "local_to_this_function" in line]
