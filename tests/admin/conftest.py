"""Failed tasks as rows, and people with permissions."""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from tasktools.failures.message import Kept
from tasktools.models import FailedTask

#: Each page that a user may or may not see; "{}" is the id of a row.
LIST = "/admin/tasktools/failedtask/"
PAGES = {
    "list": LIST,
    "detail": f"{LIST}{{}}/change/",
    "text": f"{LIST}{{}}/text/traceback/",
    "history": f"{LIST}{{}}/history/",
}


@pytest.fixture
def failed(db: None) -> Callable[..., FailedTask]:
    """Make a row: failed(task="shop.tasks.pay")."""

    def make(**fields: Any) -> FailedTask:
        task_id = fields.pop("task_id", str(uuid.uuid4()))
        headers = {"id": task_id, "task": "tests.site.tasks.add", "root_id": task_id, "retries": 0, "lang": "py"}
        headers |= fields.pop("headers", {})
        kept = Kept(
            headers=headers,
            properties={"correlation_id": task_id, "priority": 0},
            delivery_info={"exchange": "", "routing_key": "failed-tests"},
            content_type="application/json",
            content_encoding="utf-8",
            body=b"[[2, 2], {}, {}]",
        )
        return FailedTask.objects.create(
            **{
                "task_id": task_id,
                "task": "tests.site.tasks.add",
                "kind": "raised",
                "exception": "builtins.ValueError",
                "reason": "no such thing",
                "traceback": "Traceback (most recent call last):\n  File ...\nValueError: no such thing\n",
                "arguments": json.dumps({"args": [2, 2], "kwargs": {}}),
                "queue": "failed-tests",
                "worker": "celery@here",
                "failed_at": timezone.now(),
                "message": kept.text(),
                "body": kept.body,
            }
            | fields
        )

    return make


@pytest.fixture
def log_in(db: None) -> Callable[..., Client]:
    """Log somebody in: log_in("view", "retry"), log_in(is_staff=False)."""

    def log(*permissions: str, is_staff: bool = True) -> Client:
        user = User.objects.create_user(f"user-{uuid.uuid4()}", is_staff=is_staff)
        names = [f"{name}_failedtask" for name in permissions]
        user.user_permissions.set(Permission.objects.filter(content_type__app_label="tasktools", codename__in=names))
        client = Client(enforce_csrf_checks=False)
        client.force_login(user)
        return client

    return log


@pytest.fixture
def bare_theme(settings: Any, tmp_path: Path) -> None:
    """A theme whose base has the block that Django's own questions fill, and not the one around it."""
    (tmp_path / "admin").mkdir()
    (tmp_path / "admin/base.html").write_text("<b>theme</b>{% block breadcrumbs %}{% endblock %}")
    template = copy.deepcopy(settings.TEMPLATES)
    template[0]["DIRS"] = [tmp_path, *template[0].get("DIRS", ())]
    settings.TEMPLATES = template
