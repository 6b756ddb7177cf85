"""The arguments of a message as JSON for an editor, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from celery.utils.saferepr import saferepr
from kombu.utils.json import dumps

from tasktools.arguments.binding import bind
from tasktools.arguments.nesting import loads
from tasktools.exceptions import ArgumentError
from tasktools.failures.claims import Edited
from tasktools.failures.message import Kept
from tasktools.failures.remade import Unsendable, first_protocol, read, written
from tasktools.registry.registry import signature_of
from tasktools.render import ended, is_json

if TYPE_CHECKING:
    from celery import Celery

_JSON = "application/json"

#: As long as Celery cuts the arguments in the headers (celery.app.amqp.AMQP.argsrepr_maxsize).
_LONGEST_REPR = 1024


class Arguments:
    """The arguments of one message."""

    def __init__(self, kept: Kept) -> None:
        """Raises ArgumentError when they cannot be edited."""
        self.kept = kept
        try:
            self._value = self._read()
            self.args, self.kwargs = self._parts()
        except Exception as error:
            raise self._refused(str(error)) from error
        if not (is_json(self.args) and is_json(self.kwargs)):
            raise self._refused("JSON cannot show them")

    def text(self) -> str:
        """Return them as JSON for a person."""
        return json.dumps({"args": self.args, "kwargs": self.kwargs}, indent=2, ensure_ascii=False) + "\n"

    def edited(self, text: str, app: Celery, task: str) -> Edited | None:
        """Return the message with the arguments of a text; None if they are the same.

        Raises ArgumentError for text that is not of that form, and for arguments that the task does not take.
        """
        args, kwargs = _parsed(text)
        registered = app.tasks.get(task)
        signature = None if registered is None else signature_of(registered)
        bind(signature, args_json=json.dumps(args), kwargs_json=json.dumps(kwargs), task=task)
        if (args, kwargs) == (self.args, self.kwargs):
            return None
        return Edited(before=self.kept, after=self._written(args, kwargs))

    def _read(self) -> Any:
        """Return what the body says; of JSON as it is written, so that kombu's forms of times and others stay."""
        if self.kept.body is not None and self.kept.content_type == _JSON:
            return json.loads(self.kept.body)
        return read(self.kept)

    def _parts(self) -> tuple[list[Any], dict[str, Any]]:
        if isinstance(self._value, Mapping):
            if first_protocol(self.kept) is None:
                raise Unsendable("it is no message of Celery's")
            return list(self._value["args"]), dict(self._value["kwargs"])
        args, kwargs, _ = self._value
        return list(args), dict(kwargs)

    def _written(self, args: list[Any], kwargs: dict[str, Any]) -> Kept:
        value = self._value
        is_first = isinstance(value, Mapping)
        value = {**value, "args": args, "kwargs": kwargs} if is_first else [args, kwargs, value[2]]
        body = dumps(value).encode() if self.kept.content_type == _JSON else written(value, self.kept)
        headers = dict(self.kept.headers)
        for name, each in (("argsrepr", tuple(args)), ("kwargsrepr", kwargs)):
            if name in headers:
                headers[name] = saferepr(each, _LONGEST_REPR)
        return replace(self.kept, headers=headers, body=body, original=self.kept)

    @staticmethod
    def _refused(why: str) -> ArgumentError:
        return ArgumentError(
            f"The arguments cannot be edited: {ended(why)}", hint="without --edit it is sent as it came"
        )


def _parsed(text: str) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments in a text. Raises ArgumentError."""
    hint = 'write {"args": [], "kwargs": {}}'
    try:
        found = loads(text)
    except ValueError as error:
        raise ArgumentError(f"The text is no JSON: {error}.", hint=hint) from error
    if not isinstance(found, dict) or found.keys() != {"args", "kwargs"}:
        raise ArgumentError('The text is no object with "args" and "kwargs", and nothing else.', hint=hint)
    args, kwargs = found["args"], found["kwargs"]
    if not isinstance(args, list) or not isinstance(kwargs, dict):
        raise ArgumentError('"args" is no array, or "kwargs" is no object.', hint=hint)
    return args, kwargs
