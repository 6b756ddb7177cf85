"""The columns of the list of failed tasks, and the lines of the page of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import admin
from django.contrib.admin.utils import display_for_field
from django.db.models import QuerySet
from django.db.models.functions import Length
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from tasktools import terminal
from tasktools.admin import texts
from tasktools.failures import access
from tasktools.failures.message import EDITED_END
from tasktools.models import FailedTask

if TYPE_CHECKING:
    Base = admin.ModelAdmin[FailedTask]
else:
    Base = object

#: What the page of one shows, line by line, each with the column that must have a value.
FACTS = (
    (("name", "task_id"),),
    (("ident", "task_id"),),
    (("how", "kind"), ("type_", "exception")),
    (("became", "state"), ("mended_at", "mended_at")),
    (("after", "new_id"),),
    (("before", "retry_of"),),
    (("place", "queue"), ("node", "worker")),
    (("failed_at", "failed_at"),),
    (("sent_at", "sent_at"), ("started_at", "started_at")),
    (("retries", "retries"), ("failures", "failures")),
    (("size", "task_id"),),
)

#: Characters of a reason, and of a name, in the list.
MOST_REASON = 200
MOST_NAME = 80

#: So much of an id is enough to find it.
ID_LENGTH = 8


#: The attribute of a row with the rows that its reader may see: Django hands no request to what shows a column.
_SEEN = "_tasktools_seen"


def seen_by(row: FailedTask, rows: QuerySet[FailedTask]) -> None:
    """Note which rows the page of this one may link to."""
    row.__dict__[_SEEN] = rows


class ColumnsMixin(Base):
    """What each of them shows."""

    # Two values in a cell: eight columns do not fit beside the filters.

    @admin.display(description=_("failed at"), ordering="failed_at")
    def failed(self, row: FailedTask) -> SafeString:
        when = display_for_field(row.failed_at, row._meta.get_field("failed_at"), "–")
        return texts.pair(when, f"#{row.pk} {terminal.line(row.task_id)[:ID_LENGTH]}")

    @admin.display(description=_("task"), ordering="task")
    def task_and_how(self, row: FailedTask) -> SafeString:
        return texts.pair(texts.word(row.task or "?", MOST_NAME), row.get_kind_display())

    @admin.display(description=_("exception"), ordering="exception")
    def what(self, row: FailedTask) -> SafeString:
        name = texts.word(row.exception.removeprefix("builtins."), MOST_NAME)
        beginning: str = getattr(row, "beginning", "")
        return texts.pair(name, texts.word(beginning, MOST_REASON))

    @admin.display(description=_("state"), ordering="state")
    def state_and_count(self, row: FailedTask) -> SafeString:
        count = row.failures
        earlier = ngettext("%d earlier failure", "%d earlier failures", count) % count if count else ""
        edited = gettext("with other arguments") if _is_edited(row) else ""
        return texts.pair(self.became(row), ", ".join(filter(None, (edited, earlier))))

    @admin.display(description=_("queue, worker"), ordering="queue")
    def where(self, row: FailedTask) -> SafeString:
        return texts.pair(texts.word(row.queue, MOST_NAME), texts.word(row.worker, MOST_NAME))

    # The page of one.

    @admin.display(description=_("task"))
    def name(self, row: FailedTask) -> SafeString:
        return texts.word(row.task or "?")

    @admin.display(description=_("task id"))
    def ident(self, row: FailedTask) -> SafeString:
        return texts.word(row.task_id)

    @admin.display(description=_("how"))
    def how(self, row: FailedTask) -> str:
        return row.get_kind_display()

    @admin.display(description=_("exception"))
    def type_(self, row: FailedTask) -> SafeString:
        return texts.word(row.exception)

    @admin.display(description=_("state"))
    def became(self, row: FailedTask) -> SafeString:
        return format_html('<span class="tt-state tt-{}">{}</span>', row.state, row.get_state_display())

    @admin.display(description=_("queue"))
    def place(self, row: FailedTask) -> SafeString:
        return texts.word(row.queue)

    @admin.display(description=_("worker"))
    def node(self, row: FailedTask) -> SafeString:
        return texts.word(row.worker)

    @admin.display(description=_("body"))
    def size(self, row: FailedTask) -> str:
        """Only how long it is: it holds the arguments unmasked."""
        found: int | None
        found = access.rows().filter(pk=row.pk).order_by().values_list(Length("body"), flat=True).first()
        if found is None:
            return gettext("not kept: the task cannot be sent again")
        return str(ngettext("%d byte", "%d bytes", found) % found)

    @admin.display(description=_("retry of"))
    def before(self, row: FailedTask) -> SafeString:
        return self._link(row.retry_of, row)

    @admin.display(description=_("sent again"))
    def after(self, row: FailedTask) -> SafeString:
        """When, by whom, as what, and what became of that if it failed too."""
        when = display_for_field(row.sent_again_at, row._meta.get_field("sent_again_at"), "–")
        by = texts.word(row.sent_by or "?")
        words = gettext("{} by {} as {}, with other arguments") if _is_edited(row) else gettext("{} by {} as {}")
        return format_html(words, when, by, self._link(row.new_id, row))

    def _link(self, ident: str, row: FailedTask) -> SafeString:
        """Return the id, with a link if a task with this id has failed too."""
        rows = row.__dict__.get(_SEEN, access.rows()).filter(task_id=ident).exclude(pk=row.pk)
        found = rows.values_list("pk", flat=True).order_by("-pk").first() if ident else None
        if found is None:
            return texts.word(ident)
        url = reverse("admin:tasktools_failedtask_change", args=(found,), current_app=self.admin_site.name)
        return format_html('<a href="{}">{}</a>', url, texts.word(ident))


def _is_edited(row: FailedTask) -> bool:
    """Whether it was sent again with other arguments."""
    return bool(row.new_id) and getattr(row, "ending", "") == EDITED_END
