from __future__ import annotations

import asyncio
import functools
import json
import sys
from datetime import datetime, timedelta, timezone
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.utils import timezone as django_timezone
from kombu import Exchange, Queue

from tasktools.arguments.nesting import TooDeep
from tasktools.brokers import broker_of
from tasktools.brokers.reach import connect
from tasktools.exceptions import InDoubt
from tasktools.framework import publishers, registration
from tasktools.framework.library import Library
from tasktools.framework.priority import Scale

NOW = datetime(2030, 1, 1, 12, tzinfo=timezone.utc)

# What Celery itself calls of redis-py.
pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated setex")


def message_of(app: Any, task_id: str, *queues: str) -> dict[str, Any]:
    """Return the message of a call as it is in a queue of the private Valkey; empty if it is in none."""
    client = app.backend.client
    for queue in queues or ("celery",):
        for key in (queue, *(f"{queue}\x06\x16{step}" for step in (3, 6, 9))):
            for text in client.lrange(key, 0, -1):
                message: dict[str, Any] = json.loads(text)
                if message["headers"]["id"] == task_id:
                    return {**message, "list": key}
    return {}


def test_enqueue__sends_a_message_of_celery(app: Any, tasks: ModuleType) -> None:
    result = tasks.add.enqueue(1, y=3)
    message = message_of(app, result.id)
    assert message["headers"]["task"] == "tests.unit.framework.shop.add"
    assert message["headers"]["argsrepr"] == "[1]"
    assert message["headers"]["eta"] is None


def test_enqueue__returns_what_is_known(tasks: ModuleType, lib: Library) -> None:
    before = django_timezone.now()
    result = tasks.add.enqueue(1, y=3)
    assert (result.status, result.args, result.kwargs, result.attempts) == (lib.Status.READY, [1], {"y": 3}, 0)
    assert before <= result.enqueued_at <= django_timezone.now()
    assert (result.started_at, result.finished_at, result.last_attempted_at) == (None, None, None)


def test_enqueue__is_known_at_once(tasks: ModuleType) -> None:
    result = tasks.add.using(priority=7).enqueue(1)
    assert tasks.add.get_result(result.id) == result


def test_enqueue__takes_both_ways_of_calling(tasks: ModuleType) -> None:
    result = asyncio.run(tasks.later.aenqueue(4))
    assert asyncio.run(tasks.later.aget_result(result.id)) == result


def test_enqueue__the_default_queue_is_that_of_the_app(app: Any, tasks: ModuleType, monkeypatch: Any) -> None:
    monkeypatch.setattr(app.amqp.queues["celery"], "routing_key", "celery")
    assert message_of(app, tasks.add.enqueue(1).id)["properties"]["delivery_info"]["routing_key"] == "celery"


def test_enqueue__another_queue_is_its_own(app: Any, tasks: ModuleType) -> None:
    assert message_of(app, tasks.mail.enqueue("x").id, "mails")["list"].startswith("mails")
    assert message_of(app, tasks.add.using(queue_name="other").enqueue(1).id, "other")["list"].startswith("other")


def test_enqueue__the_default_queue_is_chosen_for_a_task_with_another(app: Any, tasks: ModuleType) -> None:
    result = tasks.mail.using(queue_name="default").enqueue("x")
    assert message_of(app, result.id, "celery")["list"].startswith("celery")
    assert message_of(app, result.id, "mails") == {}


@pytest.mark.parametrize(("priority", "step"), [(100, 0), (50, 2), (1, 4), (0, 4), (-1, 4), (-60, 7), (-100, 9)])
def test_enqueue__priority_is_turned_for_redis(app: Any, tasks: ModuleType, priority: int, step: int) -> None:
    message = message_of(app, tasks.add.using(priority=priority).enqueue(1).id)
    assert message["properties"]["priority"] == step


def test_enqueue__priority_is_that_of_the_queue_of_the_call(app: Any, tasks: ModuleType, monkeypatch: Any) -> None:
    queue = Queue("mails", Exchange("mails"), routing_key="mails", max_priority=4)
    monkeypatch.setitem(app.amqp.queues, "mails", queue)
    scale = Scale(last=0, first=10, middle=5, is_by_queue=True)
    monkeypatch.setitem(vars(tasks.mail.get_backend()), "_scales", {app: scale})
    message = message_of(app, tasks.mail.enqueue("x").id, "mails")
    assert message["properties"]["priority"] == 3
    unsorted = message_of(app, tasks.mail.using(queue_name="default").enqueue("x").id, "celery")
    assert unsorted["properties"]["priority"] == 0


