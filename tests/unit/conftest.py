"""Fixtures of several unit tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery


@pytest.fixture
def shop() -> Iterator[Any]:
    """An app that is gone after the test: Celery remembers every app that lives."""
    app = Celery("shop", broker="memory://", set_as_current=False)

    @app.task(name="shop.pickled", serializer="pickle", shared=False)
    def pickled(value: Any) -> None: ...

    yield app
    app.close()
