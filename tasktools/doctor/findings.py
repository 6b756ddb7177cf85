"""What the doctor says: lines in sections."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tasktools.brokers.reach import reason_at_end
from tasktools.exceptions import TasktoolsError

OK, WARNING, ERROR = "ok", "warning", "error"


@dataclass(frozen=True, kw_only=True)
class Line:
    """One thing that was looked at."""

    #: OK, WARNING or ERROR.
    status: str
    #: What was looked at, in a word or two.
    name: str
    #: What it is, or a sentence that says what is wrong.
    text: str
    #: What fixes it; "" if nothing is wrong.
    remedy: str = ""
    #: Where a setting comes from: "default", "environment: CELERY_BROKER_URL", ...; "" for what is no setting.
    source: str = ""
    #: How long the answer took, in seconds; None if nothing was measured.
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Section:
    """Lines about one part of the site."""

    name: str
    lines: list[Line] = field(default_factory=list)


def ok(name: str, text: str, *, seconds: float | None = None, source: str = "") -> Line:
    return Line(status=OK, name=name, text=text, seconds=seconds, source=source)


def warning(name: str, text: str, remedy: str) -> Line:
    return Line(status=WARNING, name=name, text=text, remedy=remedy)


def error(name: str, text: str, remedy: str) -> Line:
    return Line(status=ERROR, name=name, text=text, remedy=remedy)


def of_error(name: str, problem: TasktoolsError) -> Line:
    """Return the line of an error that tasktools has raised; `cause_of` returns the error."""
    made = error(name, " ".join([problem.sentence, *problem.more]), problem.hint)
    vars(made)["cause"] = problem  # no field: it is not printed
    return made


def of_any(name: str, problem: BaseException) -> Line:
    """Return the line of any error: settings and code of the project, and answers of workers, may cause each."""
    if isinstance(problem, TasktoolsError):
        return of_error(name, problem)
    sentence = f"The lines about {name} cannot be made: {type(problem).__name__}: {reason_at_end(problem)}"
    shown = TasktoolsError(sentence, hint="the same command with --traceback shows where")
    shown.__cause__ = problem
    return of_error(name, shown)


def tried(name: str, lines: Callable[[], Iterable[Line]]) -> list[Line]:
    """Return lines; an error becomes one, and those before it are kept."""
    made: list[Line] = []
    try:
        made.extend(lines())
    except Exception as problem:  # noqa: BLE001 - see of_any
        made.append(of_any(name, problem))
    return made


def cause_of(line: Line) -> TasktoolsError | None:
    """Return the error that a line is about; None if it is about none."""
    return vars(line).get("cause")


def count(sections: Iterable[Section], status: str) -> int:
    """Return how many lines have this status."""
    return sum(line.status == status for section in sections for line in section.lines)


def listed(names: Iterable[str], most: int = 5) -> str:
    """Return names for a sentence, the first `most` of them, and how many more there are."""
    ordered = sorted(names)
    more = len(ordered) - most
    return ", ".join(ordered[:most]) + (f" and {more} more" if more > 0 else "")
