"""What somebody should look at, in a sentence each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from tasktools.admin.tasks_page import words

if TYPE_CHECKING:
    from tasktools.admin.tasks_page.source import Entries
    from tasktools.overview.snapshot import Snapshot


def warnings(seen: Snapshot | None, entries: Entries | None) -> Iterator[str]:
    """Yield what somebody should look at."""
    if seen is None or seen.trouble is not None:
        return
    unread = [each.name for each in seen.queues if each.ready and each.consumers == 0 and each.paused is None]
    if unread:
        names = ", ".join(words.plain(each, 60) for each in unread[:5])
        yield (
            ngettext(
                "No worker reads a queue with messages: %s.",
                "No worker reads queues with messages: %s.",
                len(unread),
            )
            % names
        )
    silent = sum(each.state == "silent" for each in seen.workers) + (seen.more_silent or 0)
    if silent:
        yield (
            ngettext("%d worker listens and does not answer.", "%d workers listen and do not answer.", silent) % silent
        )
    doubled = [words.plain(each.name, 60) for each in seen.workers if (each.same_name or 1) > 1]
    if doubled:
        yield (
            ngettext(
                "Several workers have one name, and are shown as one: %s. Start each with a name of its own (-n).",
                "Several workers have the same names, and are shown as one each: %s. Start each with a name of its own (-n).",
                len(doubled),
            )
            % ", ".join(doubled[:5])
        )
    if seen.beat.is_foreign:
        yield _(
            "What is where beats keep their lease and last runs was not written by a beat: the next beat moves it aside."
        )
    has_entries = entries is not None and any(each.enabled for each in entries.entries)
    if seen.beat.is_known and seen.beat.in_charge is None and has_entries and not seen.beat.is_foreign:
        yield _("The schedule has entries, and no beat is in charge: start one with manage.py runbeat.")
