from __future__ import annotations

from typing import Any

import pytest

from tasktools import unimportable
from tasktools.discovery.celery_app import Found
from tasktools.project import Project
from tests.bazaar import Bazaar, bazaar, job
from tests.checks.conftest import found

__all__ = ["bazaar"]


def test_W017__fires_for_a_job_that_cannot_be_imported(bazaar: Bazaar, shop: Any) -> None:
    bazaar.write("bazaar/jobs/daily/broken.py", "import nope_of_this_test")
    bazaar.write("bazaar/jobs/daily/fine.py", job("DailyJob"))
    name = "bazaar.jobs.daily.broken"
    sentence = f"The job \"{name}\" cannot be imported: ModuleNotFoundError: No module named 'nope_of_this_test'."
    hint = f'manage.py shell -c "import {name}" shows where'
    for _ in range(2):
        bazaar.look(shop)
        assert found() == [("tasktools.W017", sentence, hint)]


def test_W002__fires_for_the_tasks_that_the_jobs_need(bazaar: Bazaar, shop: Any, project: Project) -> None:
    """An app of the project has its tasks imported for the check of its jobs: one of them may have the name of a job."""
    bazaar.write("bazaar/jobs/daily/fine.py", job("DailyJob"))
    project.found = Found(app=shop)
    shop.conf.imports = ["nope_of_this_test"]
    bazaar.look(shop)
    [(check_id, sentence, _)] = found()
    assert check_id == "tasktools.W002"
    assert sentence.startswith("The tasks cannot be imported: ModuleNotFoundError: No module named 'nope_of_this_test'")


def test_W017__fires_in_a_part_of_rundev(bazaar: Bazaar, shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What rundev says of code that cannot be imported, that the project cannot, would be wrong."""
    monkeypatch.setattr(unimportable, "reported", lambda problem: True)
    bazaar.write("bazaar/jobs/daily/broken.py", "import nope_of_this_test")
    bazaar.look(shop)
    assert [check_id for check_id, _, _ in found()] == ["tasktools.W017"]


def test_W017__fires_for_the_name_of_a_task(bazaar: Bazaar, shop: Any) -> None:
    bazaar.write("bazaar/jobs/tidy.py", job("BaseJob"))

    @shop.task(name="bazaar.jobs.tidy", shared=False)
    def tidy() -> None: ...

    bazaar.look(shop)
    [(check_id, sentence, _)] = found()
    assert check_id == "tasktools.W017"
    assert sentence.startswith('The job "bazaar.jobs.tidy" is no task: another task has this name (')


def test_W017__fires_for_several_apps(bazaar: Bazaar, shop: Any) -> None:
    bazaar.write("bazaar/jobs/tidy.py", job("BaseJob"))
    bazaar.write("bazaar/celery.py", "from celery import Celery\napp = Celery('another')\n")
    bazaar.look(shop)
    [(check_id, sentence, _)] = found()
    assert check_id == "tasktools.W017"
    assert sentence.endswith("no tasks: this project has several Celery apps, such as bazaar.celery.")


def test_W017__is_silent_for_jobs_that_are_tasks(bazaar: Bazaar, shop: Any) -> None:
    bazaar.write("bazaar/jobs/minutely/tidy.py", job("MinutelyJob"))
    bazaar.look(shop)
    assert found(deploy=True) == []
    assert "bazaar.jobs.minutely.tidy" in shop.conf.beat_schedule


def test_E002__fires_for_a_time_of_nothing(bazaar: Bazaar, shop: Any, settings: Any) -> None:
    settings.TASKTOOLS_JOBS = {"dayly": 60}
    bazaar.look(shop)
    sentence = 'TASKTOOLS_JOBS has "dayly", which is no job and no group of jobs.'
    assert found() == [("tasktools.E002", sentence, "did you mean daily?")]


def test_E012__fires_for_a_time_that_is_none(bazaar: Bazaar, shop: Any, settings: Any) -> None:
    """What the setting says is a schedule like any other, with the checks of all entries."""
    bazaar.write("bazaar/jobs/daily/tidy.py", job("DailyJob"))
    settings.TASKTOOLS_JOBS = {"daily": "04:30"}
    bazaar.look(shop)
    [(check_id, sentence, _)] = found()
    assert check_id == "tasktools.E012"
    assert "its schedule is '04:30', which is no schedule" in sentence
