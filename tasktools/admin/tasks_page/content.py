"""What the page shows, as the context of its templates."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.timezone import get_current_timezone, get_current_timezone_name
from django.utils.translation import get_language

from tasktools.admin.confirming import error_text
from tasktools.admin.tasks_page import charts, source, words
from tasktools.admin.tasks_page.kept import Kept, Part
from tasktools.admin.tasks_page.may import May
from tasktools.admin.tasks_page.rows import EntryRows
from tasktools.admin.tasks_page.warnings import warnings
from tasktools.exceptions import TasktoolsError
from tasktools.failures import access

if TYPE_CHECKING:
    from tasktools.overview.snapshot import Snapshot

#: Where the templates of the parts are.
TEMPLATES = "admin/tasktools/taskoverview"

#: The longest name that an address may have, in characters.
MOST_NAME = 500

#: What many people see at the same time.
KEPT = Kept(64)

#: How many rows of each are shown: anybody may make any number of queues.
MOST_QUEUES, MOST_WORKERS, MOST_RUNNING, MOST_ENTRIES, MOST_GROUPS = 300, 200, 100, 1_000, 25


class Content:
    """All of it, as one request shows it. `wait` is how long to wait for the broker, in seconds.

    Times such as "in 5 s" are right when they are made. `is_live` says that a script keeps them right: then they are not made
    for each reader.
    """

    def __init__(self, request: HttpRequest, site_name: str, wait: float, *, is_live: bool = False) -> None:
        self._is_live = is_live
        self.may = May(request)
        self._site = site_name
        self._bases: dict[tuple[str, tuple[str, ...]], str] = {}
        self.now = datetime.now(timezone.utc)
        self.zone = get_current_timezone()
        self.trouble = ""
        self.seen: Snapshot | None = None
        try:
            self.seen = source.snapshot(wait)
        except TasktoolsError as error:
            self.trouble = error_text(error)
        else:
            if self.seen is not None and self.seen.trouble is not None:
                told = self.seen.trouble
                self.trouble = error_text(TasktoolsError(told.sentence, hint=told.hint))
        self.entries = source.entries(max(0.0, wait - (datetime.now(timezone.utc) - self.now).total_seconds()))

    @property
    def is_fresh(self) -> bool:
        """Whether there is no need to ask again at once."""
        is_seen = self.trouble or (
            self.seen is not None and (self.now - self.seen.at).total_seconds() < 2 * source.FRESH
        )
        return bool(is_seen and self.entries is not None and not self.entries.is_past(self.now))

    @property
    def seen_at(self) -> str:
        """When the broker was looked at, by the reader's clock."""
        return "" if self.seen is None else f"{self.seen.at.astimezone(self.zone):%H:%M:%S}"

    def parts(self) -> dict[str, Part]:
        """Return each part. What others have just seen is not made again."""
        beat = self.seen and (self.seen.beat.is_known, self.seen.beat.in_charge)
        makers = {
            "status": (lambda: {"warnings": list(warnings(self.seen, self.entries))}, None),
            "hour": (self._hour, self.seen and self.seen.at),
            "queues": (self._queues, self.seen and self.seen.at),
            "workers": (self._workers, self.seen and self.seen.at),
            "schedule": (self._schedule, self.entries and (self.entries.at, beat) if self._is_live else None),
            "failed": (self._failed, self.seen and self.seen.at),
        }
        return {name: self._part(name, make, made_of) for name, (make, made_of) in makers.items()}

    def _part(self, name: str, make: Callable[[], dict[str, Any]], made_of: object) -> Part:
        """Return a part; `made_of` is what it shows, None if it is made anew for everybody."""

        def part() -> Part:
            common = {"may": self.may, "seen": self.seen, "is_there": self._is_there, "trouble": self.trouble}
            return Part(name, render_to_string(f"{TEMPLATES}/{name}.html", {**common, **make()}, self.may.request))

        if made_of is None:
            return part()
        reader = (get_language(), get_current_timezone_name(), self._site, self.may.key)
        return KEPT.get((name, self._is_there, made_of, reader), part)

    @property
    def _is_there(self) -> bool:
        return self.seen is not None and self.seen.trouble is None

    def _url(self, name: str, **query: object) -> str:
        return f"{self._base(name)}?{urlencode(query)}"

    def do(self, verb: str, **query: object) -> str:
        """Return the address of the question before something is done; "" for a name that no address can have."""
        if any(len(str(each)) > MOST_NAME for each in query.values()):
            return ""
        return f"{self._base('do', verb)}?{urlencode(query)}"

    def _base(self, name: str, *args: str) -> str:
        """Return an address; each row has some, and making one takes its time."""
        if (name, args) not in self._bases:
            found = reverse(f"admin:tasktools_taskoverview_{name}", args=args, current_app=self._site)
            self._bases[name, args] = found
        return self._bases[name, args]

    def _hour(self) -> dict[str, Any]:
        minutes = None if self.seen is None else self.seen.minutes
        if minutes is None or not source.counts():
            return {"minutes": None, "is_off": not source.counts()}
        shown = {"minutes": minutes, "summary": charts.summary(minutes)}
        return shown | charts.both(minutes, self.zone) if charts.has_any(minutes) else shown

    def _queues(self) -> dict[str, Any]:
        queues = [] if self.seen is None else self.seen.queues
        rows = [
            {
                "queue": each,
                "key": f"q:{each.name[:200]}",
                "name": words.name(each.name),
                "label": words.plain(each.name),
                "oldest": words.duration(each.oldest) if each.ready else "",
                "is_unread": bool(each.ready) and each.consumers == 0 and each.paused is None,
                **words.pause(each.paused),
                "pause": self.do("pause", name=each.name),
                "resume": self.do("resume", name=each.name),
            }
            for each in queues[:MOST_QUEUES]
        ]
        tasks = [] if self.seen is None else self.seen.paused_tasks
        paused = [
            {
                "pause": each,
                "key": f"p:{each.name[:200]}",
                "name": words.name(each.name),
                "label": words.plain(each.name),
                **words.pause(each),
                "resume": self.do("resume", name=each.name, what="task"),
            }
            for each in tasks[:MOST_QUEUES]
        ]
        more = max(0, len(queues) - MOST_QUEUES) + (0 if self.seen is None else self.seen.more_queues)
        return {"queues": rows, "more_queues": more, "paused_tasks": paused}

    def _workers(self) -> dict[str, Any]:
        found = [] if self.seen is None else self.seen.workers
        now = self.now if self.seen is None else self.seen.at
        workers, running = [], []
        for each in found[:MOST_WORKERS]:
            workers.append(
                {
                    "worker": each,
                    "name": words.name(each.name),
                    "queues": words.name(", ".join(each.queues), 200) if each.queues else "–",
                    "memory": words.size(each.memory),
                    "up": "–" if each.up_since is None else words.clock("for", each.up_since, now),
                }
            )
            running += [(task, each) for task in each.tasks or ()]
        running.sort(key=lambda pair: -(pair[0].seconds or 0))
        rows = [
            {
                "name": words.name(task.name or "?"),
                "id": words.plain(task.id or "?", 60),
                "key": f"r:{(task.id or '')[:200]}",
                "worker": words.name(worker.name),
                "for": words.duration(task.seconds) if task.since is None else words.clock("for", task.since, now),
                "url": self._url("task", id=task.id) if task.id and len(task.id) <= MOST_NAME else "",
                "revoke": self.do("revoke", name=task.id) if task.id else "",
            }
            for task, worker in running[:MOST_RUNNING]
        ]
        return {
            "workers": workers,
            "more_workers": max(0, len(found) - MOST_WORKERS),
            "running": rows,
            "more_running": max(0, len(running) - MOST_RUNNING),
        }

    def _schedule(self) -> dict[str, Any]:
        known = self.entries
        if known is None or known.trouble is not None:
            trouble = "" if known is None or known.trouble is None else error_text(known.trouble)
            return {"entries": None, "schedule_trouble": trouble}
        rows = EntryRows(
            known.at if self._is_live else self.now,
            may_run=self.may.run,
            run=lambda name: self.do("run", name=name),
            task=lambda task_id: self._url("task", id=task_id),
        )
        entries = [rows.row(each) for each in known.entries[:MOST_ENTRIES]]
        beat = None if self.seen is None else self.seen.beat.in_charge
        host = "" if beat is None else words.name(beat.host)
        more = max(0, len(known.entries) - MOST_ENTRIES)
        return {"entries": entries, "more_entries": more, "host": host, "has_run": known.has_run}

    def _failed(self) -> dict[str, Any]:
        if not self.may.see_failed:
            return {"groups": None}
        from tasktools.failures.found import Wanted, groups, select

        try:
            with access.reading():
                found = groups(select(Wanted()), self.zone, MOST_GROUPS + 1)
        except TasktoolsError as error:
            return {"groups": None, "failed_trouble": error_text(error)}
        url = reverse("admin:tasktools_failedtask_changelist", current_app=self._site)
        rows = [
            {
                "count": each.count,
                "key": f"f:{each.task[:200]}:{each.exception[:200]}",
                "task": words.name(each.task or "?"),
                "exception": words.name(each.exception.removeprefix("builtins.") or "–"),
                "label": words.plain(each.task or "?"),
                "last": each.last_at,
                "ago": words.clock("ago", each.last_at, self.now),
                "url": f"{url}?{urlencode(_named(each))}",
                "retry": self.do("retry", task=each.task, exception=each.exception),
            }
            for each in found[:MOST_GROUPS]
        ]
        return {"groups": rows, "more_groups": len(found) > MOST_GROUPS, "failed_url": url}


def _named(group: Any) -> dict[str, str]:
    """Return the filters of the list of failed tasks that show a group."""
    found = {"task": group.task, "exception": group.exception}
    return {name: value for name, value in found.items() if value}
