"""Hooks of the project and events: each is called once a message, with what Celery calls it with, and the messages are equal."""

from __future__ import annotations

import base64
import copy
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery, Task, signals
from kombu import Exchange, Queue

from tasktools.arguments.call import Call
from tasktools.publishing.batch import enqueue_many
from tasktools.publishing.message_kind import CHANGED
from tests.brokers.bulk import IDS, STAMP, TIMES, Make, alike, both, call, messages

Events = Callable[[], list[tuple[str, dict[str, Any]]]]
Hook = Callable[..., Any]


@pytest.fixture
def connect() -> Iterator[Callable[[str, Hook], None]]:
    """Connect a receiver to a signal of this name."""
    connected: list[tuple[Any, Hook]] = []

    def connect(name: str, receiver: Hook) -> None:
        signal = getattr(signals, name)
        signal.connect(receiver, weak=False)
        connected.append((signal, receiver))

    yield connect
    for signal, receiver in connected:
        signal.disconnect(receiver)


#: name: what a receiver does to the message, and whether all messages can still be made from a template.
CHANGES: dict[str, tuple[Hook, bool]] = {
    "nothing": (lambda headers, **_: None, True),
    "a header": (lambda headers, **_: headers.update(tenant="seven"), True),
    "headers of any kind": (lambda headers, **_: headers.update(a={"deep": [1, None]}, b='q"\\ü', c=1.5), True),
    "a header by the id": (lambda headers, **_: headers.update(copy=headers["id"]), True),
    "a header for some": (lambda headers, body, **_: body[0][0] > 1 and headers.update(tenant=7), True),
    "a keyword in place": (lambda body, **_: body[1].update(added=True), True),
    "a callback in place": (lambda body, **_: body[2].update(chain=[]), True),
    "a retry policy": (lambda retry_policy, **_: retry_policy.update(max_retries=0), False),
    "a header of Celery's": (lambda headers, **_: headers.update(retries=3), False),
    "a header that is equal": (lambda headers, **_: headers.update(retries=False), False),
    "a header's place": (lambda headers, **_: headers.update(lang=headers.pop("lang")), False),
    "a list in the headers": (lambda headers, **_: headers["timelimit"].__setitem__(0, 30), False),
    "stamps": (lambda headers, **_: headers["stamps"].update(by="me"), False),
    "one header less": (lambda headers, **_: headers.pop("origin"), False),
    "a header of Celery's for some": (lambda headers, body, **_: body[0][0] > 1 and headers.update(retries=3), False),
    "the priority": (lambda properties, **_: properties.update(priority=6), False),
    "the priority for some": (lambda properties, body, **_: properties.update(priority=3 * body[0][0]), False),
    "the id in the properties": (lambda properties, **_: properties.update(reply_to="me"), False),
    "the expiration": (lambda properties, **_: properties.update(expiration=5), False),
    "a property": (lambda properties, **_: properties.update(app_id="shop"), False),
    "a property for some": (lambda properties, body, **_: body[0][0] > 1 and properties.update(app_id="shop"), False),
    "a queue": (lambda declare, **_: declare.append(Queue("also", Exchange("also"))), False),
    "an exception": (lambda headers, **_: headers.update(tenant=1) or 1 / 0, True),
}


@pytest.mark.parametrize("name", CHANGES)
def test_before_task_publish__what_it_leaves_is_sent(
    make: Make, client: redis.Redis, connect: Callable[[str, Hook], None], name: str
) -> None:
    change, fast = CHANGES[name]
    seen: list[dict[str, Any]] = []

    def receive(**named: Any) -> None:
        seen.append(copy.deepcopy({key: value for key, value in named.items() if key != "signal"}))
        change(**named)

    connect("before_task_publish", receive)
    theirs, ours, batch = both(make(), client, call(1), call(2, y="four"))
    assert ours == theirs
    assert len(seen) == 8
    assert [neutral(each) for each in seen[4:]] == [neutral(each) for each in seen[:4]]
    assert [each["headers"]["id"] for each in seen[4:]] == batch.ids
    if name == "a retry policy" and seen[0]["retry_policy"] is None:  # an older Celery shows none
        fast = True
    assert (not batch.slow) is fast, batch.slow
    if not fast and name != "a retry policy" and name != "a queue":
        assert batch.slow == {"shop.add": CHANGED}


