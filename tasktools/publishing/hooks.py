"""The receivers of Celery's signals: each message is shown to them, and what they leave is what is sent."""

from __future__ import annotations

from collections.abc import Mapping
from operator import is_
from typing import TYPE_CHECKING, Any, NamedTuple

from celery import signals

from tasktools.publishing.message_template import EMBED, to_json
from tasktools.publishing.sent_time import TIMESTAMP

if TYPE_CHECKING:
    from celery import Celery

    from tasktools.publishing.seen import Seen


class Shown(NamedTuple):
    """One message as the receivers get it. They may change all but the first two, which are how it was."""

    made_headers: dict[str, Any]
    made_properties: dict[str, Any]
    headers: dict[str, Any]
    properties: dict[str, Any]
    body: tuple[Any, ...]
    declare: list[Any] | None
    retry_policy: dict[str, Any] | None


class Hooks:
    """The receivers of before_task_publish and after_task_publish for the messages of one kind."""

    def __init__(self, app: Celery, name: str, seen: Seen, task_id: str) -> None:
        """`seen` is Celery's message for the call with `task_id`.

        Raises ValueError if it is not certain what Celery hands to the receivers.
        """
        self._name = name
        self._headers, self._properties, self._declare = seen.headers, seen.properties, seen.declare
        self._used_policy = dict(app.conf.task_publish_retry_policy)
        self._policy = self._used_policy if seen.shows_policy else None
        published = seen.published
        if published["declare"] != seen.declare or published["retry_policy"] != self._used_policy:
            raise ValueError("a receiver has changed more than the message")
        if any(place[key] != task_id for place, key in ((seen.headers, "id"), (seen.properties, "correlation_id"))):
            raise ValueError("the id is elsewhere")
        #: Whether kombu does nothing for these queues after the first message (kombu.common.maybe_declare).
        self._is_declared = all(queue.can_cache_declaration for queue in seen.declare or ())
        self._has_root = seen.headers["root_id"] == task_id
        self._nested = [key for key, value in seen.headers.items() if isinstance(value, (list, dict))]
        self._nested_text = repr([seen.headers[key] for key in self._nested])
        self._keys = [*seen.headers]
        self._is_stamped = seen.is_stamped
        self._property_keys = [*seen.properties, TIMESTAMP] if seen.is_stamped else [*seen.properties]
        self._place = {key: published[key] for key in ("exchange", "routing_key")}
        changed = {"headers", "declare", "retry_policy", *seen.shown_properties}
        self._options = {key: value for key, value in published.items() if key not in changed}
        self._before, self._after = signals.before_task_publish.send, signals.after_task_publish.send

    def show(self, args: Any, kwargs: Any, fields: Mapping[str, Any], more: Mapping[str, Any] | None) -> Shown:
        """Make the message of a call with these headers, `more` behind the others, and call before_task_publish."""
        shown = self._made(args, kwargs, fields, more)
        self._before(
            sender=self._name,
            body=shown.body,
            declare=shown.declare,
            headers=shown.headers,
            properties=shown.properties,
            retry_policy=shown.retry_policy,
            **self._place,
        )
        return shown

    def require_exact(self, args: Any, kwargs: Any, fields: Mapping[str, Any], seen: Seen) -> None:
        """Raise ValueError if the message that is made for the call of `seen` is not that of Celery."""
        made = self._made(args, kwargs, fields, None)
        if (made.headers, made.properties, made.body) != (seen.headers, seen.properties, seen.made_body):
            raise ValueError("the message is another one")

    def _made(self, args: Any, kwargs: Any, fields: Mapping[str, Any], more: Mapping[str, Any] | None) -> Shown:
        headers = {**self._headers, **fields}
        if self._has_root:
            headers["root_id"] = headers["id"]
        for key in self._nested:
            headers[key] = headers[key].copy()
        properties = {**self._properties, "correlation_id": headers["id"]}
        return Shown(
            headers,
            properties,
            {**headers, **more} if more else headers.copy(),
            properties.copy(),
            (args, kwargs, EMBED.copy()),
            self._declare and self._declare.copy(),
            self._policy and self._policy.copy(),
        )

    def finish(self, shown: Shown) -> None:
        """Call after_task_publish, which sees the message after it was made."""
        if signals.after_task_publish.has_listeners(self._name):  # one may be connected at any time
            self._after(sender=self._name, body=shown.body, headers=shown.headers, **self._place)

    def added(self, shown: Shown) -> str | None:
        """Return what the headers have besides Celery's own, as the end of a JSON object; None if more has changed.

        Values must be the same objects, and lists unchanged: 1 and True are equal, but not the same in JSON.
        """
        headers, keys = shown.headers, [*shown.headers]
        if (
            keys[: len(self._keys)] == self._keys
            and all(map(is_, shown.made_headers.values(), headers.values()))
            and self._are_left(shown.made_properties, shown.properties)
            and shown.declare == self._declare
            and repr([headers[key] for key in self._nested]) == self._nested_text
        ):
            more = keys[len(self._keys) :]
            return more_text({key: headers[key] for key in more}) if more else ""
        return None

    def leaves_properties(self, seen: Seen) -> bool:
        """Whether the receivers have added nothing to the properties of the first message but the time."""
        added = {TIMESTAMP: seen.shown_properties[TIMESTAMP]} if seen.is_stamped else {}
        return seen.shown_properties == {**seen.properties, **added}

    def _are_left(self, made: Mapping[str, Any], properties: Mapping[str, Any]) -> bool:
        """Whether the properties are those that were made, and a time at their end if the first message has one."""
        return (
            [*properties] == self._property_keys
            and all(map(is_, made.values(), properties.values()))
            and (not self._is_stamped or type(properties[TIMESTAMP]) is int)
        )

    def publish(self, producer: Any, shown: Shown) -> None:
        """Have kombu make and send the message."""
        declare = None if self._is_declared and shown.declare == self._declare else shown.declare
        policy = self._used_policy if shown.retry_policy is None else shown.retry_policy
        options = {**self._options, **shown.properties}
        producer.publish(shown.body, headers=shown.headers, declare=declare, retry_policy=policy, **options)


def more_text(headers: Mapping[str, Any]) -> str:
    """Return headers as the end of a JSON object that is not empty."""
    return f", {to_json(headers)[1:-1]}" if headers else ""
