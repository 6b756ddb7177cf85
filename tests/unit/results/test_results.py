from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from celery.exceptions import TaskRevokedError
from celery.result import EagerResult
from celery.utils.serialization import UnpickleableExceptionWrapper

from tasktools.arguments.names import check_id
from tasktools.exceptions import ConfigurationError, Unreachable, UsageError
from tasktools.results.backend import check_backend
from tasktools.results.outcome import Failure, Outcome, of_eager, outcome_of
from tasktools.results.wait import wait

PENDING = {"status": "PENDING", "result": None}
DONE = {"status": "SUCCESS", "result": 4}


class Backend:
    """Answers each look at an id with the next of its metas, and with the last of them ever after."""

    def __init__(self, **metas: list[Any]) -> None:
        self.metas = metas

    def get_task_meta(self, task_id: str) -> dict[str, Any]:
        left = self.metas[task_id]
        meta = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(meta, Exception):
            raise meta
        return dict(meta)

    def as_uri(self, include_password: bool = True) -> str:
        return "redis://:secret@host/1"


class Clock:
    """A clock that only sleeping moves on."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 6))
        self.now += seconds


def waited(clock: Clock, timeout: float | None, interval: float = 0.5, **metas: list[Any]) -> list[tuple[str, str]]:
    app = SimpleNamespace(backend=Backend(**metas))
    found = wait(app, list(metas), timeout=timeout, interval=interval, clock=clock, sleep=clock.sleep)
    return [(each.id, each.state) for each in found]


def test_outcome_of__done() -> None:
    meta = {
        "status": "SUCCESS",
        "result": {"a": [1]},
        "traceback": None,
        "date_done": "2030-01-31T18:00:00+00:00",
        "name": "shop.add",
        "worker": "celery@host",
        "retries": 0,
        "children": [],
    }
    outcome = outcome_of("i", meta)
    assert outcome == Outcome(
        id="i",
        state="SUCCESS",
        result={"a": [1]},
        task="shop.add",
        worker="celery@host",
        retries=0,
        date_done="2030-01-31T18:00:00+00:00",
    )
    assert (outcome.finished, outcome.succeeded) == (True, True)


def test_outcome_of__failed_with_an_exception() -> None:
    outcome = outcome_of("i", {"status": "FAILURE", "result": ValueError("broken"), "traceback": "Traceback ..."})
    assert outcome == Outcome(
        id="i", state="FAILURE", error=Failure(type="ValueError", message="broken"), traceback="Traceback ..."
    )
    assert (outcome.finished, outcome.succeeded) == (True, False)


@pytest.mark.parametrize(
    ("result", "failure"),
    [
        ({"exc_type": "ValueError", "exc_message": "broken", "exc_module": "builtins"}, ("ValueError", "broken")),
        ({"exc_type": "ValueError"}, ("ValueError", "")),
        ("all is lost", ("", "all is lost")),
    ],
)
def test_outcome_of__failed_with_what_another_client_has_stored(result: Any, failure: tuple[str, str]) -> None:
    outcome = outcome_of("i", {"status": "FAILURE", "result": result})
    assert outcome.error == Failure(type=failure[0], message=failure[1])
    assert outcome.result is None


def test_outcome_of__failed_with_an_exception_that_cannot_be_pickled() -> None:
    """A pool process hands it on inside one of Celery's own, whose class says nothing."""
    wrapper = UnpickleableExceptionWrapper("shop.errors", "Refused", ("no", 4), "Refused('no', 4)")
    assert outcome_of("i", {"status": "FAILURE", "result": wrapper}).error == Failure(
        type="Refused", message="('no', 4)"
    )


def test_outcome_of__failed_with_such_an_exception_of_another_program() -> None:
    wrapper = UnpickleableExceptionWrapper("shop.errors", None, (), "text")
    assert outcome_of("i", {"status": "FAILURE", "result": wrapper}).error == Failure(
        type="UnpickleableExceptionWrapper", message="text"
    )


