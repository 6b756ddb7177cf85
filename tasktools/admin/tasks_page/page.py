"""The views of the page "Tasks" in Django's admin."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db import connections, transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect, JsonResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _

from tasktools import conf
from tasktools.admin.confirming import HAS_LISTED_CRUMBS, error_text
from tasktools.admin.tasks_page import words
from tasktools.exceptions import TasktoolsError
from tasktools.models import FailedTask, TaskOverview

if TYPE_CHECKING:
    from tasktools.admin.tasks_page.doing import Deed

    Base = admin.ModelAdmin[TaskOverview]
else:
    Base = admin.ModelAdmin

#: How long the first page, the page without JavaScript and the script wait for the broker, in seconds.
FIRST, PLAIN, LIVE = 0.12, 3.0, 0.0

#: Where each request makes a session last longer, the page stops to update itself after so many seconds without input.
UNUSED = 3_600

TEMPLATES = "admin/tasktools/taskoverview"


class TaskOverviewAdmin(Base):
    """No rows: its views are the page."""

    # --- who may do what

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("tasktools.view_taskoverview"))

    # --- the addresses

    def get_urls(self) -> list[URLPattern]:
        def wrap(view: Any) -> Any:
            def call(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
                answer: HttpResponse = self.admin_site.admin_view(self._guarded(view))(request, *args, **kwargs)
                return answer

            for alias in connections:  # with ATOMIC_REQUESTS, what is sent would be sent inside a transaction
                call = transaction.non_atomic_requests(using=alias)(call)
            return call

        name = "tasktools_taskoverview_"
        return [
            path("", wrap(self.changelist_view), name=f"{name}changelist"),
            path("live/", wrap(self.live), name=f"{name}live"),
            path("task/", wrap(self.task), name=f"{name}task"),
            path("do/retry/", wrap(self.retry), name=f"{name}retry"),
            path("do/<slug:verb>/", wrap(self.do), name=f"{name}do"),
            path("<path:object_id>/change/", wrap(self.logged), name=f"{name}change"),
        ]

    def _guarded(self, view: Any) -> Any:
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            if not self.has_view_permission(request):
                raise PermissionDenied
            request.current_app = self.admin_site.name  # type: ignore[attr-defined]
            return view(request, *args, **kwargs)

        return guarded

    # --- what is read

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        content = self._content(request, PLAIN if "wait" in request.GET else FIRST)
        context = {
            **self._context(request, _("Tasks")),
            "parts": content.parts(),
            "is_fresh": content.is_fresh,
            "at": content.seen_at,
            "now": content.now.isoformat(),
            "clock_texts": words.clock_texts(),
            "unused": UNUSED if conf.written("SESSION_SAVE_EVERY_REQUEST").get("SESSION_SAVE_EVERY_REQUEST") else 0,
            "live_url": reverse("admin:tasktools_taskoverview_live", current_app=self.admin_site.name),
            "task_url": reverse("admin:tasktools_taskoverview_task", current_app=self.admin_site.name),
        }
        return TemplateResponse(request, f"{TEMPLATES}/overview.html", context)

    def live(self, request: HttpRequest) -> HttpResponse:
        """Return the parts of the page as they are now, for its script, but for those that it has: it names their digests."""
        content = self._content(request, LIVE, is_live=True)
        have = set(request.GET.get("have", "").split(","))
        changed = {name: part for name, part in content.parts().items() if part.digest not in have}
        answer = {
            "parts": {name: part.text for name, part in changed.items()},
            "digests": {name: part.digest for name, part in changed.items()},
            "is_fresh": content.is_fresh,
            "at": content.seen_at,
            "now": content.now.timestamp(),
        }
        return JsonResponse(answer)

    def task(self, request: HttpRequest) -> HttpResponse:
        """Show what is known of the task with the id that the address has."""
        from tasktools.admin.tasks_page import one_task
        from tasktools.admin.tasks_page.may import May

        task_id, may = request.GET.get("id", "").strip(), May(request)
        context = {**self._context(request, _("Task")), "may": may, "typed": words.plain(task_id)}
        context["task_url"] = reverse("admin:tasktools_taskoverview_task", current_app=self.admin_site.name)
        if not task_id:
            return TemplateResponse(request, f"{TEMPLATES}/task.html", context)
        try:
            revoke = reverse("admin:tasktools_taskoverview_do", args=("revoke",), current_app=self.admin_site.name)
            context |= one_task.told(task_id, f"{revoke}?{urlencode({'name': task_id})}")
            rows = one_task.failures(task_id) if may.see_failed else []
            context |= one_task.named(context["outcome"], rows)
            context["failures"] = [(row, words.name(row.exception.removeprefix("builtins."))) for row in rows]
        except TasktoolsError as error:
            context["troubles"] = [*context.get("troubles", []), error_text(error)]
        return TemplateResponse(request, f"{TEMPLATES}/task.html", context)

    def logged(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Lead from a line of the admin's log to what it is about."""
        kind, _colon, name = unquote(object_id).partition(":")
        url = reverse("admin:tasktools_taskoverview_changelist", current_app=self.admin_site.name)
        if kind == "task":
            task = reverse("admin:tasktools_taskoverview_task", current_app=self.admin_site.name)
            return HttpResponseRedirect(f"{task}?{urlencode({'id': name})}")
        return HttpResponseRedirect(url)

    # --- what is done

    def do(self, request: HttpRequest, verb: str) -> HttpResponse:
        """Ask (GET), and do it (POST)."""
        from tasktools.admin.tasks_page.content import MOST_NAME
        from tasktools.admin.tasks_page.doing import DEEDS

        deed = DEEDS.get(verb)
        if deed is None:
            raise Http404
        if not request.user.has_perm(f"tasktools.{deed.permission}_taskoverview"):
            raise PermissionDenied
        if request.method not in ("GET", "HEAD", "POST"):
            return HttpResponseNotAllowed(["GET", "POST"])
        form = request.POST if request.method == "POST" else request.GET
        name = form.get("name", "")
        if not name or len(name) > MOST_NAME or "\0" in name:
            raise Http404
        if request.method != "POST":
            return self._question(request, deed, name, form.get("what", ""))
        self._perform(request, deed, name)
        after = self._after(deed, name)
        return HttpResponseRedirect(
            after if deed.kind == "task" else f"{after}?wait=1"
        )  # it shows what has become of it

    def _question(self, request: HttpRequest, deed: Deed, name: str, what: str) -> HttpResponse:
        context = {
            **self._context(request, deed.title),
            "deed": deed,
            "name": name,
            "shown": words.name(name, 500),
            "what": "task" if what == "task" else "",
            "question": deed.question(name),
            "back": self._after(deed, name),
        }
        return TemplateResponse(request, f"{TEMPLATES}/confirm.html", context)

    def _perform(self, request: HttpRequest, deed: Deed, name: str) -> None:
        from tasktools.admin.tasks_page import history, source

        form = request.POST.dict()
        kind = deed.kind_of(form)
        try:
            reports, text = deed.perform(name, form, str(request.user.get_username()))
        except TasktoolsError as error:
            said = error_text(error)
            self.message_user(request, said, messages.ERROR)
            if history.may_have_sent(error):
                history.write(
                    request, kind, name, _("%(deed)s: tried. %(error)s") % {"deed": deed.button, "error": said}
                )
        else:
            for level, report in reports:
                self.message_user(request, report, level)
            history.write(request, kind, name, text)
        finally:
            with contextlib.suppress(TasktoolsError):  # there may be no app
                source.outdate()

    def _after(self, deed: Deed, name: str) -> str:
        if deed.kind == "task":
            url = reverse("admin:tasktools_taskoverview_task", current_app=self.admin_site.name)
            return f"{url}?{urlencode({'id': name})}"
        return reverse("admin:tasktools_taskoverview_changelist", current_app=self.admin_site.name)

    def retry(self, request: HttpRequest) -> HttpResponse:
        """Ask whether to send the failures of one task by one exception again: the page of the failed tasks does the rest."""
        from tasktools.admin.verbs import SEND
        from tasktools.failures.found import OPEN

        if not self.admin_site.is_registered(FailedTask):
            raise Http404
        failed: Any = self.admin_site.get_model_admin(FailedTask)
        names = {name: request.GET.get(name, "") for name in ("task", "exception")}
        if any("\0" in each for each in names.values()):
            raise Http404
        rows = failed.get_queryset(request).filter(state__in=OPEN, **names)
        back = reverse("admin:tasktools_taskoverview_changelist", current_app=self.admin_site.name)
        answer: HttpResponse = failed.confirm(request, SEND, rows, back)
        return answer

    # --- helpers

    def _content(self, request: HttpRequest, wait: float, *, is_live: bool = False) -> Any:
        from tasktools.admin.tasks_page.content import Content

        return Content(request, self.admin_site.name, wait, is_live=is_live)

    def _context(self, request: HttpRequest, title: Any) -> dict[str, Any]:
        return {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.opts,
            "has_view_permission": True,
            "has_listed_crumbs": HAS_LISTED_CRUMBS,
        }