def neutral(seen: dict[str, Any]) -> str:
    """Return what a receiver got as text, with the type of each value, without ids and without the time at which it was sent."""
    return STAMP.sub(b"timestamp", IDS.sub(b"id", repr(dict(sorted(seen.items()))).encode())).decode()


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}], ids=["plain", "zlib"])
@pytest.mark.parametrize("before", [False, True], ids=["alone", "after the other"])
def test_after_task_publish__gets_what_was_sent(
    make: Make, client: redis.Redis, connect: Callable[[str, Hook], None], options: dict[str, Any], before: bool
) -> None:
    seen: list[str] = []

    def receive(signal: Any, headers: dict[str, Any], **named: Any) -> None:
        seen.append(neutral({"headers": headers, **named}))
        headers["late"] = True

    connect("after_task_publish", receive)
    if before:
        connect("before_task_publish", lambda headers, **_: headers.update(tenant="seven"))
    theirs, ours, _ = both(make(options), client, call(1), call(2))
    assert ours == theirs
    assert len(seen) == 8
    assert seen[4:] == seen[:4]


def test_receiver__of_another_task_is_not_called(make: Make, client: redis.Redis) -> None:
    seen: list[Any] = []

    def receive(**named: Any) -> None:
        seen.append(named)

    signals.before_task_publish.connect(receive, sender="shop.other")
    try:
        theirs, ours, batch = both(make(), client, call(1))
    finally:
        signals.before_task_publish.disconnect(receive, sender="shop.other")
    assert ours == theirs
    assert (seen, batch.slow) == ([], {})


def test_receivers_of_task_sent__take_celerys_path(
    make: Make, client: redis.Redis, connect: Callable[[str, Hook], None]
) -> None:
    seen: list[str] = []
    connect("task_sent", lambda task_id, **_: seen.append(task_id))
    theirs, ours, batch = both(make(), client, call(1))
    assert ours == theirs
    assert seen[-2:] == batch.ids
    assert batch.slow == {"shop.add": "receivers of task_sent"}


def opened(app: Celery, taken: list[tuple[str, dict[str, Any]]], clock: int) -> list[Any]:
    """Return the events without what differs between two moments, which is checked."""
    found, times = [], []
    for channel, message in taken:
        event = json.loads(base64.b64decode(message["body"]))
        clock += 1
        assert event.pop("clock") == clock
        times.append(event.pop("timestamp"))
        tag = message["properties"].pop("delivery_tag")
        assert IDS.fullmatch(tag.encode())
        message["body"] = ""
        found.append((channel, message, alike_event(event)))
    assert times == sorted(times)
    assert len(found) == len(taken)
    assert app.clock.value == clock
    return found


def alike_event(event: dict[str, Any]) -> bytes:
    return alike(json.dumps({"headers": {"id": ""}, "event": event}).encode(), timed=True)


EVENTS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "plain": ({}, {}, {}),
    "queue": ({}, {}, {"queue": "other"}),
    "times": ({}, {}, {"countdown": 9, "expires": 90}),
    "zlib": ({"compression": "zlib"}, {}, {}),
    "pickle": ({"serializer": "pickle"}, {}, {}),
    "header": ({}, {}, {"headers": {"tenant": "seven"}}),
    "exchange of events": ({}, {"event_exchange": "celeryev-mine"}, {}),
    "key prefix": ({}, {"broker_transport_options": {"global_keyprefix": "mine:"}}, {}),
    "no patterns": ({}, {"broker_transport_options": {"fanout_patterns": False}}, {}),
}


