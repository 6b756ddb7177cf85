"""The message of one call -> the messages of many calls, which differ only in ids and arguments.

Celery makes the first message. A template is made from it, and is used only if it gives back exactly that message. So
tasktools always sends what the installed Celery sends (its protocol 2).
"""

from __future__ import annotations

import itertools
import json
import os
import re
from binascii import b2a_base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from celery.utils.saferepr import saferepr
from kombu import serialization
from kombu.compression import compress
from kombu.utils.json import JSONEncoder, dumps

from tasktools.celery_compat import ENCODERS
from tasktools.publishing.sent_time import TIMESTAMP

if TYPE_CHECKING:
    from celery import Celery

#: The part of a body after the arguments, for a call without callbacks (celery.app.amqp.as_task_v2).
EMBED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


def _json_encoder() -> Callable[[Any], str]:
    """Return a function that does what kombu's json.dumps does, without a new encoder for each call."""
    own, make = JSONEncoder(), getattr(json.encoder, "c_make_encoder", None)
    if make is None:  # a Python without the C code
        plain: Callable[[Any], str] = own.encode
        return plain
    text, separators = json.encoder.encode_basestring_ascii, (own.key_separator, own.item_separator)
    pieces = make(None, own.default, text, None, *separators, own.sort_keys, own.skipkeys, own.allow_nan)
    return lambda value: "".join(pieces(value, 0))


to_json = _json_encoder()

_EMBED = to_json(EMBED)

#: What differs from message to message. `more` are headers behind those that Celery sets, `time` is a number (`sent_time`).
SLOTS = ("body", "id", "tag", "args", "kwargs", "shadow", "more", "time")

_MARK = "@@tasktools:{}@@"
_MARKED = re.compile(re.escape(_MARK).replace(r"\{\}", "([a-z]+)"))

#: Longest text and representation that Celery certainly shows in full, in characters.
_LONGEST_TEXT = 100
_LONGEST_REPR = 900


#: An id that is the same in JSON.
_PLAIN_ID = re.compile(r"[\w-]+", re.ASCII)


def mark(slot: str) -> str:
    """Return the text that stands for a slot in what is given to `Slotted`."""
    return _MARK.format(slot)


class Slotted:
    """A JSON text with places for what differs."""

    def __init__(self, text: str, slots: Sequence[str]) -> None:
        """`text` contains marks; `slots` is the order in which `fill` takes the texts for them."""
        parts = _MARKED.split(text)
        self._text = "%s".join(part.replace("%", "%%") for part in parts[::2])
        self._slots = itemgetter(*(slots.index(slot) for slot in parts[1::2]))

    def fill(self, texts: tuple[object, ...]) -> str:
        """Return the text with these texts in its slots. They are JSON already."""
        text: str = self._text % self._slots(texts)
        return text


class Template:
    """The text of a message with places for what differs."""

    def __init__(
        self, message: Mapping[str, Any], headers: Mapping[str, Any], task_id: str, *, is_stamped: bool
    ) -> None:
        """Make the template from `message`, which is kombu's message for the call with `task_id`.

        `headers` are those that Celery has set itself. `is_stamped` says whether a receiver has added the time.
        """
        marked = {**headers, "argsrepr": mark("args"), "kwargsrepr": mark("kwargs")}
        if headers.get("shadow") is not None:
            marked["shadow"] = mark("shadow")
        properties = {**message["properties"], "delivery_tag": mark("tag")}
        if is_stamped:
            properties[TIMESTAMP] = mark("time")
        for place, key in ((marked, "id"), (marked, "root_id"), (properties, "correlation_id")):
            if place.get(key) == task_id:
                place[key] = mark("id")
        marked[mark("more")] = None
        text = dumps({**message, "body": mark("body"), "headers": marked, "properties": properties})
        text = text.replace(f', "{mark("more")}": null', mark("more")).replace(f'"{mark("time")}"', mark("time"))
        self._slotted = Slotted(text, SLOTS)
        #: Return the message with these texts in SLOTS, as the broker gets it.
        self.fill = self._slotted.fill


def id_text(task_id: str) -> str:
    """Return an id as it stands in JSON, without quotes."""
    return task_id if _PLAIN_ID.fullmatch(task_id) else json.dumps(task_id)[1:-1]


class Represent:
    """Celery's text of arguments for people (argsrepr)."""

    def __init__(self, app: Celery) -> None:
        self._limit = app.amqp.argsrepr_maxsize
        levels = app.conf.get("task_repr_maxlevels")  # Celery 5.6 and newer
        self._options = {} if levels is None else {"maxlevels": levels}

    def __call__(self, value: Any) -> tuple[str, str]:
        """Return the text, and the same as a JSON string without its quotes."""
        if not value and type(value) is dict:
            return "{}", "{}"
        if _is_plain(value):
            text = repr(value)
            if len(text) < _LONGEST_REPR:
                return text, text
        text = str(saferepr(value, self._limit, **self._options))
        return text, json.dumps(text)[1:-1]


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


def _json_body(body: tuple[Any, Any, Any]) -> str:
    args, kwargs, embed = body
    return f"[{to_json(args)}, {to_json(kwargs) if kwargs else '{}'}, {_EMBED if embed == EMBED else to_json(embed)}]"


def _serializer(name: str) -> Callable[[Any], Any]:
    from kombu.utils import json as kombu_json

    registered = ENCODERS.here().get(name)
    if registered is not None and registered.encoder is kombu_json.dumps:
        return _json_body
    return lambda body: serialization.dumps(body, name)[2]


def new_tags() -> Iterator[str]:
    """Yield delivery tags in the form of version 4 UUIDs. They are random, except that their last digits count up."""
    start = _uuid(os.urandom(16).hex())[:24]
    return map(f"{start}%012x".__mod__, itertools.count())


def random_ids(count: int) -> list[str]:
    """Return random UUIDs of version 4 as text, as uuid.uuid4 gives them."""
    digits = os.urandom(16 * count).hex()
    return [_uuid(digits[at : at + 32]) for at in range(0, 32 * count, 32)]


def _uuid(digits: str) -> str:
    variant = _VARIANT[digits[16]]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


#: The two highest bits of the ninth byte are 10 (RFC 9562, section 4.1).
_VARIANT = {f"{number:x}": f"{8 + number % 4:x}" for number in range(16)}
