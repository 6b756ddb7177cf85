from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import call_command

pytestmark = pytest.mark.django_db


def test_migrations__are_complete() -> None:
    call_command("makemigrations", "tasktools", check=True, dry_run=True, stdout=StringIO())
