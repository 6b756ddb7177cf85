"""One entry of the beat schedule, and which parts of it beat cannot read, cannot calculate with or cannot send."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import celery.beat
from celery.beat import ScheduleEntry
from celery.schedules import BaseSchedule
from celery.schedules import schedule as Every

from tasktools.arguments.names import close_matches, shown
from tasktools.arguments.target import describe
from tasktools.brokers.reach import reason
from tasktools.celery_compat import DUMP_MODELS
from tasktools.exceptions import ArgumentError, tried
from tasktools.publishing.options import OPTIONS, Option, is_ignored, option_fault
from tasktools.registry import serialization
from tasktools.registry.registry import has_own, names, signature_of, surely_takes

if TYPE_CHECKING:
    from celery import Celery

#: The keys that an entry may hold. Beat fills the other fields of the entry.
KEYS = ("task", "schedule", "args", "kwargs", "options", "relative")

_FILLED = frozenset(inspect.signature(ScheduleEntry).parameters)

#: Arguments that beat makes at each tick. Celery 5.5 and newer.
_LAZY: Any = getattr(celery.beat, "BeatLazyFunc", ())


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Why an entry of CELERY_BEAT_SCHEDULE cannot run, or is likely not to work."""

    #: "task", "arguments", "schedule" or "options"; "unfit" or "unused" if beat sends the task, but it will not do what is meant.
    kind: str
    entry: str
    sentence: str
    hint: str


