from __future__ import annotations

from typing import Any

import pytest
from django.core import mail
from django.core.checks import Warning as CheckWarning
from django.core.checks import run_checks

from tasktools import checks


@pytest.fixture(autouse=True)
def production(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A site with DEBUG off, outside tests."""
    monkeypatch.delattr(mail, "outbox")
    settings.DEBUG = False


def ids(*, deploy: bool = False) -> list[str | None]:
    """Return what our checks say, of a deployment or without its checks."""
    return [message.id for message in run_checks(tags=[checks.TAG], include_deployment_checks=deploy)]


MEMORY = CheckWarning(
    'CELERY_BROKER_URL is "memory://", and DEBUG is off: '
    "the tasks stay in the process that calls .delay(), and no worker gets them.",
    hint='CELERY_BROKER_URL = "redis://localhost:6379/0", for example',
    id="tasktools.W045",
)
FOLDER = CheckWarning(
    'CELERY_BROKER_URL is "filesystem://", and DEBUG is off: '
    "only workers with the same folder get a task, and one that is killed loses it.",
    hint=MEMORY.hint,
    id=MEMORY.id,
)


@pytest.mark.parametrize("deploy", [True, False])
def test_W045__fires_for_a_broker_in_memory(mysite: Any, settings: Any, deploy: bool) -> None:
    settings.CELERY_BROKER_URL = "memory://"
    assert run_checks(tags=[checks.TAG], include_deployment_checks=deploy) == [MEMORY]


@pytest.mark.parametrize(("deploy", "messages"), [(True, [FOLDER]), (False, [])])
def test_W045__fires_for_a_folder_in_a_deployment(
    mysite: Any, settings: Any, deploy: bool, messages: list[Any]
) -> None:
    settings.CELERY_BROKER_URL = "filesystem://"
    assert run_checks(tags=[checks.TAG], include_deployment_checks=deploy) == messages


@pytest.mark.parametrize("url", ["memory://", "filesystem://"])
def test_W045__is_silent_in_development(mysite: Any, settings: Any, url: str) -> None:
    settings.CELERY_BROKER_URL, settings.DEBUG = url, True
    assert ids(deploy=True) == []


@pytest.mark.parametrize("url", ["memory://", "filesystem://"])
def test_W045__is_silent_in_tests(mysite: Any, settings: Any, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    settings.CELERY_BROKER_URL = url
    monkeypatch.setattr(mail, "outbox", [], raising=False)
    assert ids(deploy=True) == []


@pytest.mark.parametrize("url", ["memory://", "filesystem://"])
def test_W045__is_silent_where_no_broker_is_used(mysite: Any, settings: Any, url: str) -> None:
    settings.CELERY_BROKER_URL, settings.CELERY_TASK_ALWAYS_EAGER = url, True
    assert ids(deploy=True) == ["tasktools.W006"]


@pytest.mark.parametrize("url", ["redis://memory/0", ["redis://localhost/0", "memory://"]])
def test_W045__is_silent_about_another_broker(mysite: Any, settings: Any, url: Any) -> None:
    settings.CELERY_BROKER_URL = url
    assert ids() == []


def test_W045__asks_for_the_broker_that_tasks_are_sent_to(mysite: Any, settings: Any) -> None:
    settings.CELERY_BROKER_WRITE_URL = "memory://"
    assert ids() == ["tasktools.W045"]


def test_W045__names_the_setting_of_an_app_without_a_prefix(shop: Any) -> None:
    (message,) = run_checks(tags=[checks.TAG])
    assert (message.msg[:24], message.hint) == (
        'broker_url is "memory://',
        'broker_url = "redis://localhost:6379/0", for example',
    )
