from __future__ import annotations

import inspect
import sysconfig
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery, Task, chain, group
from celery.exceptions import Retry
from celery.signals import after_task_publish
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils.functional import SimpleLazyObject

from tasktools import misuse
from tasktools.exceptions import ModelArgumentWarning, TasktoolsWarning, TransactionWarning
from tasktools.misuse.calls import MOST_ELEMENTS
from tests.unit.misuse.conftest import SETTINGS

ANN = User(username="ann", pk=7)


def line_before() -> int:
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno - 1


@pytest.mark.parametrize(
    ("args", "kwargs", "what"),
    [
        ((ANN,), {}, "an object of the model User"),
        ((1, ANN), {}, "an object of the model User"),
        ((), {"user": ANN}, "an object of the model User"),
        (([1, ANN],), {}, "an object of the model User"),
        (({"user": ANN},), {}, "an object of the model User"),
        (({1, 2}, {ANN}), {}, "an object of the model User"),
        (([0] * (MOST_ELEMENTS - 1) + [ANN],), {}, "an object of the model User"),
        ((SimpleLazyObject(lambda: ANN),), {}, "an object of the model User"),
        ((User.objects.none(),), {}, "a queryset of the model User"),
    ],
)
def test_delay__of_a_model(add: Any, args: tuple[Any, ...], kwargs: dict[str, Any], what: str) -> None:
    with pytest.warns(ModelArgumentWarning) as seen:
        add.delay(*args, **kwargs)
    (warning,) = seen
    sentence = (
        f"{what} is among the arguments of watched.add: its row may be another one when the task runs. Pass its key."
    )
    assert str(warning.message) == sentence


@pytest.mark.parametrize(
    "args",
    [(), (ANN.pk,), ([0] * MOST_ELEMENTS + [ANN],), (User,), ([[ANN]],), ("text", b"bytes", None, {"a": 1}, {2})],
)
def test_delay__of_no_model(add: Any, args: tuple[Any, ...]) -> None:
    add.delay(*args)  # a warning is an error in this suite


def test_apply_async__of_values_that_can_be_read_once(add: Any) -> None:
    @add.app.task(name="watched.total", shared=False)
    def total(rows: Any) -> int:
        return sum(rows)

    add.app.conf.task_always_eager = True
    assert total.delay(iter([1, 2, 3])).get() == 6


def test_delay__of_a_lazy_object_that_cannot_be_made(add: Any) -> None:
    add.app.conf.task_serializer = "json"

    def fail() -> User:
        raise LookupError("nobody is logged in")

    with pytest.raises(Exception, match="nobody is logged in"):
        add.delay(SimpleLazyObject(fail))


def test_warning__has_the_place_of_the_caller(add: Any) -> None:
    with pytest.warns(ModelArgumentWarning) as seen:
        add.delay(ANN)
    line = line_before()
    assert (seen[0].filename, seen[0].lineno) == (__file__, line)


