"""The tutorial and the first page, done step by step: what they have a reader type works, and prints what they say."""

from __future__ import annotations

import pytest

from docs.site.pages import split_readme
from tests.support import REPOSITORY, Site
from tests.walk import Walk


def test_tutorial__each_step_does_what_it_says(site: Site) -> None:
    typed = Walk(site).follow((REPOSITORY / "docs/tutorial.md").read_text())
    assert "python manage.py retryfailed 1" in typed


@pytest.mark.smoke
def test_first_page__leads_to_a_task_and_to_a_schedule(site: Site) -> None:
    walk = Walk(site)
    walk.follow("```console\n$ django-admin startproject mysite .\n$ python manage.py startapp shop\n```")
    typed = walk.follow(split_readme((REPOSITORY / "README.md").read_text())[0])
    assert "python manage.py enqueue add 2 2 --wait" in typed
    assert "python manage.py showschedule" in typed
