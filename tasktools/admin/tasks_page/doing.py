"""What the page can do, each after a question: pause, resume, revoke, run now. It is what the commands of these names do."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from django.contrib import messages
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from tasktools import startup
from tasktools.admin.tasks_page import source, words
from tasktools.arguments.durations import parse_duration
from tasktools.arguments.names import check_id, shown
from tasktools.exceptions import ArgumentError, NoTrace, TasktoolsError

#: How long workers have to confirm that a task is revoked, and how long another thread may take, in seconds.
CONFIRM = 1.0

#: How many workers are named that have not done it, for each reason: a site may have hundreds without tasktools.
MOST_NAMED = 5

#: The longest reason of a pause that the page takes, in characters.
MOST_REASON = 500

#: The level of a message, and its text.
Report = tuple[int, str]


@dataclass(frozen=True, kw_only=True)
class Deed:
    """Something that is done to one thing."""

    #: In the address.
    name: str
    #: What it is done to: in the address of the admin's log.
    kind: str
    #: Of the model TaskOverview.
    permission: str
    title: Any
    question: Callable[[str], str]
    button: Any
    is_final: bool = False
    #: Which fields the form of the question has.
    fields: tuple[str, ...] = ()
    #: Returns the reports, and what the log says.
    perform: Callable[[str, Mapping[str, str], str], tuple[list[Report], str]] = field(repr=False)

    def kind_of(self, form: Mapping[str, str]) -> str:
        """Return what it is done to: what is resumed may be a queue, or all tasks of a name."""
        from tasktools.queues.pauses import TASK

        return "tasks" if self.name == "resume" and form.get("what") == TASK else self.kind


def _pause(name: str, form: Mapping[str, str], by: str) -> tuple[list[Report], str]:
    from tasktools.control.pause import pause
    from tasktools.queues.pauses import QUEUE, Pause, utc_now

    typed = form.get("duration", "").strip()
    span = parse_duration(typed) if typed else None
    if span is not None and not 0 < span.total_seconds() <= 366 * 86_400:
        raise ArgumentError(f'The time is "{shown(typed)}".', hint="give a time such as 30m or 2h, a year at the most")
    since = utc_now()
    made = Pause(
        what=QUEUE,
        name=_name(name),
        since=since,
        until=None if span is None else since + span,
        by=by,
        reason=form.get("reason", "")[:MOST_REASON],
    )
    heard = pause(source.remote().app, [made])
    sentence = _('The queue "%s" is paused: no worker begins a task of it, and what runs goes on.') % words.plain(name)
    log = _("Paused.") if span is None else _("Paused for %s.") % typed
    return [(messages.SUCCESS, sentence), *_heard(heard)], log


def _resume(name: str, form: Mapping[str, str], by: str) -> tuple[list[Report], str]:
    from tasktools.control.pause import read, resume
    from tasktools.queues.pauses import QUEUE, TASK, utc_now

    what = TASK if form.get("what") == TASK else QUEUE
    app = source.remote().app
    chosen = [each for each in read(app, utc_now()) if each.key == (what, name)]
    if not chosen:
        raise NoTrace(
            f'The {what} "{shown(name)}" is not paused.', hint="somebody has resumed it, or its time was over"
        )
    heard = resume(app, chosen)
    return [(messages.SUCCESS, _('"%s" is resumed.') % words.plain(name)), *_heard(heard)], _("Resumed.")


def _heard(heard: Any) -> Iterator[Report]:
    """Yield which workers have not confirmed: they may go on for a moment."""
    if heard.confirmed:
        count = len(heard.confirmed)
        yield messages.INFO, ngettext("%d worker has confirmed it.", "%d workers have confirmed it.", count) % count
    unheard = len(heard.silent) + (heard.more_silent or 0)
    if unheard or not heard.is_asked:
        text = _(
            "Not every worker has confirmed it: one that is busy takes note when it goes on, or within some seconds."
        )
        yield messages.WARNING, text
    goes_on = _("%(name)s goes on, because tasktools is not in use there: %(why)s.")
    is_late = _("%(name)s goes on: its clock is past the end of the pause.")
    yield from _each((goes_on, heard.failed), (is_late, dict.fromkeys(heard.over, "")))
    if more := _unnamed(heard.failed, heard.over):
        yield messages.WARNING, ngettext("%d more worker goes on.", "%d more workers go on.", more) % more


def _each(*groups: tuple[str, Mapping[str, str]]) -> Iterator[Report]:
    """Yield a sentence for each of the first workers of each group, with its name and why."""
    for text, whys in groups:
        for name, why in islice(whys.items(), MOST_NAMED):
            yield messages.WARNING, text % {"name": words.plain(name), "why": words.plain(why)}


def _unnamed(*groups: Collection[str]) -> int:
    """Return how many workers of these groups `_each` leaves out."""
    return sum(max(0, len(names) - MOST_NAMED) for names in groups)


def _revoke(name: str, form: Mapping[str, str], by: str) -> tuple[list[Report], str]:
    from tasktools.control.revoke import revoke

    ends = form.get("terminate") == "on"
    confirmed = revoke(source.remote().app, [check_id(name)], terminate=ends, limit=CONFIRM)
    if not confirmed.workers:
        hint = "a worker that is busy or that starts later does not know of it: try again then"
        raise TasktoolsError("No worker has confirmed: nobody keeps this task from running.", hint=hint)
    count = len(confirmed.workers)
    known = ngettext("%d worker knows that it is revoked.", "%d workers know that it is revoked.", count) % count
    reports = [(messages.SUCCESS, known)]
    cannot = _("%(name)s cannot end a task that runs: its pool cannot.")
    failed = _("%(name)s has not done it: %(why)s.")
    reports += _each((cannot, dict.fromkeys(confirmed.unable, "")), (failed, confirmed.failed))
    if more := _unnamed(confirmed.unable, confirmed.failed):
        text = ngettext("%d more worker has not done all of it.", "%d more workers have not done all of it.", more)
        reports.append((messages.WARNING, text % more))
    if confirmed.silent:
        reports.append((messages.WARNING, _("Not every worker has answered.")))
    return reports, _("Revoked, and ended if it ran.") if ends else _("Revoked.")


def _run(name: str, form: Mapping[str, str], by: str) -> tuple[list[Report], str]:
    from tasktools.admin import project_app
    from tasktools.overview.schedule import Schedule
    from tasktools.publishing.single import app_of, publish

    found = project_app.found()
    startup.require_broker(found)
    startup.load_tasks(found)
    call = Schedule(found.app).call(name)
    sent = publish(app_of(found.app, call.task), call)
    text = _('"%(task)s" was sent as %(id)s.') % {"task": words.plain(sent.task), "id": words.plain(sent.id)}
    return [(messages.SUCCESS, text)], text


def _name(typed: str) -> str:
    from tasktools import render

    if not typed or len(typed) > 255 or render.printable(typed) != typed:
        raise ArgumentError(f'"{shown(typed)}" is no name of a queue.', hint="choose one of the list")
    return typed


DEEDS = {
    each.name: each
    for each in (
        Deed(
            name="pause",
            kind="queue",
            permission="pause",
            title=gettext_lazy("Pause a queue"),
            question=lambda name: _(
                "No worker of the site begins a task of this queue until it is resumed. What runs goes on."
            ),
            button=gettext_lazy("Pause"),
            fields=("duration", "reason"),
            perform=_pause,
        ),
        Deed(
            name="resume",
            kind="queue",
            permission="pause",
            title=gettext_lazy("Resume"),
            question=lambda name: _("The workers take from it again."),
            button=gettext_lazy("Resume"),
            perform=_resume,
        ),
        Deed(
            name="revoke",
            kind="task",
            permission="revoke",
            title=gettext_lazy("Revoke a task"),
            question=lambda name: _("The workers that run now discard it when they get it. It cannot be undone."),
            button=gettext_lazy("Revoke"),
            is_final=True,
            fields=("terminate",),
            perform=_revoke,
        ),
        Deed(
            name="run",
            kind="entry",
            permission="run",
            title=gettext_lazy("Run now"),
            question=lambda name: _("What beat would send for this entry is sent now. Its next time stays as it is."),
            button=gettext_lazy("Run now"),
            perform=_run,
        ),
    )
}
