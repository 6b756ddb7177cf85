"""Fixtures of other rooms that stories need."""

from tests.admin.conftest import failed as failed
