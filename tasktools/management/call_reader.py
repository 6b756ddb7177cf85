"""Lines of JSON or CSV -> calls. Each is checked like a single call."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from tasktools.arguments.binding import Bound
from tasktools.arguments.call import CALL_OPTIONS, Call
from tasktools.arguments.names import resolve, shown, shown_path
from tasktools.arguments.nesting import may_be_deep, require_shallow
from tasktools.arguments.values import Checker
from tasktools.exceptions import ArgumentError, TasktoolsError
from tasktools.management.call_options import calling_options
from tasktools.management.csv_rows import DELIMITERS, Row, cells, delimited, rows
from tasktools.management.input_lines import Line
from tasktools.management.line_text import OLD_MAC, json_of, shown_text, text_of
from tasktools.publishing.single import app_of
from tasktools.registry.registry import names, signature_of
from tasktools.registry.serialization import require_read, serializer_of, write_arguments

if TYPE_CHECKING:
    from celery import Celery

_FIELDS = ("task", "args", "kwargs", "options")


class Fed(NamedTuple):
    """A line that was read."""

    number: int
    #: The call that it holds; None for a bad line.
    call: Call | None
    #: The unchanged line, and what is wrong with it.
    text: str = ""
    why: str = ""
    #: The last line of a row of CSV that has several lines.
    last: int = 0
    #: Whether nothing after it can be read.
    is_end: bool = False

    @property
    def upto(self) -> int:
        """The last of its lines."""
        return self.last or self.number

    def as_json(self) -> str:
        """Return what the file of --skip-bad says about it."""
        return json.dumps({"line": self.number, "error": self.why, "text": self.text})


class Feeder:
    """Makes calls from lines. With a task, each line holds its arguments; without a task, each line holds a whole call."""

    def __init__(
        self, app: Celery, task: str | None, options: Mapping[str, Any], load_rest_for: Callable[[str], None]
    ) -> None:
        self.app = app
        #: Imports what may hold the task of this name, if no tasks module holds it.
        self.load_rest_for = load_rest_for
        self.task = task
        self.options = options
        self._checkers: dict[str, Checker] = {}
        self._names: dict[str, str] = {}
        self._delimiter = ","
        #: Tasks whose arguments the serializer may not carry.
        self._risky: set[str] = set()
        if task:
            self._checker(task)  # an error in the task is not an error in a line

    def json_lines(self, lines: Iterator[Line | None]) -> Iterator[Fed | None]:
        """Yield what each line holds; None if no line has come for a while. Empty lines are skipped."""
        make = self._arguments if self.task else self._whole
        for line in lines:
            if line is None:
                yield None
            elif line.data is None or line.data.strip():
                yield _fed(line, make)

    def csv_rows(
        self, lines: Iterator[Line | None], delimiter: str | None = None, *, name: str
    ) -> Iterator[Fed | None]:
        """Yield what each row after the header holds. A row of several lines has the number of its first.

        Without a `delimiter`, the header shows it. `name` is that of the file.

        Raises ArgumentError for a header that cannot be used: without it nothing can be read.
        """
        self._delimiter, lines = delimited(lines, delimiter)
        read = rows(lines, self._delimiter)
        first = next((row for row in read if row is not None), None)
        try:
            header = self._header(first) if first else []
        except ArgumentError as error:
            place = f'Line {first.number if first else 1} of "{shown_path(name)}", the header'
            raise ArgumentError(f"{place}, is bad: {error.sentence}", hint=error.hint) from error
        for row in read:
            if row is None:
                yield None
            elif row.endless:
                yield Fed(row.number, None, shown_text(row), row.endless, row.last, is_end=True)
            else:
                yield _fed(row, lambda text: self._cells(header, text), row.last)

    def _header(self, line: Row) -> list[str]:
        """Return the names of the columns. Raises ArgumentError."""
        if line.endless:
            raise ArgumentError(line.endless, hint="close the quote, or make the row shorter")
        if b"\r" in (line.data or b"").strip():
            raise ArgumentError(OLD_MAC)
        header = [name.strip() for name in cells(text_of(line).removeprefix("\ufeff"), self._delimiter)]
        if header[-1:] == [""]:
            what = f'it ends with "{shown(self._delimiter)}", after which no column is named.'
            raise ArgumentError(what, hint="take it out, there and in each row")
        twice = next((name for name in header if header.count(name) > 1 or not name), None)
        if twice is not None:
            raise ArgumentError(
                f'it names "{shown(twice)}" twice or not at all.', hint="each column is a parameter of the task"
            )
        known = self._checker(self.task or "")
        for name in header:
            if not name.isidentifier():  # no function has such a parameter, not even one of **kwargs
                between = DELIMITERS.get(self._delimiter, self._delimiter)
                hint = f"each column is a parameter of the task, and the cells are divided by {between} (--delimiter)"
                raise ArgumentError(f'it names "{shown(name)}", which is no name of a parameter.', hint=hint)
            known.require_keyword(name)
        return header

    def _cells(self, header: list[str], text: str) -> Call:
        found = cells(text, self._delimiter)
        if len(found) != len(header):
            raise ArgumentError(f"it has {len(found)} cells, the header {len(header)}.")
        bound = self._checker(self.task or "").cells(dict(zip(header, found, strict=True)))
        if may_be_deep(text):
            require_shallow((*bound.args, *bound.kwargs.values()))
        return self._call(self.task or "", bound)

    def _arguments(self, text: str) -> Call:
        value = json_of(text)
        if may_be_deep(text) and type(value) in (list, dict):
            require_shallow(value)
        task = self.task or ""
        checker = self._checkers.get(task) or self._checker(task)
        if type(value) is list:
            if value and type(value[0]) is dict:
                self._refuse_many(value, checker)
            bound = checker.values(value, {})
        elif type(value) is dict:
            bound = checker.values((), value)
        else:
            raise ArgumentError("it is neither an array of arguments nor an object of keywords.")
        if task in self._risky:
            self._check_wire(task, bound)
        return Call(task, *bound, self.options)

    @staticmethod
    def _refuse_many(value: list[Any], checker: Checker) -> None:
        """Raise ArgumentError for an array of objects that are calls: it would be one call, an object for each place."""
        names = checker.names
        if names and all(type(each) is dict and each and names.issuperset(each) for each in value):
            raise ArgumentError(
                "it is an array of calls: write each object on a line of its own (jq -c '.[]' does it)."
            )

    def _check_wire(self, task: str, bound: Bound) -> None:
        write_arguments(self.app, self.app.tasks.get(task), task, bound.args, bound.kwargs)

    def _whole(self, text: str) -> Call:
        value = json_of(text)
        if type(value) is not dict or not isinstance(value.get("task"), str):
            raise ArgumentError('it is no object with a "task".')
        unknown = sorted(set(value) - set(_FIELDS))
        if unknown:
            raise ArgumentError(f'"{shown(unknown[0])}" is none of {", ".join(_FIELDS)}.')
        args, kwargs, options = value.get("args", []), value.get("kwargs", {}), value.get("options", {})
        if type(args) is not list or type(kwargs) is not dict or type(options) is not dict:
            raise ArgumentError('"args" is an array, "kwargs" and "options" are objects.')
        if may_be_deep(text):
            require_shallow([*args, *kwargs.values(), options])
        name = self._resolved(value["task"])
        return self._call(name, self._checker(name).values(args, kwargs), self._own_options(options))

    def _own_options(self, given: dict[str, Any]) -> Mapping[str, Any]:
        if not given:
            return self.options
        unknown = sorted(set(given) - set(CALL_OPTIONS))
        if unknown:
            raise ArgumentError(f'the option "{shown(unknown[0])}" is none of {", ".join(CALL_OPTIONS)}.')
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
            checker = Checker(None if task is None else signature_of(task), name)
            serializer = serializer_of(self.app, task)
            require_read(self.app, task, name)
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


def _fed(line: Line | Row, make: Callable[[str], Call], last: int = 0) -> Fed:
    try:
        return Fed(line.number, make(text_of(line)), "", "", last)
    except TasktoolsError as error:
        return Fed(line.number, None, shown_text(line), error.sentence, last)
