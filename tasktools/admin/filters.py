"""The filters of the list of failed tasks. They read indexes only, and offer a limited number of values."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import SEARCH_VAR
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from tasktools import terminal
from tasktools.failures.found import OPEN
from tasktools.models import FailedTask, State

#: The names come from strangers: there may be any number of them, of any length.
MOST_VALUES = 50
LONGEST_VALUE = 60

#: Values of the filter by state beside the states.
STILL_OPEN, ALL = "open", "all"

_AGES = {
    "hour": (_("Last hour"), timedelta(hours=1)),
    "day": (_("Last 24 hours"), timedelta(days=1)),
    "week": (_("Last 7 days"), timedelta(days=7)),
    "month": (_("Last 30 days"), timedelta(days=30)),
}


class _ValueFilter(admin.SimpleListFilter):
    """The values of one column, as many as fit on a page."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        name = self.parameter_name or ""
        rows = model_admin.get_queryset(request).exclude(**{name: ""}).order_by(name)
        found = list(rows.values_list(name, flat=True).distinct()[:MOST_VALUES])
        chosen = self.value()
        if chosen and chosen not in found:
            found.insert(0, chosen)
        return [(each, _short(each)) for each in found]

    def queryset(self, request: HttpRequest, queryset: QuerySet[FailedTask]) -> QuerySet[FailedTask]:
        value = self.value()
        if not value:
            return queryset
        # PostgreSQL refuses a text with NUL, and no row has one.
        return queryset.none() if "\0" in value else queryset.filter(**{str(self.parameter_name): value})


def _short(value: str) -> str:
    text = terminal.line(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


class TaskFilter(_ValueFilter):
    title = _("task")
    parameter_name = "task"


class ExceptionFilter(_ValueFilter):
    title = _("exception")
    parameter_name = "exception"


class QueueFilter(_ValueFilter):
    title = _("queue")
    parameter_name = "queue"


class WorkerFilter(_ValueFilter):
    title = _("worker")
    parameter_name = "worker"


class StateFilter(admin.SimpleListFilter):
    """What has become of it. Unless chosen, the list is of what is open, as that of `showfailed`; a search is in all."""

    title = _("state")
    parameter_name = "state"

    def __init__(self, request: HttpRequest, *more: Any) -> None:
        self._default = ALL if request.GET.get(SEARCH_VAR) else STILL_OPEN
        super().__init__(request, *more)

    def value(self) -> str:
        return super().value() or self._default

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(STILL_OPEN, _("Open: failed or being sent again")), *State.choices, (ALL, _("All"))]

    def choices(self, changelist: Any) -> Iterator[Any]:
        # Django's first one chooses nothing.
        yield from islice(super().choices(changelist), 1, None)

    def queryset(self, request: HttpRequest, queryset: QuerySet[FailedTask]) -> QuerySet[FailedTask]:
        value = self.value()
        if value == ALL:
            return queryset
        return queryset.filter(state__in=[value] if value in State.values else OPEN)


class AgeFilter(admin.SimpleListFilter):
    """How long ago it failed. Django's own filter of a date knows no hours."""

    title = _("time")
    parameter_name = "age"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(name, label) for name, (label, _age) in _AGES.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[FailedTask]) -> QuerySet[FailedTask]:
        chosen = _AGES.get(self.value() or "")
        return queryset if chosen is None else queryset.filter(failed_at__gte=timezone.now() - chosen[1])
