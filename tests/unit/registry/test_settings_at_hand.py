from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery, Task

from tasktools.registry.registry import finalize
from tasktools.registry.settings_at_hand import at_hand


class Source:
    """Settings, and how often each is read."""

    def __init__(self, **values: Any) -> None:
        self.values = values
        self.read: list[str] = []

    def __getattr__(self, name: str) -> Any:
        self.read.append(name)
        try:
            return self.values[name]
        except KeyError:
            raise AttributeError(name) from None


@pytest.fixture(
    params=[("CELERY", "CELERY_TASK_TIME_LIMIT"), (None, "task_time_limit"), ("shop", "shop_task_time_limit")]
)
def site(request: pytest.FixtureRequest) -> Iterator[tuple[Any, Source, str]]:
    namespace, name = request.param
    source = Source(**{name: 50})
    app = Celery("many", set_as_current=False)
    app.config_from_object(source, namespace=namespace)
    for number in range(20):
        app.task(name=f"many.task{number}", shared=False)(lambda_free(number))
    yield app, source, name
    app.close()


def lambda_free(number: int) -> Any:
    def task() -> int:
        return number

    return task


def test_finalize__reads_each_setting_once(site: tuple[Any, Source, str]) -> None:
    app, source, name = site
    app.conf.task_always_eager  # noqa: B018 - the app reads its settings
    source.read.clear()
    finalize(app)
    assert source.read.count(name) == 1
    assert [app.tasks[f"many.task{number}"].time_limit for number in range(20)] == [50] * 20


def test_finalize__leaves_the_settings_as_they_were(site: tuple[Any, Source, str]) -> None:
    app, source, name = site
    finalize(app)
    source.values[name] = 70
    assert app.conf.task_time_limit == 70
    app.conf.task_time_limit = 90
    assert app.conf.task_time_limit == 90


def test_at_hand__leaves_the_settings_alone_if_the_block_fails(site: tuple[Any, Source, str]) -> None:
    app, source, name = site
    with pytest.raises(LookupError), at_hand(app):
        raise LookupError
    source.values[name] = 70
    assert app.conf.task_time_limit == 70


def test_finalize__with_a_receiver_that_changes_the_settings(site: tuple[Any, Source, str]) -> None:
    app, _, _ = site
    seen = []

    def change(sender: Any, **_: Any) -> None:
        sender.conf.task_time_limit = 60
        seen.append(sender.conf.task_time_limit)

    app.on_after_finalize.connect(change, weak=False)
    finalize(app)
    assert seen == [60]


def test_finalize__with_a_receiver_that_leaves_tasks_alone(site: tuple[Any, Source, str]) -> None:
    app, source, name = site

    def schedule(sender: Any, **_: Any) -> None:
        sender.conf.beat_schedule = {"one": {}}

    schedule.leaves_tasks_alone = True  # type: ignore[attr-defined]
    app.on_after_finalize.connect(schedule, weak=False)
    app.conf.task_always_eager  # noqa: B018 - the app reads its settings
    source.read.clear()
    finalize(app)
    assert source.read.count(name) == 1
    assert app.conf.beat_schedule == {"one": {}}


def test_at_hand__reads_nothing_for_an_app_that_has_its_tasks(site: tuple[Any, Source, str]) -> None:
    app, source, _ = site
    finalize(app)
    source.read.clear()
    with at_hand(app):
        assert source.read == []


def test_at_hand__knows_what_a_task_reads() -> None:
    assert ("time_limit", "task_time_limit") in Task.from_config


class Named(Task):
    """A base class of a project, which reads one more setting."""

    abstract = True
    from_config = (*Task.from_config, ("namespace", "task_default_queue"))


def test_finalize__reads_what_the_class_of_the_project_wants() -> None:
    app = Celery("many", set_as_current=False, task_cls=Named)
    app.task(name="many.task", shared=False)(lambda_free(1))
    finalize(app)
    assert app.tasks["many.task"].namespace == "celery"
    assert ("namespace", "task_default_queue") in Named.from_config
    app.close()


def test_finalize__leaves_celerys_class_as_it_was(site: tuple[Any, Source, str]) -> None:
    app, _, _ = site
    finalize(app)
    assert app.Task.from_config is Task.from_config
