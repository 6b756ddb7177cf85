from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import celery
import pytest
from celery import Celery, Task
from celery.exceptions import Reject

from tasktools.arguments.call import Call
from tasktools.exceptions import ArgumentError
from tasktools.execution.events import Changed, NotingBackend, Progress, Raised
from tasktools.execution.tracer import attempts, time_limits


class Refusing(Task):
    def on_success(self, *args: Any) -> None:
        raise Reject("after all")


@pytest.fixture
def shop() -> Iterator[Any]:
    """An app that is gone after the test: Celery remembers every app that lives."""
    app = Celery("shop", broker="memory://", set_as_current=False)

    @app.task(name="shop.pair", shared=False, time_limit=5)
    def pair(x: Any) -> Any:
        return (x, x)

    @app.task(name="shop.step", bind=True, shared=False)
    def step(self: Task) -> None:
        self.update_state(state="PROGRESS", meta=(1,))

    @app.task(name="shop.again", bind=True, shared=False)
    def again(self: Task, x: int) -> int:
        if x < 3:
            raise self.retry(args=(x + 1,), countdown=60)
        return x

    @app.task(name="shop.fail", shared=False)
    def fail(word: str) -> None:
        raise ValueError(word)

    @app.task(name="shop.refuse", base=Refusing, shared=False)
    def refuse() -> int:
        return 1

    yield app
    app.close()


def run(app: Any, task: str, *args: Any, serialize: bool = False, **options: Any) -> tuple[list[Any], list[Any]]:
    told: list[Any] = []
    call = Call(task=f"shop.{task}", args=args, options=options)
    return list(attempts(app, call, serialize=serialize, report=told.append)), told


def test_attempts__one_that_succeeds(shop: Any) -> None:
    (attempt,), told = run(shop, "pair", 1, task_id="i1")
    assert (attempt.id, attempt.state, attempt.retries, attempt.result) == ("i1", "SUCCESS", 0, (1, 1))
    assert (attempt.error, attempt.again, told) == (None, None, [])


def test_attempts__serialized(shop: Any) -> None:
    (attempt,), told = run(shop, "pair", (1,), serialize=True)
    assert attempt.result == [[1], [1]]
    assert told == [
        Changed(what="argument 1", before=(1,), after=[1]),
        Changed(what="result", before=([1], [1]), after=[[1], [1]]),
    ]


def test_attempts__progress_is_serialized_too(shop: Any) -> None:
    _, told = run(shop, "step", serialize=True)
    assert told[:2] == [Changed(what="progress", before=(1,), after=[1]), Progress(state="PROGRESS", meta=[1])]


def test_attempts__follow_retries_a_step_at_a_time(shop: Any) -> None:
    steps = attempts(shop, Call(task="shop.again", args=(1,)), serialize=False, report=lambda event: None)
    first = next(steps)
    assert first.again is not None
    assert (first.state, first.again.number, first.again.most, first.again.seconds) == ("RETRY", 1, 3, 60.0)
    assert first.again.call.args == (2,)
    second, third = next(steps), next(steps)
    assert (second.id, second.retries, second.state) == (first.id, 1, "RETRY")
    assert (third.id, third.retries, third.result, third.again) == (first.id, 2, 3, None)


def test_attempts__tell_of_a_failure_while_its_frames_live(shop: Any) -> None:
    seen: list[Any] = []

    def tell(event: Any) -> None:
        assert isinstance(event, Raised)
        assert event.traceback is not None
        seen.append((event.traceback.tb_frame.f_locals["word"], event.retry))

    (attempt,) = attempts(shop, Call(task="shop.fail", args=("lost",)), serialize=False, report=tell)
    assert seen == [("lost", False)]
    assert (attempt.state, repr(attempt.error)) == ("FAILURE", "ValueError('lost')")
    assert attempt.traceback is not None
    assert attempt.traceback.endswith("ValueError: lost\n")


def test_attempts__rejected_by_a_handler(shop: Any) -> None:
    (attempt,), _ = run(shop, "refuse")
    # A worker of Celery 5.5 takes it for a failure of its own.
    expected = "REJECTED" if celery.VERSION >= (5, 6) else "FAILURE"
    assert attempt.state == expected
    assert "after all" in str(attempt.error)


def test_attempts__arguments_that_cannot_be_sent(shop: Any) -> None:
    with pytest.raises(ArgumentError, match="cannot be sent"):
        run(shop, "pair", object(), serialize=True)


def test_time_limits__of_the_task(shop: Any) -> None:
    assert time_limits(shop, "shop.pair") == ["time_limit 5 s"]
    assert time_limits(shop, "shop.fail") == []


def test_backend__keeps_the_state_of_its_own_task_alone(shop: Any) -> None:
    backend = NotingBackend(shop, "own", on_progress=lambda state, meta: meta, on_done=lambda result, kept: None)
    backend.store_result("other", 1, "HALFWAY")
    assert backend.get_task_meta("own") == {"status": "STARTED", "result": None}
    backend.store_result("own", 2, "HALFWAY")
    assert backend.get_task_meta("own") == {"status": "HALFWAY", "result": 2}