@pytest.mark.parametrize("hook", [None, "before_task_publish", "class"])
@pytest.mark.parametrize("name", EVENTS)
def test_event__is_that_of_apply_async(
    make: Make, client: redis.Redis, events: Events, connect: Callable[[str, Hook], None], name: str, hook: str | None
) -> None:
    task_options, changes, options = EVENTS[name]
    if hook == "class":
        task_options = {**task_options, "base": HandsOn}
    elif hook:
        connect(hook, lambda headers, **_: headers.update(lang="py", tenant=8))
    calls = [call(1, options=options), call("q\"'\\ü", y={"deep": [None]}, options=options)]

    def sent(send: Callable[[Celery], Any]) -> list[Any]:
        app = make(task_options, task_send_sent_event=True, **changes)
        assert app.clock.value == 0
        send(app)
        messages(client)
        return opened(app, events(), 0)

    def celerys(app: Celery) -> None:
        for each in calls * 3:
            app.tasks["shop.add"].apply_async(each.args, dict(each.kwargs), **each.options)

    batches: list[Any] = []
    theirs = sent(celerys)
    ours = sent(lambda app: batches.extend(enqueue_many(app, calls * 3)))
    assert len(theirs) == 6
    assert ours == theirs
    [batch] = batches
    assert batch.slow == {} or (name, hook) == ("zlib", "before_task_publish") or name in ("zlib", "header")


def test_event__has_the_id_of_its_call(make: Make, client: redis.Redis, events: Events) -> None:
    names = ["mine-0", 'with "quotes" \\ and ä', "mine-2"]
    list(enqueue_many(make(task_send_sent_event=True), [call(1, options={"task_id": name}) for name in names]))
    bodies = [json.loads(base64.b64decode(message["body"])) for _, message in events()]
    assert [(each["uuid"], each["root_id"]) for each in bodies] == [(name, name) for name in names]
    tags = {message["properties"]["delivery_tag"] for _, message in events()}
    assert len(messages(client)["celery"]) == 3
    assert tags == set()


def test_event__that_may_not_be_published_is_dropped(make: Make, client: redis.Redis, events: Events) -> None:
    """As with apply_async, the task is sent nevertheless."""
    client.execute_command("ACL", "SETUSER", "quiet", "on", ">secret", "~*", "+@all", "resetchannels")
    app = make(user="quiet:secret@", task_send_sent_event=True)
    with app.connection_for_write() as connection:
        assert connection.default_channel.client.acl_whoami() == "quiet"
    try:
        theirs, ours, batch = both(app, client, call(1), call(2))
    finally:
        client.execute_command("ACL", "DELUSER", "quiet")
    assert ours == theirs
    assert len(batch.ids) == 4
    assert events() == []


def test_event__in_a_format_that_no_template_knows(make: Make, client: redis.Redis, events: Events) -> None:
    theirs, ours, batch = both(make(task_send_sent_event=True, event_serializer="pickle"), client, call(1))
    assert ours == theirs
    assert len(events()) == 4
    assert batch.slow == {"shop.add": "its messages differ by more than ids and arguments"}


class HandsOn(Task):
    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        return super().apply_async(args, kwargs, **options)


class AddsHeader(Task):
    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        return super().apply_async(args, kwargs, headers={"tenant": args[0], **options.pop("headers", {})}, **options)


class AddsHeaderForSome(Task):
    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        if args[0] == 2:
            options["headers"] = {"tenant": args[0]}
        return super().apply_async(args, kwargs, **options)


class ChangesArguments(Task):
    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        return super().apply_async([*args, "more"], {**kwargs, "z": args[0]}, **options)


class HandsOnNoArguments(Task):
    typing = False

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        return super().apply_async(**options)


class ChoosesQueue(Task):
    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        return super().apply_async(args, kwargs, queue=f"tenant-{args[0]}", priority=args[0], **options)


class ChoosesTime(Task):
    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        return super().apply_async(args, kwargs, countdown=60, expires=600, **options)


class Twice(Task):
    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        super().apply_async(("first", *args[1:]), kwargs, **options)
        return super().apply_async(args, kwargs, **options)


class Equal(Task):
    """1 and True are equal, but not the same in a message."""

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        return super().apply_async(args, kwargs, ignore_result=1 if args[0] == 1 else True, **options)


class Shadowed(Task):
    def shadow_name(self, args: Any, kwargs: Any, options: Any) -> str:
        return f'add "{args[0]}"'


class OwnOptions(Task):
    def _get_exec_options(self) -> dict[str, Any]:
        return {"queue": "own", "serializer": "json"}


class OtherOption(Task):
    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        return super().apply_async(args, kwargs, root_id="root", **options)


CLASSES = {
    each: {}
    for each in (
        *(HandsOn, AddsHeader, AddsHeaderForSome, ChangesArguments, HandsOnNoArguments, ChoosesQueue, ChoosesTime),
        *(Twice, Equal, Shadowed, OwnOptions),
    )
} | {OtherOption: {"shop.add": "the option root_id"}}


