from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest
from celery import Celery, Task, signals

from tasktools.arguments.call import Call
from tasktools.publishing import fast_path
from tasktools.publishing.fast_path import Plan, Plans, Remembered, obstacle, overrides_send_task, runs_code
from tasktools.publishing.handing_on import handed_on
from tasktools.publishing.message_kind import DIFFERS, Handed, Kind

CALL = Call(task="shop.add", args=(1, 2))


class Shadowed(Task):
    def shadow_name(self, *args: Any, **options: Any) -> str:
        return "shadow"


class Hooked(Task):
    def apply_async(self, *args: Any, **options: Any) -> Any:
        return super().apply_async(*args, **options)


class OwnOptions(Task):
    def _get_exec_options(self) -> dict[str, Any]:
        return {}


@pytest.fixture
def shop() -> Iterator[Celery]:
    with Celery("shop", broker="memory://", set_as_current=False) as app:

        @app.task(name="shop.add", shared=False)
        def add(x: int, y: int) -> int:
            return x + y

        yield app


def why(app: Any, **options: Any) -> str:
    return obstacle(app, options)


def test_plan__direct_for_a_plain_task(shop: Celery) -> None:
    assert Plan(shop, CALL).is_direct
    assert Plan(shop, Call(task="nobody.knows")).is_direct
    known = {"queue": "a", "countdown": 1, "priority": 1, "time_limit": 2, "task_id": "x", "ignore_result": True}
    assert Plan(shop, CALL._replace(options=known)).is_direct
    assert not Plan(shop, CALL._replace(options={"headers": {}})).is_direct


@pytest.mark.parametrize("base", [Shadowed, Hooked, OwnOptions])
def test_code__of_a_class_of_the_project(shop: Celery, base: type) -> None:
    def own() -> None: ...

    shop.task(name="shop.own", base=base, shared=False)(own)
    assert runs_code(shop.tasks["shop.own"])
    assert not Plan(shop, Call(task="shop.own")).is_direct


def test_code__of_the_task_itself(shop: Celery) -> None:
    task = shop.tasks["shop.add"]
    assert not runs_code(task)
    task.apply_async = lambda *_, **__: None
    assert runs_code(task)