class Entry:
    """An entry of the schedule. It finds the faults of the entry."""

    def __init__(self, app: Celery, name: str, fields: Mapping[str, Any]) -> None:
        self.app = app
        self.name = name
        self.fields = fields
        task = fields.get("task")
        self.task: Any = app.tasks.get(task) if isinstance(task, str) else None
        #: Whether the class of its task may change arguments and options before Celery sees them.
        self.is_changed = self.task is not None and has_own(self.task, "apply_async")
        self.args, self.kwargs = fields.get("args") or (), fields.get("kwargs") or {}

    def faults(self) -> Iterator[Fault]:
        """Yield the faults that matter to any scheduler."""
        if self.task is None:
            task = str(self.fields.get("task"))
            yield self._fault("task", f'its task "{task}" is not registered', _close(self.app, task))
        yield from self._arguments()
        yield from self._schedule(self.fields.get("schedule"))

    def faults_of_celerys(self, known: Mapping[str, Option], *, kept: Callable[[], bool]) -> Iterator[Fault]:
        """Yield the faults that matter to Celery's own schedulers. A message can have the options `known`.

        `kept` says whether beat writes the entry to a file.

        That is asked only if the entry could not be written, because the answer may take longer than all the rest.
        """
        yield from self._keys()
        yield from self._options(self.fields.get("options"), known)
        yield from self._unstorable(kept)

    def _fault(self, kind: str, sentence: str, hint: str) -> Fault:
        return Fault(kind=kind, entry=self.name, sentence=sentence, hint=hint)

    def _arguments(self) -> Iterator[Fault]:
        if isinstance(self.args, (str, bytes, Mapping, Iterator)) or not isinstance(self.args, Iterable):
            form = f"write ({_short(self.args)},) with a comma, or [{_short(self.args)}]"
            hint = "write a list or a tuple" if isinstance(self.args, (Mapping, Iterator)) else form
            yield self._fault("arguments", f"its args are {_short(self.args)}, which is no list and no tuple", hint)
        elif not isinstance(self.kwargs, Mapping) or not all(isinstance(key, str) for key in self.kwargs):
            yield self._fault(
                "arguments",
                f"its kwargs are {_short(self.kwargs)}, which is no dictionary of names",
                'write {"name": value}',
            )
        elif self.task is not None:
            yield from self._misfit(tuple(self.args), dict(self.kwargs))

    def _misfit(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[Fault]:
        kind, why = "", ""
        if not surely_takes(self.task, args, kwargs):
            kind, why = self._why_unfit(args, kwargs)
        if why:
            sentence = f'its arguments do not fit "{self.task.name}": {why}'
            shape = describe(signature_of(self.task).shown)
            yield self._fault(kind, sentence, f"{self.task.name} is called with {shape}")
        if kind == "arguments" or self.is_changed:
            return
        if not any(isinstance(value, _LAZY) for value in (*args, *kwargs.values())):
            yield from self._unsendable(args, kwargs)

    def _why_unfit(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[str, str]:
        """Return the kind of the fault, and why the task does not take the call; "" for both if it does."""
        signature = signature_of(self.task)
        try:
            signature.check(args, kwargs)
        except TypeError as error:
            return "arguments", str(error)
        why = signature.misfit(args, kwargs)
        return ("unfit", why) if why else ("", "")

    def _unsendable(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[Fault]:
        if DUMP_MODELS.get(self.task) is not None:  # it turns models into plain values
            return
        try:
            options = self.fields.get("options")
            serializer = options.get("serializer") if isinstance(options, dict) else None
            serialization.write_arguments(self.app, self.task, self.task.name, args, kwargs, serializer=serializer)
        except ArgumentError as error:
            yield self._fault("arguments", f"t{error.sentence[1:].rstrip('.')}", error.hint)

    def _schedule(self, schedule: Any) -> Iterator[Fault]:
        span = getattr(schedule, "run_every", None) if type(schedule) is Every else schedule
        if isinstance(span, bool) or not isinstance(span, (int, float, timedelta, BaseSchedule)):
            hint = "give seconds, a timedelta, or a schedule of celery.schedules such as crontab(hour=7)"
            yield self._fault("schedule", f"its schedule is {_short(schedule)}, which is no schedule", hint)
        elif not isinstance(span, BaseSchedule):
            why = _uncountable(span)
            if why:
                yield self._fault("schedule", f"its schedule is {_short(span)}, {why}", "give seconds or a timedelta")

    def _keys(self) -> Iterator[Fault]:
        for key in self.fields:
            if key not in _FILLED:
                sentence = f'"{shown(str(key))}" is none of {", ".join(KEYS)}'
                yield self._fault("schedule", sentence, _place_of(str(key), self.fields[key]))

    def _options(self, options: Any, known: Mapping[str, Option]) -> Iterator[Fault]:
        if not options or self.is_changed:
            return
        if not isinstance(options, dict) or not all(isinstance(key, str) for key in options):
            sentence = f"its options are {_short(options)}, which is no dictionary of names"
            yield self._fault("options", sentence, 'write {"queue": ..., "expires": ...}')
            return
        for name, value in options.items():
            why = option_fault(name, value, known)
            if why:
                yield self._fault(
                    "options", f'its option "{name}" is {_short(value)}, which is {why}', _form(name, known)
                )
            elif is_ignored(name, value):
                sentence = f'its option "{name}" is {_short(value)}, which is not {known[name].form}'
                yield self._fault("unused", sentence, _form(name, known))
            elif name not in OPTIONS and close_matches(name, OPTIONS):
                hint = f"did you mean {close_matches(name, OPTIONS)[0]}?"
                yield self._fault("unused", f'nobody reads its option "{shown(name)}"', hint)

    def _unstorable(self, kept: Callable[[], bool]) -> Iterator[Fault]:
        try:
            pickle.dumps([self.fields.get(key) for key in KEYS])
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - an object that cannot be pickled may raise anything
            if not kept():
                return
            hint = "name functions at the top of a module, and give plain values"
            yield self._fault("schedule", f"beat cannot keep it in its file: {reason(error)}", hint)


def _uncountable(span: float | timedelta) -> str:
    try:
        seconds = span if isinstance(span, timedelta) else timedelta(seconds=span)
        datetime.now(timezone.utc) + seconds
    except (OverflowError, ValueError):
        return "which leads to no time"
    return "at which it would be sent without a pause" if seconds <= timedelta(0) else ""


def _place_of(key: str, value: Any) -> str:
    if key in OPTIONS:
        return f'write "options": {{"{key}": {_short(value)}}}'
    close = close_matches(key, KEYS)
    return f"did you mean {close[0]}?" if close else "take it out"


def _form(name: str, options: Mapping[str, Option]) -> str:
    return f"{name} takes {options[name].form}" if name in options else "leave it out: it belongs beside the options"


def _short(value: Any) -> str:
    return tried(lambda: shown(repr(value)), lambda _: f"an object of {type(value).__name__}")


def _close(app: Celery, name: str) -> str:
    close = close_matches(name, names(app))
    if close:
        return f"did you mean {' or '.join(close)}?"
    return "manage.py showtasks lists the registered tasks; if other workers alone know it, silence this check"
