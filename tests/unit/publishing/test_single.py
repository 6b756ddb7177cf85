from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from kombu import Exchange, Queue

from tasktools.arguments.call import Call
from tasktools.brokers import broker_of
from tasktools.brokers.reach import HINT
from tasktools.exceptions import ArgumentError, TaskNameError
from tasktools.publishing.single import _in_doubt, prepare, publish
from tests.site.tasks import Colour


def test_prepare__resolves_types_and_binds(app: Any) -> None:
    call = prepare(app, "tasks.total", ["1", "factor=2"], options={"countdown": 90.0})
    assert call == Call(task="tests.site.tasks.total", args=(1,), kwargs={"factor": 2.0}, options={"countdown": 90.0})


def test_prepare__every_type(app: Any) -> None:
    words = ["007", "7", "yes", "1.10", "00000000-0000-0000-0000-000000000001", "2030-01-31", "2030-01-31T18:00+01:00"]
    call = prepare(app, "typed", [*words, "BLUE", "3", "[1, 2]"])
    assert call.args[:6] == ("007", 7, True, Decimal("1.10"), UUID(int=1), date(2030, 1, 31))
    assert call.args[6].isoformat() == "2030-01-31T18:00:00+01:00"
    assert call.args[7:] == (Colour.BLUE, 3, [1, 2])


def test_prepare__json_as_celery_call_takes_it(app: Any) -> None:
    call = prepare(app, "echo", args_json='[{"a": 1}]')
    assert (call.args, call.kwargs) == (({"a": 1},), {})
    assert prepare(app, "echo", kwargs_json='{"value": null}').kwargs == {"value": None}


def test_prepare__self_of_a_bound_task_is_no_argument(app: Any) -> None:
    assert prepare(app, "bound", ["x"]).args == ("x",)


def test_prepare__celery_s_own_tasks_can_be_called(app: Any) -> None:
    assert prepare(app, "celery.backend_cleanup").task == "celery.backend_cleanup"


def test_prepare__an_unknown_name(app: Any) -> None:
    with pytest.raises(TaskNameError) as caught:
        prepare(app, "snoze")
    assert caught.value.sentence == 'No task is called "snoze".'
    assert caught.value.hint == "did you mean tests.site.tasks.snooze?"


def test_prepare__an_unregistered_name_is_taken_as_it_is(app: Any) -> None:
    call = prepare(app, "their.app.add", ["2", "x", "k=[1]"], unregistered=True)
    assert call == Call(task="their.app.add", args=(2, "x"), kwargs={"k": [1]})


def test_prepare__unregistered_does_not_shorten(app: Any) -> None:
    assert prepare(app, "echo", ["1"], unregistered=True).task == "echo"


def test_prepare__unregistered_still_checks_a_name_that_is_registered(app: Any) -> None:
    with pytest.raises(ArgumentError) as caught:
        prepare(app, "tests.site.tasks.total", ["x"], unregistered=True)
    assert caught.value.sentence == '"x" is not an integer, which "x" of tests.site.tasks.total takes.'


def test_prepare__a_value_that_the_message_cannot_carry(app: Any) -> None:
    with pytest.raises(ArgumentError) as caught:
        prepare(app, "span", ["5m"])
    assert caught.value.sentence == (
        'The arguments of tests.site.tasks.span cannot be sent by the serializer "json": '
        "Object of type timedelta is not JSON serializable."
    )
    assert caught.value.hint == (
        "give plain values (numbers, text, lists, dictionaries), or set another CELERY_TASK_SERIALIZER"
    )


def test_in_doubt__with_an_id_to_ask_for(shop: Any) -> None:
    error = _in_doubt(broker_of(shop), "does not answer.", Call(task="shop.add", options={"task_id": "i1"}))
    assert error.sentence == 'The broker "memory://" does not answer. Whether shop.add was sent cannot be known.'
    assert error.hint == f"{HINT}. Ask later: manage.py taskresult i1"
    assert error.exit_code == 69


def test_in_doubt__without_an_id(shop: Any) -> None:
    error = _in_doubt(broker_of(shop), "broke off: Is it there?", Call(task="shop.add"))
    assert error.sentence == 'The broker "memory://" broke off: Is it there? Whether shop.add was sent cannot be known.'
    assert error.hint == f"{HINT}."


def test_publish__the_queue_is_that_of_the_message_whatever_a_router_says_the_second_time(shop: Any) -> None:
    names = iter(["first", "second"])
    shop.conf.task_routes = (lambda *_, **__: {"queue": next(names)},)
    sent = publish(shop, Call(task="shop.add"))
    assert sent.queue == "first"
    with shop.connection_for_read() as connection:
        assert connection.default_channel.basic_get("first").headers["id"] == sent.id


TOPICS = Queue("news", Exchange("topics", type="topic"), routing_key="news.#")


@pytest.mark.parametrize(
    ("options", "queue"),
    [
        ({}, "celery"),
        ({"queue": "slow"}, "slow"),
        ({"queue": "news"}, "news"),
        ({"exchange": "topics", "exchange_type": "topic", "routing_key": "news.today"}, ""),  # it may go to several
    ],
)
def test_publish__the_queue(shop: Any, options: dict[str, Any], queue: str) -> None:
    shop.conf.task_queues = [Queue("celery"), Queue("slow"), TOPICS]
    assert publish(shop, Call(task="shop.add", options=options)).queue == queue
