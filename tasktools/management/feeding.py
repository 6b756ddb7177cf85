"""Lines of JSON or CSV -> calls, each checked as a single call is."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from tasktools.arguments import Bound, signature_of
from tasktools.calls import Call
from tasktools.checker import Checker
from tasktools.exceptions import ArgumentError, TasktoolsError
from tasktools.lines import LONGEST_LINE, Line
from tasktools.management.calling import calling_options
from tasktools.naming import resolve, shown
from tasktools.publish import app_of
from tasktools.registry import function_of, names
from tasktools.wire import write_arguments

_FIELDS = ("task", "args", "kwargs", "options")
_OPTIONS = ("queue", "countdown", "eta", "expires", "priority", "task_id", "ignore_result")


class Fed(NamedTuple):
    """A line that was read."""

    number: int
    #: What it is worth; None for a bad one.
    call: Call | None
    #: The line as it stands, and what is wrong with it.
    text: str = ""
    why: str = ""


class Feeder:
    """Makes calls of lines; with a task each line holds its arguments, without one the whole call."""

    def __init__(
        self, app: Any, task: str | None, options: Mapping[str, Any], load_rest_for: Callable[[str], None]
    ) -> None:
        self.app = app
        #: Imports what may hold the task of this name, if no tasks module does.
        self.load_rest_for = load_rest_for
        self.task = task
        self.options = options
        self._checkers: dict[str, Checker] = {}
        self._names: dict[str, str] = {}
        #: Tasks whose arguments the serializer may not carry.
        self._risky: set[str] = set()

    def json_lines(self, lines: Iterator[Line | None]) -> Iterator[Fed | None]:
        """Yield what each line holds; None where there is none for a while. Empty lines hold nothing."""
        make = self._arguments if self.task else self._whole
        for line in lines:
            if line is None:
                yield None
            elif line.data is None or line.data.strip():
                yield _fed(line, make)

    def csv_rows(self, lines: Iterator[Line | None]) -> Iterator[Fed | None]:
        """Yield what each row behind the header holds. A row with a quoted line break has the number of its last line."""
        rows = _rows(lines)
        first = next((row for row in rows if row is not None), None)
        header = self._header(first) if first else []
        for row in rows:
            yield None if row is None else _fed(row, lambda text: self._cells(header, text))

    def _header(self, line: Line) -> list[str]:
        """Return the names of the columns. Raises ArgumentError: without them nothing can be read."""
        try:
            header = [name.strip() for name in _row(_text(line).removeprefix("\ufeff"))]
        except ArgumentError as error:
            raise ArgumentError(f"Line 1, the header, cannot be read: {error.sentence}", hint=error.hint) from error
        twice = next((name for name in header if header.count(name) > 1 or not name), None)
        if twice is not None:
            raise ArgumentError(
                f'The header names "{shown(twice)}" twice or not at all.', hint="each column is a parameter of the task"
            )
        known = self._checker(self.task or "")
        for name in header:
            known._called(name)
        return header

    def _cells(self, header: list[str], text: str) -> Call:
        cells = _row(text)
        if len(cells) != len(header):
            raise ArgumentError(f"it has {len(cells)} cells, the header {len(header)}.")
        return self._call(self.task or "", self._checker(self.task or "").cells(dict(zip(header, cells, strict=True))))

    def _arguments(self, text: str) -> Call:
        value = _parsed(text)
        task = self.task or ""
        checker = self._checkers.get(task) or self._checker(task)
        if type(value) is list:
            bound = checker.values(value, {})
        elif type(value) is dict:
            bound = checker.values((), value)
        else:
            raise ArgumentError("it is neither an array of arguments nor an object of keywords.")
        if task in self._risky:
            self._check_wire(task, bound)
        return Call(task, *bound, self.options)

    def _check_wire(self, task: str, bound: Bound) -> None:
        write_arguments(self.app, self.app.tasks.get(task), task, bound.args, bound.kwargs)

    def _whole(self, text: str) -> Call:
        value = _parsed(text)
        if type(value) is not dict or not isinstance(value.get("task"), str):
            raise ArgumentError('it is no object with a "task".')
        unknown = sorted(set(value) - set(_FIELDS))
        if unknown:
            raise ArgumentError(f'"{shown(unknown[0])}" is none of {", ".join(_FIELDS)}.')
        args, kwargs, options = value.get("args", []), value.get("kwargs", {}), value.get("options", {})
        if type(args) is not list or type(kwargs) is not dict or type(options) is not dict:
            raise ArgumentError('"args" is an array, "kwargs" and "options" are objects.')
        name = self._resolved(value["task"])
        return self._call(name, self._checker(name).values(args, kwargs), self._own_options(options))

    def _own_options(self, given: dict[str, Any]) -> Mapping[str, Any]:
        if not given:
            return self.options
        unknown = sorted(set(given) - set(_OPTIONS))
        if unknown:
            raise ArgumentError(f'the option "{shown(unknown[0])}" is none of {", ".join(_OPTIONS)}.')
        return {**self.options, **calling_options(self.app, given)}

    def _resolved(self, name: str) -> str:
        if name not in self._names:
            self.load_rest_for(name)
            found = resolve(name, names(self.app, builtin=True))
            if app_of(self.app, found) is not self.app:
                raise ArgumentError(
                    f"{found} is a task of another app, with a broker of its own: enqueue {found} --from FILE."
                )
            self._names[name] = found
        return self._names[name]

    def _checker(self, name: str) -> Checker:
        if name not in self._checkers:
            task = self.app.tasks.get(name)
            checker = Checker(None if task is None else signature_of(function_of(task)), name)
            serializer = getattr(task, "serializer", None) or self.app.conf.task_serializer
            if not checker.is_plain or serializer not in ("json", "pickle"):
                self._risky.add(name)
            self._checkers[name] = checker
        return self._checkers[name]

    def _call(self, name: str, bound: Bound, options: Mapping[str, Any] | None = None) -> Call:
        if name in self._risky:
            self._check_wire(name, bound)
        return Call(
            task=name, args=bound.args, kwargs=bound.kwargs, options=self.options if options is None else options
        )


def _fed(line: Line, make: Callable[[str], Call]) -> Fed:
    try:
        return Fed(line.number, make(_text(line)))
    except TasktoolsError as error:
        return Fed(line.number, None, _shown_text(line), error.sentence)


def _text(line: Line) -> str:
    if line.data is None:
        raise ArgumentError(f"it is longer than {LONGEST_LINE >> 20} MB.")
    try:
        return line.data.decode()
    except UnicodeDecodeError as error:
        raise ArgumentError(f"it is not UTF-8: byte {error.start + 1} is 0x{line.data[error.start]:02x}.") from None


def _shown_text(line: Line) -> str:
    return "" if line.data is None else line.data.decode("utf-8", "backslashreplace")


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ArgumentError(f"it is not JSON: {error}.") from None
    except RecursionError:
        raise ArgumentError("its JSON is nested too deeply.") from None


def _rows(lines: Iterator[Line | None]) -> Iterator[Line | None]:
    """Put lines together whose quotes are not closed."""
    begun, number = b"", 0
    for line in lines:
        number = line.number if line else number
        if line is None or line.data is None:
            yield line
            continue
        data = begun + line.data
        if data.count(b'"') % 2 and len(data) <= LONGEST_LINE:
            begun = data + b"\n"
        else:
            begun = b""
            if data.strip():
                yield Line(line.number, data)
    if begun:
        yield Line(number, begun[:-1])


def _row(text: str) -> list[str]:
    try:
        return next(csv.reader([text], strict=True))
    except (csv.Error, StopIteration) as error:
        raise ArgumentError(f"it is no row of CSV: {error}.") from None