@pytest.mark.parametrize("key", ["name", "task_name"])
def test_outcome_of__the_name_of_the_task(key: str) -> None:
    """django-celery-results has a key of its own for it."""
    assert outcome_of("i", {"status": "SUCCESS", "result": 4, key: "shop.add"}).task == "shop.add"


class Exiting(Exception):
    def __str__(self) -> str:
        raise SystemExit(7)


def test_outcome_of__failed_with_an_exception_whose_text_exits() -> None:
    outcome = outcome_of("one", {"status": "FAILURE", "result": Exiting()})
    assert outcome.error == Failure(type="Exiting", message="<Exiting>")


def test_outcome_of__failed_without_an_exception() -> None:
    outcome = outcome_of("i", {"status": "FAILURE", "result": None, "traceback": ""})
    assert outcome == Outcome(id="i", state="FAILURE")
    assert (outcome.finished, outcome.succeeded) == (True, False)


def test_outcome_of__revoked() -> None:
    outcome = outcome_of("i", {"status": "REVOKED", "result": TaskRevokedError("expired")})
    assert outcome == Outcome(id="i", state="REVOKED", error=Failure(type="TaskRevokedError", message="expired"))
    assert (outcome.finished, outcome.succeeded) == (True, False)


@pytest.mark.parametrize(
    ("state", "result"),
    [
        ("PENDING", None),
        ("STARTED", {"pid": 1, "hostname": "celery@host"}),
        ("PROGRESS", {"done": 1}),
        ("RECEIVED", None),
    ],
)
def test_outcome_of__not_finished(state: str, result: Any) -> None:
    outcome = outcome_of("i", {"status": state, "result": result})
    assert outcome == Outcome(id="i", state=state, result=result)
    assert (outcome.finished, outcome.succeeded) == (False, False)


def test_outcome_of__to_be_tried_again() -> None:
    outcome = outcome_of("i", {"status": "RETRY", "result": OSError("no answer"), "traceback": "Traceback ..."})
    assert outcome.error == Failure(type="OSError", message="no answer")
    assert (outcome.finished, outcome.succeeded) == (False, False)


def test_of_eager__done_and_failed() -> None:
    assert of_eager(EagerResult("i", 4, "SUCCESS")) == Outcome(id="i", state="SUCCESS", result=4)
    failed = of_eager(EagerResult("i", ValueError("broken"), "FAILURE", traceback="Traceback ..."))
    assert (failed.error, failed.traceback) == (Failure(type="ValueError", message="broken"), "Traceback ...")


def test_wait__a_task_that_is_done_is_looked_at_once() -> None:
    clock = Clock()
    assert waited(clock, None, one=[DONE]) == [("one", "SUCCESS")]
    assert clock.slept == []


def test_wait__each_as_it_is_done() -> None:
    metas = {"one": [PENDING, PENDING, DONE], "two": [PENDING, DONE], "three": [DONE]}
    assert waited(Clock(), None, **metas) == [("three", "SUCCESS"), ("two", "SUCCESS"), ("one", "SUCCESS")]


def test_wait__one_that_is_done_is_not_looked_at_again() -> None:
    metas = {"one": [DONE, OSError("looked at again")], "two": [PENDING, PENDING, DONE]}
    assert waited(Clock(), None, **metas) == [("one", "SUCCESS"), ("two", "SUCCESS")]


def test_wait__pauses_grow_from_ten_milliseconds_to_the_interval() -> None:
    clock = Clock()
    waited(clock, None, interval=0.05, one=[PENDING] * 7 + [DONE])
    assert clock.slept == [0.01, 0.015, 0.0225, 0.03375, 0.05, 0.05, 0.05]


def test_wait__a_short_interval_is_kept_from_the_first_pause() -> None:
    clock = Clock()
    waited(clock, None, interval=0.002, one=[PENDING, PENDING, DONE])
    assert clock.slept == [0.002, 0.002]


def test_wait__those_that_are_not_done_in_time_are_told_too() -> None:
    clock = Clock()
    assert waited(clock, 0.1, one=[PENDING], two=[PENDING, DONE]) == [("two", "SUCCESS"), ("one", "PENDING")]
    assert sum(clock.slept) == pytest.approx(0.1)