def test_warning__passes_over_a_library_that_wraps_the_call(add: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As monitoring libraries do."""
    place = f"{sysconfig.get_path('purelib')}/watching/__init__.py"
    space: dict[str, Any] = {}
    exec(compile("def wrapped(call, *args):\n    return call(*args)", place, "exec"), space)
    with pytest.warns(ModelArgumentWarning) as seen:
        space["wrapped"](add.delay, ANN)
    assert seen[0].filename == __file__


def test_warning__of_an_installed_project(add: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but installed packages has called: the first of them is named that is not Celery's."""
    monkeypatch.setattr("tasktools.misuse.caller._is_installed", lambda file: True)
    with pytest.warns(ModelArgumentWarning) as seen:
        add.delay(ANN)
    assert seen[0].filename == __file__


@pytest.mark.parametrize(
    "call",
    [
        lambda add: add.apply_async((ANN,)),
        lambda add: add.apply_async(kwargs={"user": ANN}, countdown=3),
        lambda add: add.s(ANN).delay(),
        lambda add: add.si(ANN).apply_async(),
        lambda add: group([add.s(ANN), add.s(1)]).delay(),
        lambda add: chain(add.s(ANN), add.s()).delay(),
        lambda add: add.app.send_task("watched.add", [ANN]),
        lambda add: add.app.send_task("watched.add", kwargs={"user": ANN}),
        lambda add: add.app.signature("elsewhere.add", args=(ANN,)).delay(),
    ],
)
def test_warning__of_each_way_to_call(add: Any, call: Callable[[Any], Any]) -> None:
    with pytest.warns(ModelArgumentWarning) as seen:
        call(add)
    assert [each.filename for each in seen] == [__file__]


def test_warning__comes_once_a_line(add: Any) -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("default")
        for _ in range(3):
            add.delay(ANN)
    assert len(seen) == 1


def test_warning__as_an_error_sends_nothing(add: Any) -> None:
    sent = []

    @after_task_publish.connect(sender="watched.add")
    def note(**_: Any) -> None:
        sent.append(1)

    with pytest.raises(TasktoolsWarning):
        add.delay(ANN)
    assert sent == []
    add.delay(1)
    assert sent == [1]


def test_warning__of_a_task_that_runs_at_once(add: Any) -> None:
    add.app.conf.task_always_eager = True
    with pytest.warns(ModelArgumentWarning) as seen:
        assert add.delay(ANN).get() == 1
    assert len(seen) == 1


@pytest.fixture
def at_hand(transactional_db: None) -> Iterator[None]:
    """A database in autocommit mode, as in a process of the site."""
    connection.ensure_connection()
    yield
    connection.set_autocommit(True)


def sentence(name: str = "watched.add") -> str:
    return (
        f'{name} is sent inside a transaction of the database "default": it may run before the rows are there, or '
        "although they are rolled back. Use delay_on_commit(), or transaction.on_commit()."
    )


@pytest.mark.parametrize("is_eager", [True, False])
def test_delay__inside_a_transaction(at_hand: None, add: Any, is_eager: bool) -> None:
    add.app.conf.task_always_eager = is_eager
    with pytest.warns(TransactionWarning) as seen, transaction.atomic():
        add.delay(1)
    line = line_before()
    (warning,) = seen
    assert (str(warning.message), warning.filename, warning.lineno) == (sentence(), __file__, line)


def test_delay__without_autocommit(at_hand: None, add: Any) -> None:
    connection.set_autocommit(False)
    with pytest.warns(TransactionWarning):
        add.delay(1)


def test_delay__outside_a_transaction(at_hand: None, add: Any) -> None:
    with transaction.atomic():
        User.objects.count()
    add.delay(1)


def test_delay__on_commit(at_hand: None, add: Any) -> None:
    sent = []
    with transaction.atomic():
        transaction.on_commit(lambda: sent.append(add.delay(1).id))
        assert sent == []
    assert len(sent) == 1


@pytest.mark.django_db
def test_delay__in_the_transaction_of_a_test_case(add: Any) -> None:
    assert connection.in_atomic_block
    add.delay(1)
    with pytest.warns(TransactionWarning), transaction.atomic():
        add.delay(1)


def test_retry__inside_a_transaction(at_hand: None, add: Any) -> None:
    """It leaves the transaction, and the message must not depend on its end."""

    @add.app.task(name="watched.again", bind=True, shared=False)
    def again(self: Any, other: bool) -> None:
        with transaction.atomic():
            if other:
                add.apply_async((1,), task_id="2")
            self.retry(countdown=1)

    def run(other: bool) -> None:
        again.push_request(id="1", args=(other,), kwargs={}, called_directly=False, retries=0, delivery_info={})
        again.app.set_current()
        from celery import _state

        _state._task_stack.push(again)
        try:
            with pytest.raises(Retry):
                again.run(other)
        finally:
            _state._task_stack.pop()
            again.pop_request()

    run(other=False)
    with pytest.warns(TransactionWarning) as seen:
        run(other=True)
    assert [str(each.message) for each in seen] == [sentence()]


@pytest.mark.parametrize(
    ("setting", "expected"), [(SETTINGS[0], [TransactionWarning]), (SETTINGS[1], [ModelArgumentWarning])]
)
def test_setting__turns_one_off(at_hand: None, add: Any, settings: Any, setting: str, expected: list[Any]) -> None:
    setattr(settings, setting, False)
    with pytest.warns(TasktoolsWarning) as seen, transaction.atomic():
        add.delay(ANN)
    assert [each.category for each in seen] == expected


@pytest.mark.parametrize("debug", [True, False])
def test_setting__is_debug_by_default(add: Any, settings: Any, debug: bool) -> None:
    for name in SETTINGS:
        delattr(settings, name)
    settings.DEBUG = debug
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        add.delay(ANN)
    assert len(seen) == debug


def test_start__replaces_each_method_once(add: Any) -> None:
    before = Task.apply_async, Celery.send_task
    misuse.start()
    assert (Task.apply_async, Celery.send_task) == before
    assert not misuse.is_watched(Task.apply_async.__wrapped__)  # type: ignore[attr-defined]
    assert Task.apply_async.__doc__ == Task.apply_async.__wrapped__.__doc__  # type: ignore[attr-defined]


@pytest.mark.parametrize("is_on", [True, False])
def test_start__replaces_nothing_without_debug(
    monkeypatch: pytest.MonkeyPatch, switch: Callable[[bool], None], is_on: bool
) -> None:
    switch(True)
    switch(is_on)
    for owner, name in ((Task, "apply_async"), (Celery, "send_task")):
        monkeypatch.setattr(owner, name, getattr(owner, name).__wrapped__)
    misuse.start()
    assert misuse.is_watched(Task.apply_async) is misuse.is_watched(Celery.send_task) is is_on
