"""What the project's files show, which are read for all these checks together and never run."""

from __future__ import annotations

from django.core.checks import CheckMessage

from tasktools.checks import imports, transactions, waiting
from tasktools.discovery import sources
from tasktools.discovery.celery_app import Found
from tasktools.discovery.syntax import Reader

_MODULES = (imports, waiting, transactions)

#: The ids that this module can give.
IDS = (*imports.IDS, *waiting.IDS, *transactions.IDS)


def check(found: Found) -> list[CheckMessage]:
    """Run the checks that read files. Most files are only looked at: one is parsed if it may hold a fault."""
    reader = Reader(sources.files())
    return [message for module in _MODULES for message in module.check(found, reader)]