def test_wait__no_time_at_all_is_one_look() -> None:
    clock = Clock()
    assert waited(clock, 0, one=[PENDING, DONE], two=[DONE]) == [("one", "PENDING"), ("two", "SUCCESS")]
    assert clock.slept == []


def test_wait__what_is_done_when_time_is_up_counts_as_done() -> None:
    assert waited(Clock(), 0.01, one=[PENDING, DONE]) == [("one", "SUCCESS")]


def test_wait__without_a_limit_it_goes_on() -> None:
    clock = Clock()
    assert waited(clock, None, one=[PENDING] * 500 + [DONE]) == [("one", "SUCCESS")]
    assert clock.now - 1000 > 240


def test_wait__for_nothing() -> None:
    assert waited(Clock(), None) == []


def test_wait__a_backend_that_fails_is_named_without_its_password() -> None:
    with pytest.raises(Unreachable) as caught:
        waited(Clock(), None, one=[OSError(111, "Connection refused")])
    assert caught.value.sentence == (
        'The result backend "redis://:**@host/1" cannot be reached: [Errno 111] Connection refused.'
    )


@pytest.mark.parametrize("task_id", ["1", "a" * 255, "0b4ec0b2-5b4a-4b0b-9b0b-0b4ec0b25b4a", "grün", "with a space"])
def test_check_id__takes(task_id: str) -> None:
    assert check_id(task_id) == task_id


@pytest.mark.parametrize(
    ("task_id", "printed"),
    [
        ("", ""),
        pytest.param("a" * 256, "a" * 80 + "…", id="256"),
        pytest.param("a" * 10_000, "a" * 80 + "…", id="10000"),
        ("a\0b", "a\\x00b"),
        ("a\n", "a\\n"),
        ("\x1b[2J", "\\x1b[2J"),
    ],
)
def test_check_id__refuses(task_id: str, printed: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_id(task_id)
    assert caught.value.sentence == f'"{printed}" is no task id.'
    assert caught.value.hint == "give the id that enqueue printed"
    assert caught.value.exit_code == 2


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> Iterator[Any]:
    """An app with the result backend that the test names; gone after the test, for Celery remembers every app that lives."""
    app = Celery("shop", broker="memory://", backend=request.param, set_as_current=False)
    yield app
    app.close()


@pytest.mark.parametrize("backend", ["redis://localhost:1/0", "rpc://", "cache+memory://"], indirect=True)
def test_check_backend__one_that_can_be_used_is_not_asked(backend: Any) -> None:
    assert check_backend(backend) is None


@pytest.mark.parametrize("backend", [None, "disabled://"], indirect=True)
def test_check_backend__none(backend: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_backend(backend)
    assert caught.value.sentence == "No result backend is configured, so results are not kept."
    assert caught.value.hint == ('set CELERY_RESULT_BACKEND, as in CELERY_RESULT_BACKEND = "redis://localhost:6379/1"')


@pytest.mark.parametrize("backend", ["nosuch://user:secret@host"], indirect=True)
def test_check_backend__of_no_known_kind(backend: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_backend(backend)
    assert caught.value.sentence == (
        "The result backend \"nosuch://user:**@host\" cannot be used: No module named 'nosuch'."
    )
    assert caught.value.hint == "fix CELERY_RESULT_BACKEND, or install its library"


@pytest.mark.parametrize(
    "backend",
    [
        "mongodb://user:secret@host/name",
        "rediss://:secret@host/0?ssl_cert_reqs=nonsense",
        "redis://:secret@host:port/0",
    ],
    indirect=True,
)
def test_check_backend__that_cannot_be_made_is_one_sentence_without_the_password(backend: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_backend(backend)
    assert "secret" not in caught.value.sentence
    assert "\n" not in caught.value.sentence
    assert caught.value.sentence.endswith(".")
    assert not caught.value.sentence.endswith("..")