def test_enqueue__run_after_is_an_eta(app: Any, tasks: ModuleType) -> None:
    message = message_of(app, tasks.add.using(run_after=NOW).enqueue(1).id)
    assert datetime.fromisoformat(message["headers"]["eta"]) == NOW


EAST, WEST = timezone(timedelta(hours=9)), timezone(timedelta(hours=-5))


@pytest.mark.parametrize("after", [datetime.max.replace(tzinfo=WEST), datetime.min.replace(tzinfo=EAST)])
def test_using__run_after_that_has_no_time_in_utc(tasks: ModuleType, lib: Library, after: datetime) -> None:
    """It was an OverflowError of the call that is sent."""
    with pytest.raises(lib.InvalidTask, match="that is not in the years 1 to 9999"):
        tasks.add.using(run_after=after)


@pytest.mark.parametrize("after", [datetime.max.replace(tzinfo=timezone.utc), datetime(9999, 12, 31, 23)])  # noqa: DTZ001
def test_using__run_after_that_has_no_time_on_the_site(
    tasks: ModuleType, lib: Library, settings: Any, after: datetime
) -> None:
    """Without USE_TZ, Django has local times: the call was sent, and an error for whoever asked for it."""
    settings.USE_TZ, settings.TIME_ZONE = False, "Asia/Tokyo" if after.tzinfo else "America/New_York"
    with pytest.raises(lib.InvalidTask, match="that is not in the years 1 to 9999"):
        tasks.add.using(run_after=after)


def test_using__run_after_at_the_end_of_the_calendar(app: Any, tasks: ModuleType) -> None:
    last = datetime.max.replace(tzinfo=timezone.utc)
    result = tasks.add.using(run_after=last).enqueue(1)
    assert tasks.add.get_result(result.id).task.run_after == last


def test_enqueue__run_after_keeps_the_record_for_longer(app: Any, tasks: ModuleType) -> None:
    after = django_timezone.now() + timedelta(days=10)
    result = tasks.add.using(run_after=after).enqueue(1)
    lasts = app.backend.client.ttl(app.backend.get_key_for_task(f"{result.id}.django"))
    assert 10 * 86400 < lasts <= 11 * 86400


@pytest.mark.parametrize("wrong", [NOW, {1, 2}, object()])
def test_enqueue__what_is_not_json_is_refused(tasks: ModuleType, wrong: Any) -> None:
    with pytest.raises(TypeError, match="Unsupported type"):
        tasks.add.enqueue(wrong)


def test_enqueue__arguments_that_do_not_fit_are_refused(app: Any, tasks: ModuleType) -> None:
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'x'"):
        tasks.add.enqueue()
    with pytest.raises(TypeError, match="positional argument"):
        tasks.told.enqueue("a", "b")


