"""The last hour as two charts of SVG, which the server draws.

A library for charts would be hundreds of kilobytes of script, with styles of its own that a strict CSP refuses and that know
nothing of the admin's dark theme. Sixty bars need none: these are elements with classes, which the page's CSS colors by the
variables of the admin, and which are there without JavaScript too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING

from django.utils.html import escape, format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from tasktools.admin.tasks_page import words

if TYPE_CHECKING:
    from tasktools.health.minutes import Minute

#: The size of a chart in its own units; a bar takes 10.
WIDTH, HEIGHT = 600, 120

#: What is on top of what, from below: the state, and its class.
_STACK = (("succeeded", "tt-bar-good"), ("retried", "tt-bar-again"), ("failed", "tt-bar-bad"))


def has_any(minutes: Sequence[Minute]) -> bool:
    """Whether there is anything to draw."""
    return any(sum(each.counts.values()) for each in minutes)


def both(minutes: Sequence[Minute], zone: tzinfo) -> dict[str, str]:
    """Return the two charts, and what stands at the top of their axes."""
    top, times = top_of(minutes)
    return {
        "throughput": throughput(minutes, zone),
        "times": running_times(minutes, zone),
        "top_throughput": top,
        "top_times": times,
    }


def throughput(minutes: Sequence[Minute], zone: tzinfo) -> SafeString:
    """Return how many tasks ended in each minute."""
    top = nice(max((sum(each.counts.values()) for each in minutes), default=0))
    bars = []
    for place, each in enumerate(minutes):
        base, tip = 0.0, _tip(each, zone)
        for state, kind in _STACK:
            height = each.counts[state] / top * HEIGHT
            if height:
                bars.append(_bar(kind, place, HEIGHT - base - height, height, tip))
            base += height
    return _chart("tt-throughput", _("Tasks per minute"), f"{top:,.0f}", bars)


def running_times(minutes: Sequence[Minute], zone: tzinfo) -> SafeString:
    """Return how long tasks ran in each minute: on average, and 95 of 100."""
    pairs = [(each.mean, each.most()) for each in minutes]
    top = nice_time(max((value for pair in pairs for value in pair if value is not None), default=0))
    bars = []
    for place, (each, pair) in enumerate(zip(minutes, pairs, strict=True)):
        tip = _tip(each, zone)
        for value, kind in ((pair[1], "tt-bar-most"), (pair[0], "tt-bar-mean")):
            if value is not None:
                height = max(1.0, min(HEIGHT, value / top * HEIGHT))
                bars.append(_bar(kind, place, HEIGHT - height, height, tip))
    return _chart("tt-times", _("Running time"), words.duration(top), bars)


def nice(most: float) -> float:
    """Return a round number that is not less: the top of an axis."""
    if most <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(most))
    return next(step * power for step in (1, 1.5, 2, 3, 5, 7.5, 10) if step * power >= most)


def nice_time(most: float) -> float:
    """Return a number of seconds that is not less, and round in seconds, minutes, hours or days."""
    tops = (
        (nice(most / unit), unit, longest) for unit, longest in ((1, 60), (60, 60), (3_600, 24), (86_400, math.inf))
    )
    return next(top * unit for top, unit, longest in tops if top <= longest)


def summary(minutes: Sequence[Minute]) -> str:
    """Return the hour in a sentence: for those who do not see the charts, and for all others."""
    counts = {state: sum(each.counts[state] for each in minutes) for state, _kind in _STACK}
    total = sum(counts.values())
    if not total:
        return _("No task has ended in the last hour.")
    return str(
        ngettext(
            "%(total)s task ended in the last hour: %(good)s succeeded, %(bad)s failed, %(again)s to be tried again.",
            "%(total)s tasks ended in the last hour: %(good)s succeeded, %(bad)s failed, %(again)s to be tried again.",
            total,
        )
        % {
            "total": f"{total:,}",
            "good": f"{counts['succeeded']:,}",
            "bad": f"{counts['failed']:,}",
            "again": f"{counts['retried']:,}",
        }
    )


def _chart(ident: str, title: str, top: str, bars: Sequence[str]) -> SafeString:
    rects = SafeString("".join(bars))
    return format_html(
        '<svg class="tt-chart" id="{0}" viewBox="0 0 {1} {2}" preserveAspectRatio="none" role="img" aria-label="{3}">'
        '<line class="tt-grid" x1="0" y1="0.5" x2="{1}" y2="0.5"/><line class="tt-grid" x1="0" y1="{5}" x2="{1}" y2="{5}"/>'
        '<line class="tt-axis" x1="0" y1="{2}" x2="{1}" y2="{2}"/>{4}</svg>',
        ident,
        WIDTH,
        HEIGHT,
        _("%(title)s, the last 60 minutes, up to %(top)s") % {"title": title, "top": top},
        rects,
        HEIGHT // 2,
    )


def top_of(minutes: Sequence[Minute]) -> tuple[str, str]:
    """Return what stands at the top of both axes."""
    most = nice(max((sum(each.counts.values()) for each in minutes), default=0))
    times = [value for each in minutes for value in (each.mean, each.most()) if value is not None]
    return f"{most:,.0f}", words.duration(nice_time(max(times, default=0)))


def _tip(minute: Minute, zone: tzinfo) -> str:
    at = datetime.fromtimestamp(minute.at, zone)
    counts = ", ".join(f"{minute.counts[state]:,} {_(state)}" for state, _kind in _STACK if minute.counts[state])
    mean = "" if minute.mean is None else f"; {words.duration(minute.mean)}"
    return escape(f"{at:%H:%M}: {counts}{mean}")


def _bar(kind: str, place: int, top: float, height: float, tip: str) -> str:
    """Return a bar as HTML; `tip` is safe."""
    size = f'x="{place * 10 + 1}" y="{top:.1f}" width="8" height="{height:.1f}"'
    return f'<rect class="{kind}" {size}><title>{tip}</title></rect>'
