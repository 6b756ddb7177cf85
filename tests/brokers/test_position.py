"""Where a message is: read on the server's side in slices, or over the network by a user that may not run scripts there."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery

from tasktools.arguments.call import Call
from tasktools.brokers import broker_of
from tasktools.exceptions import Unreachable
from tasktools.publishing.batch import enqueue_many
from tasktools.queues import position, slices
from tasktools.queues.position import Found
from tasktools.queues.slices import Pace
from tests import servers
from tests.support import silent_port


@pytest.fixture(scope="module", params=["+@all", "+@all -@scripting"], ids=["script", "no script"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Redis]:
    user = ("site", "secret", f"~* &* {request.param}")
    with servers.started(servers.Redis, tmp_path_factory.mktemp("redis"), user=user) as started:
        yield started


@pytest.fixture
def app(server: servers.Redis) -> Iterator[Celery]:
    with server.client() as client:
        client.flushdb()
    with Celery("position", broker=server.url, set_as_current=False) as made:
        made.conf.task_default_queue = f"q-{uuid.uuid4()}"

        @made.task(name="shop.add", shared=False)
        def add(x: int) -> None:
            pass

        yield made


def send(app: Celery, count: int, **options: Any) -> list[str]:
    batches = enqueue_many(app, [Call(task="shop.add", args=(n,), options=options) for n in range(count)])
    return [task_id for batch in batches for task_id in batch.ids]


def find(app: Celery, *ids: str, **options: Any) -> Found:
    return position.find(broker_of(app), ids, **options)


def positions(app: Celery, ids: list[str], **options: Any) -> list[int | None]:
    traces = find(app, *ids, **options).traces
    return [traces[each].position if each in traces else None for each in ids]


def test_position__is_counted_from_the_front(app: Celery) -> None:
    ids = send(app, 5)
    assert positions(app, ids) == [1, 2, 3, 4, 5]
    assert positions(app, ids[3:4]) == [4]


def test_position__counts_what_is_taken_before_by_its_priority(app: Celery) -> None:
    low, high, middle = send(app, 2, priority=9), send(app, 3, priority=0), send(app, 1, priority=6)
    assert positions(app, [*high, *middle, *low]) == [1, 2, 3, 4, 5, 6]


def test_position__over_the_borders_of_slices(app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(position, "SLICE", 7)
    ids = send(app, 50)
    assert positions(app, ids) == list(range(1, 51))


def test_position__a_call_ends_after_so_many_bytes(app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(position, "BYTES", 1)
    ids = send(app, 50)
    assert positions(app, [ids[0], ids[49]]) == [1, 50]


def test_position__long_messages_after_small_ones_are_looked_at_in_few(
    app: Celery, server: servers.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes, saw = list[int](), Pace.saw

    def spy(self: Pace, number: int, size: int, longest: int) -> None:
        sizes.append(size)
        saw(self, number, size, longest)

    monkeypatch.setattr(Pace, "saw", spy)
    monkeypatch.setattr(slices, "_SURPRISE", 1_000_000)
    [task_id] = send(app, 1)
    with server.client() as client:
        client.lpush(app.conf.task_default_queue, *["x" * 200_000] * 100, *["x"] * 1040)
    assert positions(app, [task_id]) == [1]
    assert max(sizes) < position.BYTES + (slices.CAREFUL + 1) * 200_000


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MOST_READ", "MOST_FETCHED"):
        monkeypatch.setattr(position, name, 4)


@pytest.mark.usefixtures("few")
def test_long_queue__only_its_ends_are_read_and_the_rest_is_counted(app: Celery) -> None:
    ids = send(app, 10)
    assert positions(app, ids) == [1, 2, *[None] * 6, 9, 10]
    assert find(app, ids[5]).unread == {app.conf.task_default_queue: 6}


@pytest.mark.usefixtures("few")
def test_long_queue__deep_reads_all(app: Celery) -> None:
    ids = send(app, 10)
    assert positions(app, ids, deep=True) == list(range(1, 11))
    assert find(app, "nosuch", deep=True) == Found()


def test_long_queue__time_is_up(app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(position, "BUDGET", -1.0)
    send(app, 10)
    assert find(app, "nosuch").unread == {app.conf.task_default_queue: 10}
    assert find(app, "nosuch", deep=True).unread == {}


def test_reserved__many_are_read_with_deep_and_the_rest_is_counted_without(
    app: Celery, server: servers.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hash of more than a few hundred entries comes in slices, in no order."""
    monkeypatch.setattr(position, "MOST_FETCHED", 100)
    entries = {f"tag-{n}": json.dumps([{"headers": {"id": f"id-{n}"}, "properties": {}}]) for n in range(2000)}
    with server.client() as client:
        client.hset("unacked", mapping=entries)
    ids = [f"id-{n}" for n in range(0, 2000, 5)]
    assert {each.place for each in find(app, *ids, deep=True).traces.values()} == {"reserved"}
    assert find(app, *ids, deep=True).traces.keys() == set(ids)
    found = find(app, "nosuch")
    assert 0 < found.unread["unacked"] <= 1900
    assert find(app, "nosuch", deep=True).unread == {}


def test_many_ids__each_is_found(app: Celery) -> None:
    ids = send(app, 300)
    assert positions(app, ids) == list(range(1, 301))


def test_message__of_another_program_is_passed_over(app: Celery, server: servers.Redis) -> None:
    [task_id] = send(app, 1)
    with server.client() as client:
        queue = app.conf.task_default_queue
        client.rpush(queue, f'"id": "{task_id}"', f'{{"headers": {{"id": "{task_id}"}}}}', b"\xff\x00", "[]")
    assert positions(app, [task_id]) == [5]


def test_silent_broker__is_unreachable_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(position, "LIMIT", 0.5)
    with silent_port() as port:
        url = f"redis://127.0.0.1:{port}/0"
        with Celery("p", broker=url, set_as_current=False) as app, pytest.raises(Unreachable):
            find(app, "one")
