"""watchtasks on a Redis: what anybody may publish, and what a server refuses."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import pytest
import redis

from tasktools.events import follow as following
from tasktools.events.follow import Connected, Lost, Step, Unreadable, follow
from tasktools.exceptions import Unreachable
from tests.brokers.bulk import DATABASE, Make

EVENT = {"type": "task-started", "uuid": "id"}
OTHER = {"type": "task-started", "uuid": "garbage"}


def message(body: object = OTHER, **fields: Any) -> dict[str, Any]:
    properties = {"delivery_tag": "tag", "body_encoding": "base64", "delivery_info": {}}
    encoded = base64.b64encode(json.dumps(body).encode()).decode()
    kinds = {"content-type": "application/json", "content-encoding": "utf-8"}
    return {"body": encoded, "headers": {}, "properties": properties, **kinds, **fields}


@pytest.mark.parametrize(
    "garbage",
    [
        *("[]", "{}", '"x"', "7", "null", "[" * 200_000, "{"),
        *(json.dumps(message(**{field: None})) for field in ("body", "properties", "content-type", "content-encoding")),
        *(json.dumps(message(**{field: "x"})) for field in ("headers", "properties", "content-encoding")),
        json.dumps(message(body="x", properties={})),
        json.dumps(message(properties={"delivery_tag": "tag", "body_encoding": "rot13"})),
        json.dumps({**message(), "body": "no base64"}),
        json.dumps({**message(), "body": 7}),
        json.dumps(message([None, 7, "x", []])),
    ],
    ids=lambda text: text[:60],
)
def test_follow__garbage_on_the_channel_of_events_is_passed_over(make: Make, client: redis.Redis, garbage: str) -> None:
    """kombu leaves what came together with text that is no JSON until the next event comes."""
    steps, channel = follow(make(), 0.05), f"/{DATABASE}.celeryev/worker.x"
    seen: list[Step] = list(islice(steps, 2))
    for texts in ([garbage, garbage, json.dumps(message(EVENT))], [json.dumps(message(EVENT))]):
        assert all(client.publish(channel, text) for text in texts)
        seen += islice(steps, 4)
    assert [each for step in seen if isinstance(step, list) for each in step if each == EVENT] == [EVENT] * 2
    assert not any(isinstance(step, Lost) for step in seen)
    assert len([step for step in seen if isinstance(step, Unreadable)]) <= 1


@pytest.fixture
def few(client: redis.Redis) -> Iterator[Callable[..., None]]:
    """Give the user "few" these rights."""

    def give(*rules: str) -> None:
        client.execute_command("ACL", "SETUSER", "few", "reset", "on", ">secret", *rules)

    yield give
    client.execute_command("ACL", "DELUSER", "few")


@pytest.mark.parametrize(
    "rules",
    [
        ("~*", "&*", "+@all", "-eval", "-evalsha", "-sadd"),
        ("~*", "&*", "+@all", "-@pubsub"),
        ("~*", "&*", "+@all", "-psubscribe"),
        ("~*", "resetchannels", "+@all"),
        ("~no*", "&*", "+@all"),
    ],
    ids=" ".join,
)
def test_follow__a_user_with_few_rights_is_an_error(
    make: Make, few: Callable[..., None], rules: tuple[str, ...]
) -> None:
    """It will have no more at the next try."""
    few(*rules)
    steps = follow(make(user="few:secret@"), 0.05)
    with pytest.raises(Unreachable, match=r'The broker ".*" refuses: ') as caught:
        list(islice(steps, 4))
    assert caught.value.hint.startswith("allow its user that on the server (ACL SETUSER)")


def test_follow__rights_that_are_taken_away_are_waited_for(
    make: Make, client: redis.Redis, few: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "REST", 0.05)
    few("~*", "&*", "+@all")
    steps = follow(make(user="few:secret@"), 0.05)
    assert list(islice(steps, 2))[1] == []
    few("~*", "&*", "+@all", "-psubscribe")
    client.execute_command("CLIENT", "KILL", "USER", "few")
    assert any(isinstance(step, Lost) and " refuses: " in step.why for step in islice(steps, 40))
    few("~*", "&*", "+@all")
    assert Connected(again=True) in list(islice(steps, 40))
