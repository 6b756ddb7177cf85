"""Values -> short words of the page. What comes from strangers is cut first: it may be megabytes."""

from __future__ import annotations

import functools
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import get_current_timezone
from django.utils.translation import gettext, ngettext

from tasktools.admin import texts

if TYPE_CHECKING:
    from tasktools.queues.pauses import Pause

#: Characters of a name on the page.
MOST = 120


def name(value: object, longest: int = MOST) -> SafeString:
    """Return a name as HTML: one line, cut, in its own direction, and nothing that a browser might obey."""
    return _word(str(value)[: longest + 1], longest)


@functools.lru_cache(4_096)  # the same names come with each look
def _word(text: str, longest: int) -> SafeString:
    return texts.word(text, longest) if text else SafeString("")  # a template can ask whether there is one


def plain(value: object, longest: int = MOST) -> str:
    """Return a name for a title or a message: one line, and cut."""
    from tasktools import terminal

    text = str(value)
    shown = terminal.line(text[: longest + 1])
    return shown if len(shown) <= longest else f"{shown[:longest]}…"


def duration(seconds: float | None) -> str:
    """Return a time as a person says it: "3 ms", "0.12 s", "12 s", "3 min 5 s", "2 h 10 min", "5 d 3 h"."""
    if seconds is None:
        return "–"
    if 0 < seconds < 0.1:
        return _short(seconds * 1000) + " ms"
    if seconds < 10:
        return _short(seconds) + " s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    for size, unit, small, less in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // small
            return f"{whole // size} {unit}" + (f" {rest} {less}" if rest else "")
    return f"{whole} s"


def _short(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")


def size(number: int | None) -> str:
    """Return a number of bytes: "45 MB"."""
    return "–" if number is None else f"{number / 1e6:,.0f} MB"


def until(at: datetime, now: datetime) -> str:
    """Return when something happens, seen from now: "in 5 min"."""
    seconds = (at - now).total_seconds()
    if seconds < 0:
        return gettext("now")
    return gettext("in %s") % duration(int(seconds))


def ago(at: datetime, now: datetime) -> str:
    """Return how long ago something was: "5 min ago"."""
    return gettext("%s ago") % duration(max(0, int((now - at).total_seconds())))


def lasting(since: datetime, now: datetime) -> str:
    """Return for how long something has lasted: "5 min"."""
    return duration(max(0, int((now - since).total_seconds())))


_CLOCKED = {"until": until, "ago": ago, "for": lasting}

_CLOCK = '<time datetime="{}" data-clock="{}">{}</time>'


def clock(kind: str, at: datetime, now: datetime) -> SafeString:
    """Return a time as HTML that the script of the page keeps right: `kind` is "until", "ago" or "for"."""
    return format_html(_CLOCK, at.isoformat(), kind, _CLOCKED[kind](at, now))


def clock_texts() -> dict[str, str]:
    """Return what the script of the page needs for that. A template would look for translations of "in %%s"."""
    return {"until": gettext("in %s"), "ago": gettext("%s ago"), "due": gettext("now")}


def local(at: datetime) -> datetime:
    """Return a time by the reader's clock. A template does that only with USE_TZ.

    One at the ends of the calendar, which anybody can send, may have no time there: it stays as it is. It is naive then, because
    a template converts every other one again.
    """
    try:
        return at.astimezone(get_current_timezone())
    except OverflowError:
        return at.replace(tzinfo=None)


def local_or_none(at: datetime | None) -> datetime | None:
    return None if at is None else local(at)


def pause(of: Pause | None) -> dict[str, Any]:
    """Return what is said of a pause, by the names that the templates have for it."""
    if of is None:
        return {}
    return {
        "by": name(of.by),
        "reason": name(of.reason),
        "since": local_or_none(of.since),
        "until": local_or_none(of.until),
    }


def workers(number: int) -> str:
    return str(ngettext("%d worker", "%d workers", number) % number)
