from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.checks import Warning as CheckWarning

from tasktools.checks import schedule
from tasktools.exceptions import ProjectError
from tasktools.project import Project
from tests.checks.conftest import checked, ids

REGISTERED, UNKNOWN = ({"task": name, "schedule": 60, "args": [1]} for name in ("shop.reckon", "shop.late"))
NO_SCHEDULE = {**REGISTERED, "schedule": None}


def test_W010__fires_for_a_task_that_is_not_registered(shop: Any) -> None:
    assert checked(shop, {"task": "shop.recon", "schedule": timedelta(minutes=1)}) == [
        CheckWarning(
            'The beat schedule\'s entry "nightly" cannot run: its task "shop.recon" is not registered.',
            hint="did you mean shop.reckon?",
            id="tasktools.W010",
        )
    ]


def test_W010__fires_for_a_task_that_is_nothing_like_a_registered_one(shop: Any) -> None:
    (message,) = checked(shop, {"task": "xyzzy", "schedule": 60})
    assert message.id == "tasktools.W010"
    assert message.hint == (
        "manage.py showtasks lists the registered tasks; if other workers alone know it, silence this check"
    )


def test_W010__is_silent_for_a_registered_task(shop: Any) -> None:
    assert checked(shop, {"task": "shop.reckon", "schedule": timedelta(minutes=1), "args": [1]}) == []


def test_W010__is_silent_where_it_is_silenced(shop: Any, settings: Any) -> None:
    settings.SILENCED_SYSTEM_CHECKS = ["tasktools.W010"]
    (message,) = checked(shop, {"task": "xyzzy", "schedule": 60})
    assert message.is_silenced()


def test_W010__is_silent_where_the_tasks_cannot_be_imported(shop: Any, project: Project) -> None:
    project.problems = [ProjectError('The module "shop.tasks" cannot be imported: NameError: x.')]
    messages = checked(shop, {"task": "xyzzy", "schedule": 60})
    assert [message.id for message in messages] == ["tasktools.W002"]


@pytest.mark.parametrize(
    ("entry", "silenced", "expected"),
    [
        (REGISTERED, [], []),
        (NO_SCHEDULE, [], ["E012"]),
        (UNKNOWN, ["tasktools.W010"], ["W010"]),
    ],
)
def test_W010__loads_the_urlconf_only_for_a_task_that_is_missing(
    shop: Any, settings: Any, monkeypatch: pytest.MonkeyPatch, entry: Any, silenced: list[str], expected: list[str]
) -> None:
    monkeypatch.setattr(schedule.django_fixup, "load_urlconf", lambda found: pytest.fail("the URLconf is loaded"))
    settings.SILENCED_SYSTEM_CHECKS = silenced
    shop.conf.beat_schedule = {"nightly": entry}
    assert ids() == expected


def test_schedule__what_beat_refuses_is_every_fault_that_is_not_silenced(shop: Any, settings: Any) -> None:
    unused = {**REGISTERED, "options": {"expire": 60}}
    shop.conf.beat_schedule = {"late": UNKNOWN, "none": NO_SCHEDULE, "unused": unused}

    def refused() -> list[str | None]:
        return [message.id for message in schedule.unsilenced(shop, "celery.beat:Scheduler")]

    assert refused() == ["tasktools.W010", "tasktools.E012"]
    settings.SILENCED_SYSTEM_CHECKS = ["tasktools.W010", "tasktools.W001"]
    assert refused() == ["tasktools.E012"]
    assert schedule.silenced_kinds() == {"task"}
