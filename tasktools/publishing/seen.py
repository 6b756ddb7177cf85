"""What Celery makes of one call, on its way to the broker."""

from __future__ import annotations

import contextlib
import copy
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from celery import signals
from kombu.common import Broadcast

from tasktools.publishing.handing_on import Overlay
from tasktools.publishing.sent_time import TIMESTAMP

if TYPE_CHECKING:
    from celery import Celery


@dataclass
class Seen:
    """One message. Receivers of signals have changed only `shown_properties`, `body` and `published`."""

    #: Without the option `headers`.
    headers: dict[str, Any] = field(default_factory=dict)
    properties: dict[str, Any] = field(default_factory=dict)
    #: The properties that the receivers get.
    shown_properties: dict[str, Any] = field(default_factory=dict)
    #: The queues that Celery declares.
    declare: list[Any] | None = None
    #: Whether the receivers get the retry policy: from Celery 5.7 on.
    shows_policy: bool = True
    body: Any = None
    #: The body before receivers can add keywords or callbacks.
    made_body: Any = None
    #: What kombu's Producer.publish was called with.
    published: dict[str, Any] = field(default_factory=dict)

    @property
    def is_stamped(self) -> bool:
        """Whether a receiver has added the time (`sent_time`)."""
        return TIMESTAMP not in self.properties and type(self.shown_properties.get(TIMESTAMP)) is int

    def overlay(self, app: Celery) -> Any:
        """Return the app with an AMQP object that shows this object what is sent (celery.app.amqp.send_task_message)."""
        send = app.amqp.send_task_message
        named = inspect.signature(send).parameters

        def seeing(producer: Any, name: str, message: Any, **options: Any) -> Any:
            self.headers = copy.deepcopy(message.headers)
            self.properties = {**message.properties, **{k: v for k, v in options.items() if k not in named}}
            self.shown_properties, self.body = message.properties, message.body
            self.made_body = tuple(dict(part) if isinstance(part, dict) else part for part in message.body)
            queue = options.get("queue") or (None if options.get("exchange") else app.amqp.default_queue)
            self.declare = [queue] if queue and not isinstance(queue, Broadcast) else None
            with self._shown(message.headers):
                return send(Overlay(producer, publish=self._watched(producer.publish)), name, message, **options)

        return Overlay(app, amqp=Overlay(app.amqp, send_task_message=seeing))

    @contextlib.contextmanager
    def _shown(self, headers: Any) -> Iterator[None]:
        """Look at what the receivers of before_task_publish get for the message with these headers."""

        def look(**named: Any) -> None:
            if named["headers"] is headers:
                self.shows_policy = named["retry_policy"] is not None

        signal = signals.before_task_publish
        if not signal.receivers:
            yield
            return
        signal.connect(look, weak=False)
        try:
            yield
        finally:
            signal.disconnect(look)

    def _watched(self, publish: Callable[..., Any]) -> Callable[..., Any]:
        def watched(body: Any, **options: Any) -> Any:
            if not self.published:  # an event comes afterwards
                self.published = {**options, "headers": dict(options["headers"])}
            return publish(body, **options)

        return watched
