from __future__ import annotations

import pytest
from django.core.checks import Warning as CheckWarning
from django.core.checks import run_checks

from tasktools import checks, startup
from tasktools.exceptions import ProjectError


def test_W002__fires_for_a_module_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = ProjectError(
        'The module "shop.tasks" cannot be imported: NameError: x.', hint='manage.py shell -c "import shop.tasks"'
    )
    monkeypatch.setattr(startup, "problems", [problem])
    assert run_checks(tags=[checks.TAG]) == [
        CheckWarning(
            'The module "shop.tasks" cannot be imported: NameError: x.',
            hint='manage.py shell -c "import shop.tasks"',
            id="tasktools.W002",
        )
    ]


def test_W002__is_silent_where_everything_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(startup, "problems", [])
    assert run_checks(tags=[checks.TAG]) == []