def test_code__of_a_library_that_patches_the_class(shop: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    def watched(self: Any, *args: Any, **options: Any) -> None: ...

    monkeypatch.setattr(Task, "apply_async", watched)
    assert runs_code(shop.tasks["shop.add"])


def test_obstacle__none_for_options_of_celery(shop: Celery) -> None:
    assert why(shop) == ""
    assert why(shop, queue="a", headers={"a": 1}, shadow="b", retry=False, serializer="json", link=None) == ""
    assert why(shop, chain=[], reply_to="me") == "the option chain, reply_to"


def test_obstacle__receivers_of_task_sent(shop: Celery) -> None:
    def receiver(**_: Any) -> None: ...

    signals.task_sent.connect(receiver)
    try:
        assert why(shop) == "receivers of task_sent"
    finally:
        signals.task_sent.disconnect(receiver)
    assert why(shop) == ""


def test_obstacle__a_router_that_is_a_function(shop: Celery) -> None:
    shop.amqp.router.routes = [lambda *_, **__: None]
    assert why(shop) == "a router that may look at the arguments"


def test_obstacle__a_patched_method(shop: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    def watched(self: Any, *args: Any, **options: Any) -> None: ...

    with monkeypatch.context() as patched:
        patched.setattr(fast_path.AMQP, "as_task_v2", watched)
        assert why(shop) == "Celery's AMQP class is patched"
    with monkeypatch.context() as patched:
        patched.setitem(vars(shop.amqp), "send_task_message", watched)
        assert why(shop) == "Celery's AMQP class is patched"
    watched.__wrapped__ = watched  # type: ignore[attr-defined]
    with monkeypatch.context() as patched:
        patched.setattr(fast_path.Producer, "publish", watched)
        assert why(shop) == "kombu's Producer is patched"
    with monkeypatch.context() as patched:
        patched.setattr(fast_path.Celery, "send_task", watched)
        assert why(shop) == "the app overrides send_task"


def test_send_task__that_is_not_celerys(shop: Celery) -> None:
    assert not overrides_send_task(shop)
    with handed_on(shop, object(), print):
        assert not overrides_send_task(shop)
    shop.send_task = lambda *_, **__: None  # type: ignore[method-assign]
    assert overrides_send_task(shop)


def test_obstacle__a_call_within_a_task(shop: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(shop), "current_worker_task", SimpleNamespace())
    assert why(shop) == "it is sent by a task, its parent"


def test_plans__one_for_calls_of_a_kind(shop: Celery) -> None:
    plans = Plans(shop)
    first = plans.of(CALL)
    assert plans.of(CALL._replace(args=(5, 6), options={"task_id": "x"})) is first
    assert plans.of(CALL._replace(options={"queue": "other"})) is not first
    assert plans.of(CALL._replace(options={"queue": ["no", "key"]})).is_direct


def test_kinds__by_what_makes_messages_differ(shop: Celery) -> None:
    plans = Plans(shop)
    first = plans.kind_of("shop.add", {"priority": 1, "task_id": "a"})
    assert plans.kind_of("shop.add", {"priority": 1, "task_id": "b", "headers": {}, "producer": object()}) is first
    for other in ({"priority": True}, {"priority": 1, "headers": {"a": 1}}, {"priority": 1, "shadow": "a"}):
        assert plans.kind_of("shop.add", other) is not first
    assert plans.kind_of("shop.more", {"priority": 1}) is not first


def test_remembered__are_forgotten_when_they_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_path, "MOST_REMEMBERED", 2)
    values = Remembered[object]()
    first = values.get("a", object)
    values.get("b", object)
    assert values.get("a", object) is first
    values.get("c", object)
    assert values.get("a", object) is not first


def test_remembered__not_for_a_key_without_a_hash() -> None:
    values = Remembered[object]()
    assert values.get(["a"], object) is not values.get(["a"], object)


@pytest.mark.parametrize(
    ("options", "timed"), [({}, False), ({"countdown": 1}, True), ({"expires": 5}, True), ({"queue": "a"}, False)]
)
def test_kind__that_depends_on_the_time_is_made_again(shop: Celery, options: dict[str, Any], timed: bool) -> None:
    plans = Plans(shop)
    for _ in range(2):
        kind = plans.kind_of("shop.add", options)
        kind.is_known = True
        plans.forget_moment()
        assert kind.is_known is not timed
        assert plans.kind_of("shop.add", options) is kind


def test_kind__of_a_task_with_an_expiry_of_its_own(shop: Celery) -> None:
    shop.tasks["shop.add"].expires = 60
    assert Plans(shop).kind_of("shop.add", {}).is_timed


def test_learn__nothing_of_a_kind_with_an_obstacle(shop: Celery) -> None:
    kind = Plans(shop).kind_of("shop.add", {"chain": []})
    kind.learn(HANDED, kind.texts(HANDED), cast("Any", None), [])
    assert (kind.why, kind.is_known) == ("the option chain", False)


HANDED = Handed((1,), {}, "id")


@pytest.mark.parametrize("commands", [[], ["publish"], ["lpush", "publish"], ["lpush", "lpush"]])
def test_learn__a_message_that_goes_elsewhere_too(shop: Celery, commands: list[str]) -> None:
    kind = Kind(shop, "shop.add", "")
    made: Any = [SimpleNamespace(name=name, message=object(), value="") for name in commands]
    kind.learn(HANDED, kind.texts(HANDED), cast("Any", None), made)
    assert (kind.why, kind.is_known) == (DIFFERS, False)


@pytest.mark.parametrize(
    "change",
    [
        {"args": {1}},
        {"kwargs": Counter()},
        {"task_id": uuid4()},
        {"headers": [("a", 1)]},
        {"shadow": 1},
    ],
    ids=lambda each: next(iter(each)),
)
def test_handed__what_a_message_seldom_has(change: dict[str, Any]) -> None:
    assert HANDED._replace(headers={"a": 1}, shadow="b", args=[1]).is_plain()
    assert not HANDED._replace(**change).is_plain()
