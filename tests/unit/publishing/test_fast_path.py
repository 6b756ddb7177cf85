from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery, Task, signals

from tasktools.arguments.call import Call
from tasktools.publishing import fast_path
from tasktools.publishing.fast_path import Plan, Plans, obstacle

CALL = Call(task="shop.add", args=(1, 2))


class Shadowed(Task):
    def shadow_name(self, *args: Any, **options: Any) -> str:
        return "shadow"


class Hooked(Task):
    def apply_async(self, *args: Any, **options: Any) -> Any:
        return super().apply_async(*args, **options)


@pytest.fixture
def shop() -> Iterator[Celery]:
    with Celery("shop", broker="memory://", set_as_current=False) as app:

        @app.task(name="shop.add", shared=False)
        def add(x: int, y: int) -> int:
            return x + y

        yield app


def why(app: Any, call: Call = CALL) -> str:
    return obstacle(app, app.tasks.get(call.task), call)


def test_obstacle__none_for_a_plain_task(shop: Celery) -> None:
    assert why(shop) == ""
    assert why(shop, Call(task="nobody.knows")) == ""


@pytest.mark.parametrize(
    ("base", "name"),
    [(Shadowed, "shadow_name"), (Hooked, "apply_async")],
    ids=lambda each: getattr(each, "__name__", each),
)
def test_obstacle__a_class_of_the_project_s(shop: Celery, base: type, name: str) -> None:
    def own() -> None: ...

    shop.task(name="shop.own", base=base, shared=False)(own)
    assert why(shop, Call(task="shop.own")) == f"its class overrides {name}"


def test_obstacle__a_task_with_a_method_of_its_own(shop: Celery) -> None:
    shop.tasks["shop.add"].apply_async = lambda *_, **__: None
    assert why(shop) == "it has apply_async of its own"


@pytest.mark.parametrize("name", ["before_task_publish", "after_task_publish", "task_sent"])
def test_obstacle__receivers_of_a_signal(shop: Celery, name: str) -> None:
    def receiver(**_: Any) -> None: ...

    signal = getattr(signals, name)
    signal.connect(receiver)
    try:
        assert why(shop) == f"receivers of {name}"
    finally:
        signal.disconnect(receiver)
    assert why(shop) == ""


def test_obstacle__what_the_app_does(shop: Celery) -> None:
    shop.conf.task_send_sent_event = True
    assert why(shop) == "task_send_sent_event"
    shop.conf.task_send_sent_event = False
    shop.amqp.router.routes = [lambda *_, **__: None]
    assert why(shop) == "a router that may look at the arguments"


def test_obstacle__a_patched_method(shop: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    def watched(self: Any, *args: Any, **options: Any) -> None: ...

    with monkeypatch.context() as patched:
        patched.setattr(fast_path.AMQP, "as_task_v2", watched)
        assert why(shop) == "Celery's AMQP class is patched"
    watched.__wrapped__ = watched  # type: ignore[attr-defined]
    with monkeypatch.context() as patched:
        patched.setattr(fast_path.Producer, "publish", watched)
        assert why(shop) == "kombu's Producer is patched"
    with monkeypatch.context() as patched:
        patched.setattr(fast_path.Celery, "send_task", watched)
        assert why(shop) == "the app overrides send_task"


def test_obstacle__an_option_that_no_template_knows(shop: Celery) -> None:
    known = {"queue": "a", "countdown": 1, "priority": 1, "time_limit": 2, "task_id": "x", "ignore_result": True}
    assert why(shop, CALL._replace(options=known)) == ""
    assert why(shop, CALL._replace(options={"headers": {}, "chain": []})) == "the option chain, headers"


def test_obstacle__a_call_within_a_task(shop: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(shop), "current_worker_task", SimpleNamespace())
    assert why(shop) == "it is sent by a task, its parent"


def test_plans__one_for_calls_of_a_kind(shop: Celery) -> None:
    plans = Plans(shop)
    first = plans.of(CALL)
    assert plans.of(CALL._replace(args=(5, 6), options={"task_id": "x"})) is first
    assert plans.of(CALL._replace(options={"queue": "other"})) is not first
    assert plans.of(CALL._replace(options={"queue": ["no", "key"]})).why == ""


def test_plans__are_forgotten_when_they_are_many(shop: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_path, "MOST_PLANS", 2)
    plans = Plans(shop)
    first = plans.of(CALL)
    plans.of(CALL._replace(options={"queue": "a"}))
    assert plans.of(CALL) is first
    plans.of(CALL._replace(options={"queue": "b"}))
    assert plans.of(CALL) is not first


@pytest.mark.parametrize(
    ("options", "timed"), [({}, False), ({"countdown": 1}, True), ({"expires": 5}, True), ({"queue": "a"}, False)]
)
def test_template__that_depends_on_the_time_is_made_again(shop: Celery, options: dict[str, Any], timed: bool) -> None:
    plans = Plans(shop)
    plan = plans.of(CALL._replace(options=options))
    template: Any = object()
    plan.template = template
    plans.forget_moment()
    assert (plan.template is None) is timed


def test_template__of_a_task_with_an_expiry_of_its_own(shop: Celery) -> None:
    shop.tasks["shop.add"].expires = 60
    plan = Plan(shop, CALL)
    template: Any = object()
    plan.template = template
    plan.forget_moment()
    assert plan.template is None


def test_learn__nothing_of_a_plan_with_an_obstacle(shop: Celery) -> None:
    plan = Plan(shop, CALL._replace(options={"headers": {}}))
    plan.learn([], CALL, "id")
    assert plan.why == "the option headers"


@pytest.mark.parametrize("commands", [[], ["publish"], ["lpush", "publish"], ["lpush", "lpush"]])
def test_learn__a_message_that_goes_elsewhere_too(shop: Celery, commands: list[str]) -> None:
    plan = Plan(shop, CALL)
    made: Any = [SimpleNamespace(name=name, message=object(), value="") for name in commands]
    plan.learn(made, CALL, "id")
    assert plan.why == "its messages differ by more than ids and arguments"
    assert plan.template is None
