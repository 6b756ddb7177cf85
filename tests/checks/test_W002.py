from __future__ import annotations

from typing import Any

import pytest
from celery import Celery, Task
from django.core.checks import Warning as CheckWarning
from django.core.checks import run_checks

from tasktools import checks, unimportable
from tasktools.discovery.celery_app import Found
from tasktools.exceptions import ProjectError
from tasktools.project import Project


def test_W002__fires_for_a_module_that_cannot_be_imported(project: Project) -> None:
    problem = ProjectError(
        'The module "shop.tasks" cannot be imported: NameError: x.', hint='manage.py shell -c "import shop.tasks"'
    )
    project.problems = [problem]
    assert run_checks(tags=[checks.TAG]) == [
        CheckWarning(
            'The module "shop.tasks" cannot be imported: NameError: x.',
            hint='manage.py shell -c "import shop.tasks"',
            id="tasktools.W002",
        )
    ]


def test_W002__is_silent_where_everything_can_be_imported(project: Project) -> None:
    project.problems = []
    assert run_checks(tags=[checks.TAG]) == []


class Failing(Task):
    abstract = True

    def __init__(self) -> None:
        raise RuntimeError("no database")


def test_W002__fires_once_for_a_task_that_celery_cannot_make(shop: Any) -> None:
    @shop.task(name="shop.failing", base=Failing, shared=False)
    def failing() -> None:
        pass

    shop.conf.beat_schedule = {"nightly": {"task": "shop.failing", "schedule": 5}}
    sentence = 'The task "shop.failing" cannot be registered: RuntimeError: no database.'
    hint = "the same command with --traceback shows where"
    expected = [CheckWarning(sentence, hint=hint, id="tasktools.W002")]
    assert run_checks(tags=[checks.TAG]) == expected
    assert run_checks(tags=[checks.TAG]) == expected


def test_W002__fires_for_a_lambda(shop: Any) -> None:
    shop.task(shared=False)(lambda x: x)
    (message,) = run_checks(tags=[checks.TAG])
    assert message.id == "tasktools.W002"
    assert message.msg.startswith('The task "tests.checks.test_W002.<lambda>" cannot be registered: SyntaxError: ')


def test_W002__fires_for_settings_that_celery_cannot_read(project: Project) -> None:
    app = Celery("own", set_as_current=False)
    app.config_from_object("no_such_module_of_this_test")
    project.found = Found(app=app)
    (message,) = run_checks(tags=[checks.TAG])
    assert message.id == "tasktools.W002"
    assert message.msg == (
        "The settings of the Celery app own cannot be read: "
        "ModuleNotFoundError: No module named 'no_such_module_of_this_test'."
    )
    app.close()


@pytest.mark.parametrize("error", [RuntimeError("no"), SystemExit("no")])
def test_W002__fires_where_code_of_the_project_raises_in_a_check(
    monkeypatch: pytest.MonkeyPatch, shop: Any, error: BaseException
) -> None:
    def fail(app: Any) -> None:
        raise error

    monkeypatch.setattr("tasktools.beat.schedule.faults", fail)
    shop.conf.beat_schedule = {"nightly": {"task": "shop.reckon", "schedule": 5}}
    (message,) = run_checks(tags=[checks.TAG])
    assert message.id == "tasktools.W002"
    assert message.msg == f"The Celery app of this project cannot be checked: {type(error).__name__}: no."
    assert message.hint == "manage.py showtasks --traceback shows where"


def test_W002__is_silent_for_what_rundev_reports(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.problems = [ProjectError("A module is broken."), ProjectError("Another is broken.")]
    monkeypatch.setattr(unimportable, "reported", lambda problem: problem is project.problems[0])
    assert [message.msg for message in run_checks(tags=[checks.TAG])] == ["Another is broken."]


@pytest.mark.parametrize(("has_app", "shown"), [(True, "**"), (False, "s3cretpassword")])
def test_W002__shows_no_password_and_no_control_character(
    shop: Any, project: Project, has_app: bool, shown: str
) -> None:
    """The settings of the app are those whose passwords are known; a URL is known everywhere."""
    shop.conf.broker_url = "redis://:s3cretpassword@localhost/0"
    text = "\x1b[31m redis://:another@x s3cretpassword"
    project.problems = [ProjectError(f"{text}.", hint=text)]
    if not has_app:
        project.found = None
    (message,) = (each for each in run_checks(tags=[checks.TAG]) if each.id == "tasktools.W002")
    expected = f"\\x1b[31m redis://:**@x {shown}"
    assert (message.msg, message.hint) == (f"{expected}.", expected)