def test_enqueue__nothing_is_kept_of_what_was_not_sent(
    app: Any, tasks: ModuleType, monkeypatch: pytest.MonkeyPatch, lib: Library
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("gone")

    ids = iter(["11111111-1111-1111-1111-111111111111"])
    monkeypatch.setattr("tasktools.framework.celery_backend.uuid", lambda: next(ids))
    monkeypatch.setattr("tasktools.framework.store.shares_database", lambda *_: False)
    monkeypatch.setattr("tasktools.publishing.batch.Publisher.send", refuse)
    with pytest.raises(OSError, match="gone"):
        tasks.add.enqueue(1)
    with pytest.raises(lib.DoesNotExist):
        tasks.add.get_result("11111111-1111-1111-1111-111111111111")


def test_enqueue__what_may_have_been_sent_keeps_its_record(app: Any, tasks: ModuleType, monkeypatch: Any) -> None:
    def break_off(*_: Any, **__: Any) -> None:
        raise InDoubt("it broke off")

    ids = iter(["22222222-2222-2222-2222-222222222222"])
    monkeypatch.setattr("tasktools.framework.celery_backend.uuid", lambda: next(ids))
    monkeypatch.setattr("tasktools.framework.store.shares_database", lambda *_: False)
    monkeypatch.setattr("tasktools.publishing.batch.Publisher.send", break_off)
    with pytest.raises(InDoubt):
        tasks.add.enqueue(1)
    assert tasks.add.get_result("22222222-2222-2222-2222-222222222222").args == [1]


def test_enqueue__record_and_message_in_two_databases(app: Any, tasks: ModuleType, monkeypatch: Any) -> None:
    monkeypatch.setattr("tasktools.framework.store.shares_database", lambda *_: False)
    result = tasks.add.enqueue(1)
    assert message_of(app, result.id)
    assert tasks.add.get_result(result.id) == result


def test_enqueue__sends_by_celery_alone_on_other_brokers(app: Any, tasks: ModuleType, monkeypatch: Any) -> None:
    monkeypatch.setattr("tasktools.publishing.batch.Publisher.is_atomic", False)
    result = tasks.add.enqueue(1)
    assert message_of(app, result.id)["headers"]["django_task"]["queue_name"] == "default"
    assert tasks.add.get_result(result.id) == result


def test_enqueue__another_thread_has_another_connection(app: Any, tasks: ModuleType) -> None:
    with publishers.publisher(app) as one, publishers.publisher(app) as other:
        assert one is not other
    with publishers.publisher(app) as again:
        assert again in (one, other)


def test_enqueue__a_broken_connection_is_not_used_again(app: Any) -> None:
    with pytest.raises(OSError), publishers.publisher(app) as one:
        raise OSError
    with publishers.publisher(app) as other:
        assert other is not one
    publishers.close(app)


def test_enqueue__signal_comes_after_the_message(app: Any, tasks: ModuleType, lib: Library) -> None:
    seen = []

    def receive(sender: Any, task_result: Any, **_: Any) -> None:
        seen.append((sender.__name__, task_result, bool(message_of(app, task_result.id))))

    lib.signals.task_enqueued.connect(receive)
    try:
        result = tasks.add.enqueue(1)
    finally:
        lib.signals.task_enqueued.disconnect(receive)
    assert seen == [("CeleryBackend", result, True)]


@pytest.mark.django_db(transaction=True)
def test_enqueue__the_record_is_in_no_transaction_of_the_site(
    app: Any, tasks: ModuleType, monkeypatch: Any, lib: Library
) -> None:
    """A result backend that stores by the models of Django."""
    monkeypatch.setattr(type(app.backend), "TaskModel", ContentType, raising=False)
    with transaction.atomic():
        result = tasks.add.enqueue(1)
        assert message_of(app, result.id)
    with pytest.raises(lib.DoesNotExist):
        tasks.add.get_result(result.id)
    assert tasks.add.get_result(tasks.add.enqueue(1).id)


@pytest.mark.django_db(transaction=True)
class TestOnCommit:
    @pytest.fixture(autouse=True)
    def option(self, tasks: ModuleType, settings: Any) -> None:
        options = {"enqueue_on_commit": True}
        settings.TASKS = {"default": {"BACKEND": "tasktools.backend.CeleryBackend", "OPTIONS": options}}

    def test_enqueue__waits_for_the_commit(self, app: Any, tasks: ModuleType) -> None:
        with transaction.atomic():
            result = tasks.add.enqueue(1)
            assert (result.enqueued_at, message_of(app, result.id)) == (None, {})
        assert result.enqueued_at is not None
        assert message_of(app, result.id)
        assert tasks.add.get_result(result.id) == result

    def test_enqueue__what_rolls_back_is_not_sent(self, app: Any, tasks: ModuleType, lib: Library) -> None:
        with transaction.atomic():
            result = tasks.add.enqueue(1)
            transaction.set_rollback(True)
        assert message_of(app, result.id) == {}
        with pytest.raises(lib.DoesNotExist):
            tasks.add.get_result(result.id)

    def test_enqueue__arguments_that_do_not_fit__are_refused_at_the_call(self, tasks: ModuleType) -> None:
        """After the commit nobody could take it back, and what else waits for the commit would not run."""
        after: list[str] = []
        with transaction.atomic():
            with pytest.raises(TypeError, match="missing 1 required positional argument: 'x'"):
                tasks.add.enqueue()
            with pytest.raises(TooDeep):
                tasks.add.enqueue(functools.reduce(lambda inner, _: [inner], range(150), 1))
            transaction.on_commit(lambda: after.append("it"))
        assert after == ["it"]

    def test_enqueue__a_transaction_whose_end_nobody_sees__is_refused(self, app: Any, tasks: ModuleType) -> None:
        transaction.set_autocommit(False)
        try:
            with pytest.raises(transaction.TransactionManagementError, match="manual transaction management"):
                tasks.add.enqueue(1)
        finally:
            transaction.rollback()
            transaction.set_autocommit(True)

    def test_enqueue__is_at_once_outside_of_a_transaction(self, app: Any, tasks: ModuleType) -> None:
        assert message_of(app, tasks.add.enqueue(1).id)


def test_validate__queue_that_is_not_listed(tasks: ModuleType, settings: Any, lib: Library) -> None:
    settings.TASKS = {"default": {"BACKEND": "tasktools.backend.CeleryBackend", "QUEUES": ["default"]}}
    with pytest.raises(lib.InvalidTask, match="Queue 'mails' is not valid for backend"):
        tasks.mail.enqueue("x")


def test_validate__priority_without_a_scale_is_refused(tasks: ModuleType, monkeypatch: Any, lib: Library) -> None:
    monkeypatch.setattr(type(tasks.add.get_backend()), "_scale_of", lambda *_: None)
    with pytest.raises(lib.InvalidTask, match="does not support setting priority"):
        tasks.add.using(priority=5)
    assert tasks.add.enqueue(1).id


def test_validate__a_module_of_tasks_needs_no_broker(app: Any, tasks: ModuleType, monkeypatch: Any) -> None:
    """Its import validates each task. What is wrong with the broker is for the call."""
    backend = tasks.add.get_backend()
    monkeypatch.setitem(vars(backend), "_scales", {})
    monkeypatch.setitem(app.conf, "broker_write_url", "nosuchtransport://")
    assert [tasks.task(tasks.add.func), tasks.task(priority=5)(tasks.add.func)]
    assert backend.supports_priority
    with pytest.raises(Exception, match="nosuchtransport"):
        tasks.add.enqueue(1)


def test_validate__the_usual_priority_asks_no_broker(tasks: ModuleType, monkeypatch: Any) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(type(tasks.add.get_backend()), "_scale_of", lambda *_: asked.append(1))
    tasks.task(tasks.add.func)
    assert asked == []


def test_validate__function_that_workers_cannot_import(tasks: ModuleType, lib: Library) -> None:
    def local() -> None: ...

    with pytest.raises(lib.InvalidTask, match="module level"):
        tasks.task(local)


def test_get_result__unknown_id(tasks: ModuleType, lib: Library) -> None:
    for unknown in ("123", "", "x" * 500, "\n", "\0", "\ud800", 7):
        with pytest.raises(lib.DoesNotExist):
            tasks.add.get_result(unknown)


def test_get_result__of_another_task(tasks: ModuleType) -> None:
    result = tasks.later.enqueue(1)
    with pytest.raises(Exception, match="Task does not match") as raised:
        tasks.add.get_result(result.id)
    assert type(raised.value).__name__ == "TaskResultMismatch"


def test_get_result__of_a_task_that_is_gone(app: Any, tasks: ModuleType, lib: Library) -> None:
    from tasktools.framework import store

    result = tasks.add.enqueue(1)
    record = store.read(app.backend, result.id) or {}
    for name in ("shop.gone", "os.system", "builtins.print", ""):
        store.write(app.backend, result.id, {**record, "task": name})
        with pytest.raises(lib.DoesNotExist):
            tasks.add.get_result(result.id)


def test_get_result__without_a_result_backend(app: Any, tasks: ModuleType, monkeypatch: Any) -> None:
    from celery.backends.base import DisabledBackend

    monkeypatch.setattr(app, "_backend_cache", DisabledBackend(app=app))
    monkeypatch.setattr(app, "_local", type("Local", (), {"backend": app._backend_cache})())
    backend = tasks.add.get_backend()
    assert not backend.supports_get_result
    with pytest.raises(NotImplementedError, match="does not support retrieving"):
        backend.get_result("123")


def test_tasks__have_the_signature_of_their_function(app: Any, tasks: ModuleType) -> None:
    from tasktools.arguments.target import describe
    from tasktools.registry.registry import signature_of

    signatures = {name: describe(signature_of(app.tasks[f"{tasks.__name__}.{name}"]).shown) for name in ("add", "told")}
    assert signatures == {"add": "(x: int, y: int = 2)", "told": "(word: str)"}


def test_tasks__a_call_of_celery_has_the_queue_and_the_priority(app: Any, tasks: ModuleType) -> None:
    sent = app.tasks[f"{tasks.__name__}.mail"].delay("x")
    message = message_of(app, sent.id, "mails")
    assert message["properties"]["priority"] == 2


def test_tasks__using_our_backend_registers_those_of_others(app: Any, tasks: ModuleType, settings: Any) -> None:
    ours = {"BACKEND": "tasktools.backend.CeleryBackend"}
    library = tasks.task.__module__.removesuffix(".base")
    settings.TASKS = {"default": {"BACKEND": f"{library}.backends.dummy.DummyBackend"}, "celery": ours}
    registration._registered.clear()
    other = tasks.task(tasks.later.func)
    assert registration._registered == set()
    assert message_of(app, other.using(backend="celery").enqueue(1).id)


def test_worker__knows_the_tasks_of_other_backends(tasks: ModuleType, settings: Any, monkeypatch: Any) -> None:
    """They may be sent to it by `using`."""
    from tasktools import every_worker
    from tasktools.framework import registration

    monkeypatch.setattr(every_worker.apps, "get_app_configs", lambda: [type("Config", (), {"name": "gone"})])
    registration._registered.clear()
    every_worker.know_framework()
    assert registration._registered == set()
    monkeypatch.setitem(sys.modules, "gone.tasks", tasks)
    settings.TASKS = {**settings.TASKS, "other": {"BACKEND": "shop.Backend"}}
    every_worker.know_framework()
    assert f"{tasks.__name__}.later" in registration._registered


def test_worker__knows_no_task_of_a_framework_that_is_not_there(settings: Any, monkeypatch: Any) -> None:
    """`showworkers` and `taskdoctor --live` ended with a traceback; the check E090 says what is missing."""
    from tasktools import every_worker
    from tasktools.framework import library, registration

    def missing() -> Any:
        raise AssertionError(library.MISSING)

    settings.TASKS = {
        "default": {"BACKEND": "tasktools.backend.CeleryBackend"},
        "other": {"BACKEND": "shop.Backend"},
    }
    monkeypatch.setattr(library, "name", lambda: "")
    monkeypatch.setattr(library, "load", missing)
    registration._registered.clear()
    every_worker.know_framework()
    assert registration._registered == set()


@pytest.mark.parametrize("command", ["showworkers", "taskdoctor"])
def test_comparison__with_a_worker_knows_the_tasks_of_other_backends_too(
    app: Any, tasks: ModuleType, settings: Any, monkeypatch: Any, command: str
) -> None:
    """Both warned of a worker of the same code that it "knows tasks that this process does not"."""
    from tasktools import every_worker
    from tasktools.management import doctor_live, worker_options

    library = tasks.task.__module__.removesuffix(".base")
    settings.TASKS = {
        "default": {"BACKEND": f"{library}.backends.dummy.DummyBackend"},
        "own": settings.TASKS["default"],
    }
    registration._registered.clear()
    app.tasks.pop(f"{tasks.__name__}.later", None)
    other = ModuleType("gone.tasks")
    vars(other)["later"] = tasks.task(tasks.later.func)
    assert f"{tasks.__name__}.later" not in app.tasks
    monkeypatch.setitem(sys.modules, "gone.tasks", other)
    monkeypatch.setattr(every_worker.apps, "get_app_configs", lambda: [SimpleNamespace(name="gone")])
    monkeypatch.setattr(worker_options.django_fixup, "load_rest", lambda found: [])
    monkeypatch.setattr(doctor_live, "require_broker", lambda found: None)
    monkeypatch.setattr(doctor_live.Examination, "sections", lambda self: [])
    typed: Any = SimpleNamespace(load_tasks=lambda found: None, warn=lambda *_: None, is_broken=False)
    {"showworkers": worker_options.queues_of_tasks, "taskdoctor": doctor_live.live_sections}[command](
        typed, SimpleNamespace(app=app)
    )
    assert f"{tasks.__name__}.later" in app.tasks


def test_connect__is_the_project_s_own_broker(app: Any) -> None:
    connection = connect(broker_of(app), 3, consequence="")
    assert connection.connected
    connection.release()
