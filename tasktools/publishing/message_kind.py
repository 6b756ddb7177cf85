"""Messages of one kind: of one task, sent with the same options. Celery makes the first, the others are made from it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from celery import signals
from kombu.exceptions import EncodeError

from tasktools.brokers.recording import Command, Outgoing
from tasktools.publishing.event_template import EventTemplate
from tasktools.publishing.hooks import Hooks, more_text
from tasktools.publishing.message_template import EMBED, Represent, Template, body_encoder, id_text
from tasktools.publishing.sent_time import TIMESTAMP, is_received

if TYPE_CHECKING:
    from celery import Celery

    from tasktools.publishing.seen import Seen

DIFFERS = "its messages differ by more than ids and arguments"
CHANGED = "a receiver changes more than it adds to the headers"


#: The representations of args and of kwargs: each as text, and as JSON without quotes.
Texts = tuple[tuple[str, str], tuple[str, str]]


class Handed(NamedTuple):
    """What `send_task` gets for one message, besides the options of its kind."""

    args: Any
    kwargs: Any
    task_id: str
    #: The options of these names.
    headers: Mapping[str, Any] | None = None
    shadow: str | None = None

    def is_plain(self) -> bool:
        """Whether all of it has the type that a message usually has."""
        return (
            isinstance(self.args, (list, tuple))
            and type(self.kwargs) is dict
            and type(self.task_id) is str
            and (not self.headers or type(self.headers) is dict)
            and (self.shadow is None or type(self.shadow) is str)
        )


class Kind:
    """How the messages of one kind are made."""

    def __init__(self, app: Celery, name: str, why: str, *, is_timed: bool = False, has_headers: bool = False) -> None:
        self.app = app
        self.name = name
        #: Why Celery makes each message; "" as long as they may be made here.
        self.why = why
        #: Whether the messages depend on the time, so that the first of a batch is Celery's.
        self.is_timed = is_timed
        #: Whether `add` can be called: Celery has made a message.
        self.is_known = False
        sent = (signals.before_task_publish, signals.after_task_publish)
        self._is_shown = has_headers or any(is_received(each, name) for each in sent)
        self._hooks: Hooks | None = None
        self._template: Template | None = None
        #: The commands that send a message, with the message that the template was made from.
        self._commands: list[Command] = []
        self._event: tuple[list[Command], EventTemplate] | None = None
        self._represent = Represent(app)
        self._encode: Callable[[Any], str] = str

    def texts(self, handed: Handed) -> Texts:
        """Return the representations of the arguments of a call."""
        return self._represent(handed.args), self._represent(handed.kwargs)

    def add(self, handed: Handed, producer: Any, outgoing: Outgoing, tags: Iterator[str]) -> None:
        """Add the message of a call, and its event. Raises EncodeError, as apply_async does, and what receivers raise."""
        texts = self.texts(handed)
        if self._hooks:
            self._add_shown(self._hooks, handed, texts, producer, outgoing, tags)
        else:
            value = self._filled((handed.args, handed.kwargs, EMBED), handed, texts, next(tags), "", outgoing.made_at)
            for command in self._commands:
                outgoing.add(command, value)
        if self._event:
            commands, event = self._event
            value = event.render(id_text(handed.task_id), texts[0][1], texts[1][1], next(tags))
            for command in commands:
                outgoing.add(command, value)

    def _add_shown(
        self, hooks: Hooks, handed: Handed, texts: Texts, producer: Any, outgoing: Outgoing, tags: Iterator[str]
    ) -> None:
        shown = hooks.show(handed.args, handed.kwargs, self._fields(handed, texts), handed.headers)
        more = hooks.added(shown) if self._template else None
        if more is None:
            outgoing.slow[self.name] = CHANGED
            hooks.publish(producer, shown)
        else:
            value = self._filled(shown.body, handed, texts, next(tags), more, shown.properties.get(TIMESTAMP))
            for command in self._commands:
                outgoing.add(command, value)
        hooks.finish(shown)

    @staticmethod
    def _fields(handed: Handed, texts: Texts) -> dict[str, Any]:
        """Return the headers that differ from message to message."""
        (args, _), (kwargs, _) = texts
        return {"id": handed.task_id, "argsrepr": args, "kwargsrepr": kwargs, "shadow": handed.shadow}

    def _filled(self, body: Any, handed: Handed, texts: Texts, tag: str, more: str, time: object) -> str:
        (_, args), (_, kwargs) = texts
        try:
            text = self._encode(body)
        except Exception as error:
            raise EncodeError(str(error)) from error
        shadow = handed.shadow and id_text(handed.shadow)
        filled = (text, id_text(handed.task_id), tag, args, kwargs, shadow, more, time)
        return self._template.fill(filled)  # type: ignore[union-attr]

    def learn(self, handed: Handed, texts: Texts, seen: Seen, commands: Sequence[Command] | None) -> None:
        """Learn from the message that Celery has made of a call: whether others can be made that are exactly like it.

        `commands` is what was recorded of it; None if it was sent.
        """
        if self.why:
            return
        with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError):
            if commands is None or self._is_shown:
                self._hooks = Hooks(self.app, self.name, seen, handed.task_id)
                self._hooks.require_exact(handed.args, handed.kwargs, self._fields(handed, texts), seen)
            if commands is not None:
                self._learn_commands(handed, texts, seen, commands)
            elif self.app.conf.task_send_sent_event:
                raise ValueError("events are sent by Celery")
            self.is_known = True
        self.why = "" if self.is_known else DIFFERS

    def _learn_commands(self, handed: Handed, texts: Texts, seen: Seen, commands: Sequence[Command]) -> None:
        """Make the templates. Raises ValueError and others if that is not possible."""
        messages = [each for each in commands if each.name != "event"]
        if not messages or any(each.name != "lpush" or each.message is not messages[0].message for each in messages):
            raise ValueError("it is no message, or goes elsewhere too")
        self._learn_event(handed, texts, [each for each in commands if each.name == "event"])
        self._commands = messages
        if not self._learn_message(handed, texts, seen, messages[0]) and self._hooks is None:
            raise ValueError("the template gives another message")

    def _learn_message(self, handed: Handed, texts: Texts, seen: Seen, command: Command) -> bool:
        message, published = command.message, seen.published
        headers, more, body = message["headers"], "", (handed.args, handed.kwargs, EMBED)
        if self._hooks:
            left, body = published["headers"], seen.body
            headers = dict(islice(left.items(), len(seen.headers)))
            if headers != seen.headers or not self._hooks.leaves_properties(seen) or published["compression"]:
                return False
            more = more_text(dict(islice(left.items(), len(headers), None)))
        properties = message["properties"]
        self._encode = body_encoder(published["serializer"], published["compression"], properties["body_encoding"])
        self._template = Template(message, headers, handed.task_id, is_stamped=seen.is_stamped)
        tag, time = properties["delivery_tag"], properties.get(TIMESTAMP)
        if self._filled(body, handed, texts, tag, more, time) != command.value:
            self._template = None
        return self._template is not None

    def _learn_event(self, handed: Handed, texts: Texts, commands: list[Command]) -> None:
        """Make a template of the event task-sent. Raises what EventTemplate does."""
        if not self.app.conf.task_send_sent_event:
            return
        message = commands[0].message if commands else {}
        event = EventTemplate(self.app, message, handed.task_id)
        tag = message["properties"]["delivery_tag"]
        again = event.rendered_again(id_text(handed.task_id), texts[0][1], texts[1][1], tag)
        if any(each.value != again for each in commands):
            raise ValueError("the event differs by more than ids and arguments")
        self._event = commands, event