@pytest.mark.parametrize("base", CLASSES, ids=lambda each: each.__name__)
@pytest.mark.parametrize("receives", [False, True], ids=["", "and a receiver"])
def test_class__is_called_for_each_call(
    make: Make,
    client: redis.Redis,
    connect: Callable[[str, Hook], None],
    monkeypatch: pytest.MonkeyPatch,
    base: type[Task],
    receives: bool,
) -> None:
    if receives:
        connect("before_task_publish", lambda headers, **_: headers.update(received=True))
    app = make({"base": base})
    theirs, ours, batch = both(app, client, call(1), call(2), timed=base is ChoosesTime)
    assert ours == theirs
    assert batch.slow == CLASSES[base]
    assert "send_task" not in vars(app)


def test_class__is_given_celerys_result(make: Make, client: redis.Redis) -> None:
    results: list[Any] = []

    class Keeps(Task):
        def apply_async(self, *args: Any, **options: Any) -> Any:
            results.append(super().apply_async(*args, **options))
            return results[-1]

    app = make({"base": Keeps})
    app.tasks["shop.add"].apply_async((1,), ignore_result=True)
    [batch] = enqueue_many(app, [call(1, options={"ignore_result": True}), call(2, options={"ignore_result": True})])
    assert [each.id for each in results[1:]] == batch.ids
    assert {type(each) for each in results} == {type(results[0])}
    assert [each.ignored for each in results] == [True] * 3
    assert results[2].backend is app.backend


class Chooses(Task):
    """Declines 2, sends 3 without our producer, and another id for 4."""

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        if args[0] == 2:
            return None
        if args[0] == 3:
            options.pop("producer")
        if args[0] == 4:
            options["task_id"] = "other"
        if args[0] == 5:
            options.pop("task_id")
        return super().apply_async(args, kwargs, **options)


def test_class__that_hands_on_only_some(make: Make, client: redis.Redis) -> None:
    app = make({"base": Chooses})
    [batch] = enqueue_many(app, [call(n) for n in (1, 2, 3, 4, 5, 1)])
    parsed = [json.loads(each) for each in messages(client)["celery"]]
    ids = {json.loads(base64.b64decode(each["body"]))[0][0]: each["headers"]["id"] for each in parsed}
    assert sorted(ids) == [1, 3, 4, 5]
    assert (ids[1], ids[3], ids[4]) == (batch.ids[5], batch.ids[2], "other")
    assert ids[5] not in batch.ids
    assert len(parsed) == 5
    assert parsed[0]["headers"]["id"] == batch.ids[2]  # it has not waited for the batch


def test_class__that_sends_another_task_too(make: Make, client: redis.Redis) -> None:
    class SendsOther(Task):
        def apply_async(self, *args: Any, **options: Any) -> Any:
            other.delay()
            return super().apply_async(*args, **options)

    app = make({"base": SendsOther})

    @app.task(name="shop.other", shared=False)
    def other() -> None: ...

    list(enqueue_many(app, [call(1), call(2), call(3)]))
    names = [json.loads(each)["headers"]["task"] for each in messages(client)["celery"]]
    assert sorted(names) == ["shop.add"] * 3 + ["shop.other"] * 3


