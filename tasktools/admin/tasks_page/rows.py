"""The rows of the schedule as HTML. A template takes four times as long, and there may be hundreds of them at each look."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import get_current_timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from tasktools.admin.tasks_page import words

if TYPE_CHECKING:
    from tasktools.beat.outlook import EntryInfo

_ROW = """<tr><th scope="row"><span class="tt-first">{}</span>{}</th>
<td data-label="{}">{}</td>
<td data-label="{}">{}{}</td>
<td class="tt-time" data-label="{}">{}</td>
{}</tr>
"""
_RUN = """<td class="tt-do"><a class="button" href="{}" data-key="{}">{} \
<span class="visually-hidden"><bdi>{}</bdi></span></a></td>"""
_STATE = ' <span class="tt-state tt-failed">{}</span>'

#: A cell for a button that there is not.
_NONE = SafeString('<td class="tt-do"></td>')


class EntryRows:
    """Makes the rows of one reader. `run` and `task` return addresses: of the question before an entry runs, and of a task."""

    def __init__(self, at: datetime, *, may_run: bool, run: Callable[[str], str], task: Callable[[str], str]) -> None:
        self._at, self._may_run, self._run, self._task = at, may_run, run, task
        self._labels = [_("When"), _("Next"), _("Last"), _("Run now")]

    def row(self, entry: EntryInfo) -> SafeString:
        """Return the row of an entry."""
        when, upcoming, last, _run = self._labels
        return format_html(
            _ROW,
            words.name(entry.name),
            self._task_of(entry),
            when,
            words.name(entry.when),
            upcoming,
            self._next(entry),
            self._faults(entry),
            last,
            self._last(entry),
            self._button(entry),
        )

    @staticmethod
    def _task_of(entry: EntryInfo) -> SafeString | str:
        """Return the task, which the entry of a job has as its own name."""
        if entry.task == entry.name:
            return ""
        return format_html(' <span class="tt-second">{}</span>', words.name(entry.task))

    def _next(self, entry: EntryInfo) -> SafeString | str:
        if not entry.enabled:
            return _("switched off")
        upcoming = next(iter(entry.next), None)
        if upcoming is None:
            return "" if entry.fault else "–"
        return format_html(
            '<span class="tt-first tt-time">{}</span> <span class="tt-second tt-time">{}</span>',
            moment(upcoming.at),
            words.clock("until", upcoming.at, self._at),
        )

    def _faults(self, entry: EntryInfo) -> SafeString:
        overdue = format_html(_STATE, _("overdue")) if entry.overdue_since else ""
        fault = entry.fault or entry.doubt
        return format_html("{}{}", overdue, format_html(_STATE, words.name(fault, 300)) if fault else "")

    def _last(self, entry: EntryInfo) -> SafeString | str:
        if not entry.last_run:
            return "–"
        ago = words.clock("ago", entry.last_run, self._at)
        if not entry.last_id:
            return ago
        return format_html('<a href="{}" data-key="le:{}">{}</a>', self._task(entry.last_id), entry.name[:200], ago)

    def _button(self, entry: EntryInfo) -> SafeString:
        if not self._may_run:
            return SafeString("")
        url = "" if entry.fault else self._run(entry.name)
        if not url:
            return _NONE
        return format_html(_RUN, url, f"e:{entry.name[:200]}", self._labels[3], words.plain(entry.name))


def moment(at: datetime) -> str:
    """Return a time as Django writes it in the reader's language and time zone."""
    return _moment(at, get_language(), str(get_current_timezone()))


@functools.lru_cache(4_096)  # most entries have the same next time at many looks
def _moment(at: datetime, language: str | None, zone: str) -> str:
    return str(date_format(words.local(at), "SHORT_DATETIME_FORMAT"))
