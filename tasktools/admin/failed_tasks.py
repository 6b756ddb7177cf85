"""The failed tasks in Django's admin: they can be read, sent again and forgotten. Nothing can be edited."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.db.models.functions import Left, Right
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _

from tasktools.admin import texts
from tasktools.admin.columns import FACTS, MOST_REASON, ColumnsMixin, seen_by
from tasktools.admin.confirming import ConfirmingMixin, error_text
from tasktools.admin.filters import AgeFilter, ExceptionFilter, QueueFilter, StateFilter, TaskFilter, WorkerFilter
from tasktools.admin.verbs import FORGET, SEND
from tasktools.exceptions import TasktoolsError
from tasktools.failures import access
from tasktools.failures.found import LEAST
from tasktools.failures.message import EDITED_END
from tasktools.models import FailedTask, State

if TYPE_CHECKING:
    Base = admin.ModelAdmin[FailedTask]
else:
    Base = admin.ModelAdmin

#: What no list needs, and what may be long.
LONG = ("reason", "traceback", "arguments", "message", "body")

_ROW = re.compile(r"#[0-9]{1,18}")
_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class FailedTaskAdmin(ColumnsMixin, ConfirmingMixin, Base):
    list_display = ("failed", "task_and_how", "what", "state_and_count", "where")
    list_filter = (StateFilter, AgeFilter, TaskFilter, ExceptionFilter, "kind", QueueFilter, WorkerFilter)
    search_fields = ("task", "reason")
    search_help_text = _("An id or its beginning, a row such as #12, or words of the task's name or of the reason.")
    list_per_page = 50
    list_max_show_all = 200
    # These count all rows, also where a filter shows a few.
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    actions = ("send_again", "delete_selected")
    change_form_template = "admin/tasktools/failedtask/detail.html"
    readonly_fields = ("name", "ident", "how", "type_", "became", "place", "node", "before", "after", "size")

    class Media:
        css = {"all": ("tasktools/admin.css",)}

    # --- what is read

    def get_queryset(self, request: HttpRequest) -> QuerySet[FailedTask]:
        # From where it is written: a replica may not have heard yet of what was sent.
        found = super().get_queryset(request).using(access.database())
        return found.defer(*LONG).annotate(
            beginning=Left("reason", MOST_REASON + 1), ending=Right("message", len(EDITED_END))
        )

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        try:
            with access.reading():
                return super().changelist_view(request, extra_context)
        except TasktoolsError as error:  # most likely the site has not migrated
            self.message_user(request, error_text(error), messages.ERROR)
            return HttpResponseRedirect(reverse("admin:index", current_app=self.admin_site.name))

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> FailedTask | None:
        # One query for all of it; the list's leaves out what is long.
        found = super().get_object(request, object_id, from_field)
        if found is not None:
            found.refresh_from_db(using=access.database(), fields=[name for name in LONG if name != "body"])
            seen_by(found, self.get_queryset(request))
        return found

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[FailedTask], search_term: str
    ) -> tuple[QuerySet[FailedTask], bool]:
        """An id and a row are found by the indexes; other words read all texts."""
        ident = search_term.strip()
        if _ROW.fullmatch(ident):
            return queryset.filter(pk=int(ident[1:])), False
        if _ID.fullmatch(ident):
            return queryset.filter(Q(task_id=ident) | Q(retry_of=ident) | Q(new_id=ident)), False
        found, duplicates = super().get_search_results(request, queryset, search_term)
        lookup = "task_id" if len(ident) < LEAST else "task_id__startswith"
        return (found | queryset.filter(**{lookup: ident}) if ident else found), duplicates

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Allow what the filters of the list ask for. Another look-up would guess a masked argument, character by character."""
        entries: Any = self.list_filter if request is None else self.get_list_filter(request)
        for each in entries:
            if isinstance(each, type):
                if lookup == getattr(each, "parameter_name", None):
                    return True
            else:
                name = each if isinstance(each, str) else each[0]
                if lookup in (name, f"{name}__exact"):
                    return True
        return False

    # --- who may do what

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: FailedTask | None = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: FailedTask | None = None) -> bool:
        return bool(request.user.has_perm("tasktools.view_failedtask"))

    def has_retry_permission(self, request: HttpRequest, obj: FailedTask | None = None) -> bool:
        return bool(request.user.has_perm("tasktools.retry_failedtask"))

    # --- the actions of the list

    @admin.action(permissions=["retry"], description=_("Send again"))
    def send_again(self, request: HttpRequest, queryset: QuerySet[FailedTask]) -> HttpResponse:
        return self.confirm(request, SEND, queryset)

    # Django's own action has this name: it would delete what is being sent at this moment.
    @admin.action(permissions=["delete"], description=_("Forget"))
    def delete_selected(self, request: HttpRequest, queryset: QuerySet[FailedTask]) -> HttpResponse:
        return self.confirm(request, FORGET, queryset)

    # --- the page of one

    def get_fieldsets(self, request: HttpRequest, obj: FailedTask | None = None) -> Any:
        lines = (tuple(name for name, column in line if obj is None or getattr(obj, column)) for line in FACTS)
        return ((None, {"fields": [line for line in lines if line]}),)

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: FailedTask | None = None,
    ) -> HttpResponse:
        if obj is not None:
            context |= {
                "title": _("Failed task #%d") % obj.pk,
                "subtitle": None,
                "show_delete": False,
                "may_send": self.has_retry_permission(request, obj) and obj.state in (State.FAILED, State.SENDING),
                "may_forget": self.has_delete_permission(request, obj),
                "texts": texts.shown(obj),
            }
        return super().render_change_form(request, context, add, change, form_url, obj)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.text)
        return [path("<path:object_id>/text/<slug:name>/", view, name="tasktools_failedtask_text"), *super().get_urls()]

    def text(self, request: HttpRequest, object_id: str, name: str) -> HttpResponse:
        """Answer with all of one text, as nothing that a browser might run."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = self.get_object(request, unquote(object_id))
        if row is None or name not in texts.NAMES:
            raise Http404
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        headers = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox; default-src 'none'"}
        return HttpResponse(texts.whole(row, name), content_type="text/plain; charset=utf-8", headers=headers)
