"""What showfailed prints of one failed task: all of it, or JSON."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from datetime import tzinfo
from typing import TYPE_CHECKING, Any

from tasktools import render
from tasktools.failures.arguments import LONGEST
from tasktools.failures.message import Kept
from tasktools.management.failed_output import Info, info_of, text_of
from tasktools.models import FailedTask, Kind, State
from tasktools.render import counted

if TYPE_CHECKING:
    from tasktools.management.base import TasktoolsCommand

#: Headers with Celery's own text of the arguments: it knows nothing of what the hook masks.
_UNMASKED = ("argsrepr", "kwargsrepr")

#: The title of what is printed as it is.
_TRACEBACK = "Traceback"

#: How many cells a line has in the narrowest terminal.
_LEAST_ROOM = 10


def show_one(
    command: TasktoolsCommand, row: FailedTask, history: Sequence[FailedTask], zone: tzinfo, *, whole: bool
) -> None:
    """Print all of a failed task; what may hold unmasked arguments only if `whole` is true."""
    sent = _put_back(row)
    if command.as_json:
        command.print_json(_document(row, sent, history, zone, whole=whole))
        return
    fields = [(name, text) for name, text in _fields(row, sent, zone) if text]
    width = max(len(name) for name, _ in fields)
    for name, text in fields:
        _print(command, f"{name:<{width}}  ", text)
    for title, lines in _blocks(row, sent, history, zone, whole=whole):
        command.print_line("")
        command.print_line(title)
        for line in lines:
            if title == _TRACEBACK:  # with its own lines it can be copied, and found by what reads tracebacks
                command.print_line(f"  {command.cleaned(line)}".rstrip())
            else:
                _print(command, "  ", line)


def _put_back(row: FailedTask) -> Kept | None:
    """Put the message that failed into a row that is not to be saved, if another one was sent in its place; return that one."""
    try:
        kept = Kept.read(row.message, row.body)
    except (ValueError, TypeError, KeyError):
        return None
    if kept.original is None:
        return None
    row.message, row.body = kept.original.text(), kept.original.body
    return kept


def _print(command: TasktoolsCommand, head: str, text: str) -> None:
    """Print a line; one that is longer than the terminal goes on below, as far in as it began."""
    text = command.cleaned(text)
    room = shutil.get_terminal_size().columns - len(head)
    parts = folded(text, room) if command.stdout.isatty() else [text]
    for place, part in enumerate(parts):
        command.print_line(f"{head if not place else ' ' * len(head)}{part}".rstrip())


def folded(text: str, room: int) -> list[str]:
    """Return a line as lines of so many cells, broken between words where that is possible."""
    room, parts, start = max(room, _LEAST_ROOM), [], 0
    first = len(text) - len(text.lstrip(" "))  # a line is not broken in what it begins with
    while len(text) - start > room or render.cells(text[start:]) > room:
        end = start + room
        while render.cells(text[start:end]) > room:
            end -= 1
        space = text.rfind(" ", max(first, start + 1), end + 1)
        parts.append(text[start : end if space < 0 else space])
        start = end if space < 0 else space + 1
    return [*parts, text[start:]]


def _fields(row: FailedTask, sent: Kept | None, zone: tzinfo) -> Iterator[tuple[str, str]]:
    yield "Row", f"#{row.pk}"
    yield "Task", row.task or "?"
    yield "Id", row.task_id
    yield "State", str(State(row.state).label) if row.state in State.values else row.state
    yield "How", f"it {Kind(row.kind).label}" if row.kind in Kind.values else row.kind
    yield "Exception", row.exception
    yield "Reason", " ".join(row.reason.split())
    yield "Sent at", text_of(row.sent_at, zone)
    yield "Started at", text_of(row.started_at, zone)
    yield "Failed at", text_of(row.failed_at, zone)
    yield "Queue", row.queue
    yield "Worker", row.worker
    yield "Retries", str(row.retries or "")
    yield "Earlier failures", str(row.failures or "")
    yield "Retry of", row.retry_of
    if row.new_id:
        by = f" by {row.sent_by}" if row.sent_by else ""
        edited = " with other arguments" if sent else ""
        yield "Sent again", f"as {row.new_id}{by}, {text_of(row.sent_again_at, zone)}{edited}"
    yield "Mended at", text_of(row.mended_at, zone)


def _blocks(
    row: FailedTask, sent: Kept | None, history: Sequence[FailedTask], zone: tzinfo, *, whole: bool
) -> Iterator[tuple[str, Sequence[str]]]:
    yield "Arguments", row.arguments.split("\n") if row.arguments else ["(not kept, or not readable)"]
    if row.traceback:
        yield _TRACEBACK, row.traceback.rstrip().split("\n")
    message = _message(row, whole=whole)
    if isinstance(message, str):
        yield "Message", [message]
    else:
        yield "Message", list(_lines(message))
    yield "Body", [_shown_body(row.body, whole=whole)]
    if sent:
        yield "Body that was sent", [_shown_body(sent.body, whole=whole)]
    if len(history) > 1:
        yield "History", [_step(each, zone) for each in history]


def _lines(message: Mapping[str, Any]) -> Iterator[str]:
    for name, value in message.items():
        if isinstance(value, Mapping):
            yield f"{name}:"
            yield from (f"  {each}: {render.as_json(held)}" for each, held in value.items())
        else:
            yield f"{name}: {render.as_json(value)}"


def _step(row: FailedTask, zone: tzinfo) -> str:
    then = f"sent again as {row.new_id}" if row.new_id else "not sent again"
    end = f", mended {text_of(row.mended_at, zone)}" if row.mended_at else ""
    name = row.exception.rpartition(".")[2] or row.kind
    return f"#{row.pk} {text_of(row.failed_at, zone)} {row.task_id} {name}: {then}{end}"


def _message(row: FailedTask, *, whole: bool) -> dict[str, Any] | str:
    """Return what the message consists of beside its body."""
    try:
        kept = Kept.read(row.message, None)
    except (ValueError, TypeError):
        return "(cannot be read in the table)"
    return {
        "headers": {name: each for name, each in kept.headers.items() if whole or name not in _UNMASKED},
        "properties": kept.properties,
        "delivery_info": kept.delivery_info,
        "content_type": kept.content_type,
        "content_encoding": kept.content_encoding,
    }


def _body(kept: bytes | memoryview | None) -> tuple[str, str]:
    """Return a body as text for a person, and how it is written: "utf-8", "hex", or "" if it was not kept."""
    if kept is None:
        return "(not kept)", ""
    body = bytes(kept)
    try:
        return body.decode(), "utf-8"
    except UnicodeDecodeError:
        return body.hex(), "hex"


def _shown_body(kept: bytes | memoryview | None, *, whole: bool) -> str:
    """Return a body, cut, or how long it is."""
    if kept is None:
        return "(not kept)"
    if not whole:
        return f"{counted(len(bytes(kept)), 'byte')}: --body prints them, with arguments that are not masked"
    text, _ = _body(kept)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text):,} characters: --json prints all of them)"


def _document(
    row: FailedTask, sent: Kept | None, history: Sequence[FailedTask], zone: tzinfo, *, whole: bool
) -> dict[str, Any]:
    """Return what --json prints of one row."""
    body, form = _body(row.body)
    found: dict[str, Any] = {name: getattr(info_of(row, zone), name) for name in Info.__dataclass_fields__}
    return {
        **found,
        "arguments": render_arguments(row.arguments),
        "traceback": row.traceback,
        "message": None if isinstance(message := _message(row, whole=whole), str) else message,
        "body": body if form and whole else None,
        "body_form": form if form and whole else None,
        "body_size": None if row.body is None else len(bytes(row.body)),
        "is_edited": sent is not None,
        "sent_body": _body(sent.body)[0] if sent and whole else None,
        "history": [info_of(each, zone) for each in history],
    }


def render_arguments(text: str) -> Any:
    """Return readable arguments as their JSON, if they are JSON; None if there are none."""
    from tasktools.arguments.nesting import loads

    try:
        return loads(text) if text else None
    except Exception:  # noqa: BLE001 - it is shown as it is
        return text