def test_patched_apply_async__is_called_for_each_call(
    make: Make, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As libraries that watch tasks do it."""
    original = Task.apply_async
    seen = []

    def patched(self: Task, *args: Any, **options: Any) -> Any:
        seen.append(args)
        return original(self, *args, **{**options, "headers": {"watched": True}})

    monkeypatch.setattr(Task, "apply_async", patched)
    theirs, ours, batch = both(make(), client, call(1), call(2))
    assert ours == theirs
    assert len(seen) == 8
    assert batch.slow == {}


def test_task__with_a_method_of_its_own(make: Make, client: redis.Redis) -> None:
    app = make()
    task: Any = app.tasks["shop.add"]
    task.apply_async = lambda args, kwargs, **options: Task.apply_async(task, args, kwargs, priority=3, **options)
    theirs, ours, batch = both(app, client, call(1), call(2))
    assert ours == theirs
    assert batch.slow == {}


def test_two_batches_at_once__each_gets_its_own(make: Make, client: redis.Redis) -> None:
    """The override of the one waits until the other has sent its batch."""
    app = make({"base": HandsOn})
    waiting, other_is_done = threading.Event(), threading.Event()

    class Waits(Task):
        def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
            waiting.set()
            assert other_is_done.wait(20)
            return super().apply_async(args, kwargs, **options)

    @app.task(name="shop.waits", base=Waits, shared=False)
    def waits(x: int) -> None: ...

    ids: list[str] = []

    def first() -> None:
        for batch in enqueue_many(app, [Call(task="shop.waits", args=(n,)) for n in range(4)]):
            ids.extend(batch.ids)

    thread = threading.Thread(target=first)
    thread.start()
    assert waiting.wait(20)
    [batch] = enqueue_many(app, [call(n) for n in range(4)])
    sent = [json.loads(each)["headers"]["id"] for each in messages(client)["celery"]]
    assert sent == batch.ids
    other_is_done.set()
    thread.join(20)
    assert [json.loads(each)["headers"]["id"] for each in messages(client)["celery"]] == ids
    assert "send_task" not in vars(app)


@pytest.fixture
def portable(tmp_path: Path) -> Iterator[Callable[..., Celery]]:
    """Make an app whose broker takes no transactions."""
    apps = []

    def make(**task_options: Any) -> Celery:
        made = Celery("made", broker="memory://", set_as_current=False)
        made.conf.task_default_queue = f"made-by-{tmp_path.name}"
        made.task(name="shop.add", shared=False, **task_options)(_add)
        apps.append(made)
        return made

    yield make
    for each in apps:
        each.close()


def _add(x: Any, y: Any = 2, **more: Any) -> None: ...


def received(app: Celery) -> list[bytes]:
    """Return and remove what lies in the queue, without ids."""
    found = []
    with app.connection_for_read() as connection:
        queue = app.amqp.queues[app.conf.task_default_queue](connection.default_channel)
        while (message := queue.get(no_ack=True)) is not None:
            body = str(message.body)
            parts = (message.headers, message.properties, body, message.content_type, message.delivery_info)
            found.append(alike(json.dumps({"headers": {"id": ""}, "parts": parts}).encode(), timed=True))
    return found


@pytest.mark.parametrize("name", [None, *CHANGES])
@pytest.mark.parametrize("base", [Task, HandsOn, AddsHeader, Twice, Shadowed])
def test_other_broker__gets_what_apply_async_sends(
    portable: Callable[..., Celery], connect: Callable[[str, Hook], None], base: type[Task], name: str | None
) -> None:
    app = portable(base=base)
    seen: list[str] = []

    def receive(signal: Any, **named: Any) -> None:
        seen.append(neutral(named))
        CHANGES[name or "nothing"][0](**named)

    if name:
        connect("before_task_publish", receive)
        connect("after_task_publish", lambda signal, **named: seen.append(neutral(named)))
    calls = [call(n, options={"countdown": 5} if n == 3 else {}) for n in (1, 2, 3, 2)]
    for each in calls:
        app.tasks["shop.add"].apply_async(each.args, dict(each.kwargs), retry=False, **each.options)
    theirs, their_seen = received(app), seen.copy()
    seen.clear()
    list(enqueue_many(app, calls))
    assert received(app) == theirs
    assert len(theirs) == (8 if base is Twice else 4)
    assert [TIMES.sub(b"time", each.encode()) for each in seen] == [
        TIMES.sub(b"time", each.encode()) for each in their_seen
    ]


def test_other_broker__needs_celery_for_the_first_message_only(
    portable: Callable[..., Celery], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = portable()
    made = app.amqp.as_task_v2
    times: list[Any] = []
    monkeypatch.setitem(vars(app.amqp), "create_task_message", lambda *a, **k: times.append(a) or made(*a, **k))
    list(enqueue_many(app, [call(n) for n in range(5)]))
    assert len(times) == 1
    assert len(received(app)) == 5


def test_other_broker__gets_events_from_celery(portable: Callable[..., Celery]) -> None:
    app = portable()
    app.conf.task_send_sent_event = True
    list(enqueue_many(app, [call(n) for n in range(5)]))
    assert app.clock.value == 5  # type: ignore[attr-defined]
    assert len(received(app)) == 5
