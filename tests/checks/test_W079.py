from __future__ import annotations

from typing import Any

import pytest

from tasktools.checks import malformed
from tests.checks.conftest import found, ids

KNOWN = 'and Celery knows no result backend "{}".'


@pytest.mark.parametrize(
    ("url", "name", "hint"),
    [
        ("reids://localhost/1", "reids", "did you mean redis://localhost/1?"),
        ("reids", "reids", "did you mean redis?"),
        ("oracle9://localhost", "oracle9", "redis://localhost:6379/1"),
        ("django-db", "django-db", "pip install django-celery-results"),
        ("django-cache", "django-cache", "pip install django-celery-results"),
    ],
)
def test_W079__fires_for_a_kind_that_celery_does_not_know(shop: Any, url: str, name: str, hint: str) -> None:
    shop.conf.result_backend = url
    assert found() == [("tasktools.W079", f'CELERY_RESULT_BACKEND is "{url}", {KNOWN.format(name)}', hint)]


def test_W079__shows_no_password(shop: Any) -> None:
    shop.conf.result_backend = "reids://:zebra77x@localhost/1"
    ((_, sentence, hint),) = found()
    assert "zebra77x" not in sentence + hint
    assert hint == "did you mean redis://?"


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost/1",
        "redis",
        "db+sqlite:///results.db",
        "cache+memory://",
        "disabled://",
        "rpc://",
        "shop.results:Backend",
        "shop.results.Backend",
        "results:Backend",
        "",
        None,
        5,
    ],
)
def test_W079__is_silent_for_what_celery_takes(shop: Any, url: Any) -> None:
    shop.conf.result_backend = url
    assert "W079" not in ids()


def test_W079__is_silent_for_a_backend_that_a_package_brings(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.conf.result_backend = "django-db"
    found_names = [type("Point", (), {"name": "django-db"})()]
    monkeypatch.setattr(
        malformed, "entry_points", lambda group: found_names if group == "celery.result_backends" else []
    )
    assert "W079" not in ids()
