"""The message of one call -> the messages of many calls, which differ only in ids and arguments.

Celery makes the first message. A template is made from it, and is used only if it gives back exactly that message. So
tasktools always sends what the installed Celery sends (its protocol 2).
"""

from __future__ import annotations

import copy
import json
import os
import re
from binascii import b2a_base64
from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from celery.utils.saferepr import saferepr
from kombu import serialization
from kombu.compression import compress
from kombu.utils.json import JSONEncoder, dumps

from tasktools.celery_compat import ENCODERS

if TYPE_CHECKING:
    from celery import Celery

#: The part of a body after the arguments, for a call without callbacks (celery.app.amqp.as_task_v2).
EMBED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}

#: What differs from message to message.
SLOTS = ("body", "id", "tag", "args", "kwargs")

_MARK = "@@tasktools:{}@@"
_MARKED = re.compile(re.escape(_MARK).replace(r"\{\}", "([a-z]+)"))

#: Longest text and representation that Celery certainly shows in full, in characters.
_LONGEST_TEXT = 100
_LONGEST_REPR = 900


#: An id that is the same in JSON.
_PLAIN_ID = re.compile(r"[\w-]+", re.ASCII)


class Template:
    """The text of a message with places for what differs."""

    def __init__(
        self, message: Mapping[str, Any], task_id: str, encode: Callable[[Any], str], represent: Represent
    ) -> None:
        """Make the template from `message`, which is kombu's message for the call with `task_id`."""
        marked: dict[str, Any] = copy.deepcopy(dict(message))
        headers, properties = marked["headers"], marked["properties"]
        marked["body"] = _MARK.format("body")
        properties["delivery_tag"] = _MARK.format("tag")
        headers["argsrepr"], headers["kwargsrepr"] = _MARK.format("args"), _MARK.format("kwargs")
        for place, key in ((headers, "id"), (headers, "root_id"), (properties, "correlation_id")):
            if place.get(key) == task_id:
                place[key] = _MARK.format("id")
        parts = _MARKED.split(dumps(marked))
        self._text = "%s".join(part.replace("%", "%%") for part in parts[::2])
        self._slots = itemgetter(*(SLOTS.index(slot) for slot in parts[1::2]))
        self._encode = encode
        self._represent = represent

    def render(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], task_id: str, tag: str) -> str:
        """Return the message of a call, as the broker gets it. All parts are already JSON, except an id that somebody typed."""
        kwargs = kwargs if type(kwargs) is dict else dict(kwargs)
        body = self._encode((args, kwargs, EMBED))
        shown = self._represent(args), self._represent(kwargs)
        if not _PLAIN_ID.fullmatch(task_id):
            task_id = json.dumps(task_id)[1:-1]
        text: str = self._text % self._slots((body, task_id, tag, *shown))
        return text


class Represent:
    """Celery's text of arguments for people (argsrepr), as a JSON string without its quotes."""

    def __init__(self, app: Celery) -> None:
        self._limit = app.amqp.argsrepr_maxsize
        levels = app.conf.get("task_repr_maxlevels")  # Celery 5.6 and newer
        self._options = {} if levels is None else {"maxlevels": levels}

    def __call__(self, value: Any) -> str:
        if not value and type(value) is dict:
            return "{}"
        if _is_plain(value):
            text = repr(value)
            if len(text) < _LONGEST_REPR:
                return text
        return str(json.dumps(saferepr(value, self._limit, **self._options)))[1:-1]


def _is_plain(value: Any) -> bool:
    """Whether Celery's text of it is the same as Python's repr, and JSON does not escape any character of it."""
    items = value
    if type(value) is dict:
        items = (*value, *value.values())
    elif type(value) is not tuple:
        return False
    return _NUMBERS.issuperset(map(type, items)) or all(map(_is_plain_item, items))


_NUMBERS = frozenset({int, float, bool, type(None)})


def _is_plain_item(item: Any) -> bool:
    if type(item) is str:
        return len(item) < _LONGEST_TEXT and item.isascii() and item.isprintable() and not _ESCAPED.search(item)
    return type(item) in _NUMBERS


_ESCAPED = re.compile(r"""["'\\]""")


def body_encoder(serializer: str, compression: str | None, body_encoding: str | None) -> Callable[[Any], str]:
    """Return a function that turns a body into the text in the message: serialized, compressed, and encoded with `body_encoding`.

    Raises KeyError for a body encoding that this function does not know.
    """
    serialize = _serializer(serializer)
    if body_encoding not in ("base64", None):
        raise KeyError(body_encoding)

    def encode(body: Any) -> str:
        data = serialize(body)
        if compression:
            data = compress(data, compression)[0]
        if body_encoding is None:
            return json.dumps(data if isinstance(data, str) else data.decode())[1:-1]
        return b2a_base64(data.encode() if isinstance(data, str) else data, newline=False).decode()

    return encode


def _serializer(name: str) -> Callable[[Any], Any]:
    from kombu.utils import json as kombu_json

    registered = ENCODERS.here().get(name)
    if registered is not None and registered.encoder is kombu_json.dumps:
        encode: Callable[[Any], str] = JSONEncoder().encode  # json.dumps makes a new encoder for each call
        return encode
    return lambda body: serialization.dumps(body, name)[2]


def new_tags(count: int) -> list[str]:
    """Return delivery tags in the form of version 4 UUIDs. They are random, except that their last digits count up."""
    start = _uuid(os.urandom(16).hex())[:24]
    return [f"{start}{number:012x}" for number in range(count)]


def random_ids(count: int) -> list[str]:
    """Return random UUIDs of version 4 as text, as uuid.uuid4 gives them."""
    digits = os.urandom(16 * count).hex()
    return [_uuid(digits[at : at + 32]) for at in range(0, 32 * count, 32)]


def _uuid(digits: str) -> str:
    variant = _VARIANT[digits[16]]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


#: The two highest bits of the ninth byte are 10 (RFC 9562, section 4.1).
_VARIANT = {f"{number:x}": f"{8 + number % 4:x}" for number in range(16)}
