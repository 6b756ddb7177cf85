"""The event task-sent of one call -> those of many calls (`task_send_sent_event`)."""

from __future__ import annotations

import json
import time
from base64 import b64decode
from binascii import b2a_base64
from typing import TYPE_CHECKING, Any

from celery.utils.time import utcoffset
from kombu.utils.json import dumps

from tasktools.publishing.message_template import Slotted, mark

if TYPE_CHECKING:
    from celery import Celery

_OUTER = ("body", "tag")
_INNER = ("id", "args", "kwargs", "clock", "timestamp", "utcoffset")

#: What is no text in the event, and has no quotes.
_NUMBERS = ("clock", "timestamp", "utcoffset")


class EventTemplate:
    """The text of the message of an event with places for what differs."""

    def __init__(self, app: Celery, message: Any, task_id: str) -> None:
        """Make the template from the message that Celery has sent for the call with this id.

        Raises KeyError, TypeError or ValueError for a message that is no such event in JSON.
        """
        self._clock: Any = app.clock  # type: ignore[attr-defined]
        event: dict[str, Any] = json.loads(b64decode(message["body"]))
        self._learned = tuple(event[name] for name in _NUMBERS)
        marked = {**event, "args": mark("args"), "kwargs": mark("kwargs"), **{each: mark(each) for each in _NUMBERS}}
        marked |= {each: mark("id") for each in ("uuid", "root_id") if event.get(each) == task_id}
        text = dumps(marked)
        for each in _NUMBERS:
            text = text.replace(f'"{mark(each)}"', mark(each))
        self._inner = Slotted(text, _INNER)
        properties = {**message["properties"], "delivery_tag": mark("tag")}
        self._outer = Slotted(dumps({**message, "body": mark("body"), "properties": properties}), _OUTER)

    def render(self, task_id: str, args: str, kwargs: str, tag: str) -> str:
        """Return the message of the event of a call that is sent now. The texts are JSON already, without quotes."""
        return self._filled((task_id, args, kwargs, self._clock.forward(), time.time(), utcoffset()), tag)

    def rendered_again(self, task_id: str, args: str, kwargs: str, tag: str) -> str:
        """Return the message that the template was made from, if the texts are those of its call."""
        return self._filled((task_id, args, kwargs, *self._learned), tag)

    def _filled(self, texts: tuple[object, ...], tag: str) -> str:
        body = b2a_base64(self._inner.fill(texts).encode(), newline=False).decode()
        return self._outer.fill((body, tag))
