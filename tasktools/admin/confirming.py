"""A question before anything is done with failed tasks, and the report after it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import django
from django.contrib import admin, messages
from django.contrib.admin.templatetags.admin_urls import add_preserved_filters
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, InterfaceError, connections, transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from tasktools import render, startup, terminal
from tasktools.admin.verbs import FORGET, SEND, Done, Verb, log
from tasktools.brokers.reach import reason_at_end
from tasktools.exceptions import TasktoolsError
from tasktools.failures import access
from tasktools.models import FailedTask, State
from tasktools.project import current_project

logger = logging.getLogger("tasktools.failures")

if TYPE_CHECKING:
    Base = admin.ModelAdmin[FailedTask]
else:
    Base = object

#: Whether breadcrumbs are a list: the admin's styles know those of its own version alone.
HAS_LISTED_CRUMBS = django.VERSION >= (6, 1)

#: So many at once: each message is one round trip for the brokers that have no batches, and a web server waits 30 seconds.
MOST = 1000

#: So many rows are named on the page of the question, and so many reasons in the report.
MOST_NAMED = 20
MOST_REASONS = 5
MOST_CHARACTERS = 500


class ConfirmingMixin(Base):
    """The pages that ask, and the only view that acts: it takes a POST with the ids that the page named."""

    def get_urls(self) -> list[URLPattern]:
        def wrap(verb: Verb, view: Any) -> Any:
            def call(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
                answer: HttpResponse = self.admin_site.admin_view(view)(request, verb, *args, **kwargs)
                return answer

            for alias in connections:  # ATOMIC_REQUESTS would take back what says that a message was sent
                call = transaction.non_atomic_requests(using=alias)(call)
            return call

        own = []
        for verb in (SEND, FORGET):
            name = f"tasktools_failedtask_{verb.name}"
            slug = verb.name.replace("_", "-")
            own += [
                path(f"{slug}/", wrap(verb, self.act), name=name),
                path(f"<path:object_id>/{slug}/", wrap(verb, self.confirm_one), name=f"{name}_one"),
            ]
        return [*own, *super().get_urls()]

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Django's own page would delete what is being sent at this moment."""
        return self.confirm_one(request, FORGET, object_id)

    def confirm_one(self, request: HttpRequest, verb: Verb, object_id: str) -> HttpResponse:
        """Ask whether to act on one row."""
        self._demand(request, verb)
        row = self.get_object(request, object_id)
        if row is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[attr-defined, no-any-return]
        if not self._may(request, verb, row):
            raise PermissionDenied
        return self._question(request, verb, [row], 1, one=row)

    def confirm(self, request: HttpRequest, verb: Verb, queryset: QuerySet[FailedTask], back: str = "") -> HttpResponse:
        """Ask whether to act on the rows: the oldest first, and no more than MOST. `back` is the address of who asks."""
        self._demand(request, verb)
        count = queryset.count()
        rows = list(queryset.only("task", "task_id", "state", "failed_at").order_by("failed_at", "pk")[:MOST])
        return self._question(request, verb, rows, count, back=back)

    def _question(
        self,
        request: HttpRequest,
        verb: Verb,
        rows: Sequence[FailedTask],
        count: int,
        one: FailedTask | None = None,
        back: str = "",
    ) -> HttpResponse:
        back = back or (self._list_url(request) if one is None else self._url("change", one.pk))
        context = {
            **self.admin_site.each_context(request),
            "title": verb.title,
            "subtitle": None,
            "opts": self.opts,
            "media": self.media,
            "has_view_permission": True,
            "has_listed_crumbs": HAS_LISTED_CRUMBS,
            "verb": verb,
            "explanation": verb.explanation(len(rows)),
            "before": sum(row.state in (State.SENT, State.MENDED) for row in rows) if verb is SEND else 0,
            "count": len(rows),
            "beyond": count - len(rows),
            "chosen": count,
            "rows": rows[:MOST_NAMED],
            "unnamed": max(0, len(rows) - MOST_NAMED),
            "ids": ",".join(str(row.pk) for row in rows),
            "back": back,
            "one": one,
            "action": self._filtered(request, self._url(verb.name)),
        }
        request.current_app = self.admin_site.name  # type: ignore[attr-defined]
        return TemplateResponse(request, "admin/tasktools/failedtask/confirm.html", context)

    def act(self, request: HttpRequest, verb: Verb) -> HttpResponse:
        """Do it: the only view that does."""
        self._demand(request, verb)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        ids = _ids(request.POST.get("ids", ""))
        rows: list[FailedTask] = []
        refused: list[tuple[int, str]] = []
        try:
            with access.reading():
                found = list(self.get_queryset(request).filter(pk__in=ids))
        except TasktoolsError as error:
            done = Done(error=error)
        else:
            rows = [row for row in found if self._may(request, verb, row)]
            done = self._performed(request, verb, sorted(row.pk for row in rows))
            self._log(request, verb, rows, done)
            barred = {row.pk for row in found} - {row.pk for row in rows}
            refused += [(pk, _("you have no permission for it")) for pk in barred]
            refused += [(pk, _("it is no longer in the table")) for pk in set(ids) - {row.pk for row in found}]
        self._report(request, verb, done, [*done.refused, *refused])
        stays = request.POST.get("one") and verb is SEND and len(rows) == 1
        return HttpResponseRedirect(self._url("change", rows[0].pk) if stays else self._list_url(request))

    def _log(self, request: HttpRequest, verb: Verb, rows: Sequence[FailedTask], done: Done) -> None:
        """Write the history. The database may have gone since it was done: the report has the numbers all the same."""
        try:
            log(request.user.pk, verb, rows, done.done)
        except (DatabaseError, InterfaceError) as error:
            logger.exception("The admin's history has no line of this: %s, rows %s.", verb.name, sorted(done.done))
            why = _safe(reason_at_end(error))
            self.message_user(request, _("The history has no line of this: %s") % why, messages.WARNING)

    def _performed(self, request: HttpRequest, verb: Verb, ids: Sequence[int]) -> Done:
        try:
            return verb.perform(ids, str(request.user.get_username())) if ids else Done()
        except TasktoolsError as error:
            return Done(error=error)

    def _report(self, request: HttpRequest, verb: Verb, done: Done, refused: Sequence[tuple[int, str]]) -> None:
        """Report the true numbers, and why something was not done."""
        if done.done:
            self.message_user(request, verb.report(len(done.done)), messages.SUCCESS)
        one = "%(count)d was left as it is: %(why)s."
        many = "%(count)d were left as they are. Of each of them: %(why)s."
        reasons = Counter(why for _row, why in refused)
        for why, count in reasons.most_common(MOST_REASONS):
            text = ngettext(one, many, count) % {"count": count, "why": _safe(why)}
            self.message_user(request, text, messages.WARNING)
        if more := reasons.total() - sum(count for _why, count in reasons.most_common(MOST_REASONS)):
            text = (
                ngettext("%d more was left, for another reason.", "%d more were left, for other reasons.", more) % more
            )
            self.message_user(request, text, messages.WARNING)
        for note, count in Counter(done.notes).most_common(MOST_REASONS):
            text = ngettext(
                "%(count)d is not as it came: %(why)s.", "%(count)d are not as they came. Of each: %(why)s.", count
            )
            self.message_user(request, text % {"count": count, "why": _safe(note)}, messages.INFO)
        if done.error:
            self.message_user(request, error_text(done.error), messages.ERROR)

    def _demand(self, request: HttpRequest, verb: Verb) -> None:
        if not self._may(request, verb):
            raise PermissionDenied

    def _may(self, request: HttpRequest, verb: Verb, row: FailedTask | None = None) -> bool:
        """Whether the user may do that with this row, or with any row at all."""
        may = getattr(self, f"has_{verb.permission}_permission")
        return bool(self.has_view_permission(request, row) and may(request, row))

    def _url(self, name: str, *args: Any) -> str:
        return reverse(f"admin:tasktools_failedtask_{name}", args=args, current_app=self.admin_site.name)

    def _list_url(self, request: HttpRequest) -> str:
        return self._filtered(request, self._url("changelist"))

    def _filtered(self, request: HttpRequest, url: str) -> str:
        """Return `url` with the filters of the list, so that the list shows the same after it."""
        context: Any = {"preserved_filters": self.get_preserved_filters(request), "opts": self.opts}
        return str(add_preserved_filters(context, url))


def error_text(error: TasktoolsError) -> str:
    """Return an error and its hint for a report."""
    return _safe(" ".join(render.error_lines(error)))


def _safe(text: str) -> str:
    found = current_project().found
    return terminal.line(startup.hider(None if found is None else found.app)(text))[:MOST_CHARACTERS]


def _ids(text: str) -> list[int]:
    """Return the ids that a page named; whoever forges them must not make a query too long."""
    found = dict.fromkeys(
        int(each) for each in text.split(",") if each.isascii() and each.isdecimal() and len(each) < 19
    )
    return list(found)[:MOST]
