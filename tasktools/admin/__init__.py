"""The pages of Django's admin. Only the admin's own autodiscovery imports this package: a site without the admin never does."""

from __future__ import annotations

import importlib

from django.contrib import admin

from tasktools.models import FailedTask, TaskOverview


def _can_be_loaded() -> bool:
    """Whether the pages can work. Where a file hides Celery, the site starts without them, and `apps` reports why."""
    try:
        importlib.import_module("tasktools.startup")
    except (Exception, SystemExit):  # noqa: BLE001  # whatever that file does
        return False
    return True


if _can_be_loaded():
    from tasktools.admin.failed_tasks import FailedTaskAdmin
    from tasktools.admin.tasks_page.page import TaskOverviewAdmin

    admin.site.register(FailedTask, FailedTaskAdmin)
    admin.site.register(TaskOverview, TaskOverviewAdmin)
