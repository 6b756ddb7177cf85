from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from celery import Task
from django.core.checks import Warning as CheckWarning

from tasktools.checks.schedule import unsilenced
from tests.checks.conftest import checked


@pytest.fixture
def posting(shop: Any) -> Any:
    """The app with a task that is a class, whose calls Celery does not check."""

    class Post(Task):
        name = "shop.post"

        def run(self, word: str) -> None: ...

    shop.register_task(Post())
    return shop


def test_W011__fires_for_what_celery_sends_and_the_function_does_not_take(posting: Any) -> None:
    assert checked(posting, {"task": "shop.post", "schedule": timedelta(minutes=1)}) == [
        CheckWarning(
            'The beat schedule\'s entry "nightly" is sent, and is likely to fail: its arguments do not fit "shop.post": '
            "missing a required argument: 'word'.",
            hint="shop.post is called with (word: str)",
            id="tasktools.W011",
        )
    ]
    assert unsilenced(posting, "celery.beat:Scheduler") == []


def test_W011__is_silent_for_what_it_takes(posting: Any) -> None:
    assert checked(posting, {"task": "shop.post", "schedule": timedelta(minutes=1), "args": ["a"]}) == []
