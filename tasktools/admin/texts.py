"""What a failed task says of itself -> text that is safe and short on a page. It all comes from strangers.

The template engine escapes HTML; here characters become visible that change the direction of writing or control a terminal.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext_lazy as _

from tasktools import terminal
from tasktools.failures.message import Kept
from tasktools.models import FailedTask

#: A page shows so many characters of one text, and links to the whole.
MOST_SHOWN = 20_000
#: A longer JSON text is shown as it is.
MOST_PRETTY = 1_000_000

#: Celery's own text of the arguments: it knows nothing of what the hook masks.
_ARGUMENTS = ("argsrepr", "kwargsrepr")


@dataclass(frozen=True, kw_only=True)
class Text:
    """One text of a failed task, for its page."""

    #: As in the URL of the whole.
    name: str
    label: str
    shown: str
    #: Characters of the whole.
    length: int
    is_folded: bool

    @property
    def is_cut(self) -> bool:
        return self.length > len(self.shown)


def word(value: str, longest: int = 4000) -> SafeString:
    """Return a name: one line, cut, and written in its own direction. An escape is up to ten characters."""
    text = terminal.line(value)
    text = text if len(text) <= longest else f"{text[:longest]}…"
    # A long name breaks after a dot rather than in the middle of a word.
    return format_html("<bdi>{}</bdi>", mark_safe(conditional_escape(text).replace(".", ".<wbr>")))


def pair(first: str, second: str) -> SafeString:
    """Return a cell of the list: what is looked for, and a quieter line below it."""
    return format_html('<span class="tt-first">{}</span><span class="tt-second">{}</span>', first, second)


def pretty(text: str) -> str:
    """Return JSON on several lines; another text, and one that is very long, as it is."""
    if len(text) > MOST_PRETTY:
        return text
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


def message(row: FailedTask) -> str:
    """Return the message without its body and without the arguments in its headers, which the hook may have masked."""
    try:
        kept = Kept.read(row.message, None)
        headers = {name: each for name, each in _mapping(kept.headers).items() if name not in _ARGUMENTS}
        parts = {
            "headers": headers,
            "properties": kept.properties,
            "delivery_info": kept.delivery_info,
            "content_type": kept.content_type,
            "content_encoding": kept.content_encoding,
        }
        text = json.dumps(parts, indent=2, ensure_ascii=False, default=str)
    except (ValueError, TypeError, RecursionError):
        return str(_("The message cannot be read."))
    return text


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


#: The name, the label, whether it is folded, and what it is read from.
_TEXTS: tuple[tuple[str, Any, bool, Callable[[FailedTask], str]], ...] = (
    ("reason", _("Reason"), False, lambda row: row.reason),
    ("arguments", _("Arguments"), False, lambda row: pretty(row.arguments)),
    ("traceback", _("Traceback"), False, lambda row: row.traceback),
    ("message", _("Message: headers and properties"), True, message),
)
NAMES = tuple(name for name, *_ in _TEXTS)


def shown(row: FailedTask) -> list[Text]:
    """Return each text that the row has, cut for its page."""
    found = ((name, label, is_folded, terminal.block(read(row))) for name, label, is_folded, read in _TEXTS)
    return [
        Text(name=name, label=str(label), shown=text[:MOST_SHOWN], length=len(text), is_folded=is_folded)
        for name, label, is_folded, text in found
        if text
    ]


def whole(row: FailedTask, name: str) -> str:
    """Return all of the text of one of NAMES."""
    return next(terminal.block(read(row)) for each, _label, _folded, read in _TEXTS if each == name)
