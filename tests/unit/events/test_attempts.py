from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from tasktools.events.attempts import LONGEST_NAME, LONGEST_TEXT, Attempt, Attempts

BEGIN = datetime(2030, 1, 1, 12, tzinfo=timezone.utc)


def event(kind: str, seconds: float = 0, **fields: Any) -> dict[str, Any]:
    at = (BEGIN + timedelta(seconds=seconds)).timestamp()
    return {"type": f"task-{kind}", "uuid": "id", "hostname": "celery@web", "timestamp": at, **fields}


def fed(attempts: Attempts, *events: dict[str, Any]) -> list[Attempt]:
    return [found for each in events if (found := attempts.ended(each)) is not None]


@pytest.fixture
def attempts() -> Attempts:
    return Attempts()


def test_attempts__a_task_that_succeeds(attempts: Attempts) -> None:
    events = (event("received", 1, name="add"), event("started", 1.5), event("succeeded", 4, runtime=2.25))
    assert fed(attempts, *events) == [
        Attempt(
            at=BEGIN + timedelta(seconds=4),
            task="add",
            id="id",
            worker="celery@web",
            state="SUCCESS",
            waited=0.5,
            waited_since="received",
            ran=2.25,
            exception=None,
        )
    ]
    assert len(attempts) == 0


@pytest.mark.parametrize(
    ("kind", "state"),
    [("failed", "FAILURE"), ("revoked", "REVOKED"), ("rejected", "REJECTED"), ("retried", "RETRY")],
)
def test_attempts__each_end_has_its_state(attempts: Attempts, kind: str, state: str) -> None:
    [found] = fed(attempts, event("received", name="add"), event("started", 1), event(kind, 3, exception="E()"))
    assert (found.state, found.ran, found.exception) == (state, 2.0, "E()")


def test_attempts__waits_since_it_was_sent_if_that_is_known_even_late(attempts: Attempts) -> None:
    events = (
        event("received", 5, name="add"),
        event("sent", 1, name="add"),
        event("started", 7),
        event("succeeded", 8),
    )
    [found] = fed(attempts, *events)
    assert (found.waited, found.waited_since) == (6.0, "sent")


@pytest.mark.parametrize("eta", ["2030-01-01T12:00:10+00:00", "2030-01-01T14:00:10+02:00", "2030-01-01T12:00:10Z"])
def test_attempts__does_not_wait_before_its_eta(attempts: Attempts, eta: str) -> None:
    [found] = fed(attempts, event("received", name="add", eta=eta), event("started", 10.5), event("succeeded", 11))
    assert found.waited == 0.5


def test_attempts__clocks_that_differ_give_no_negative_time(attempts: Attempts) -> None:
    [found] = fed(attempts, event("sent", 9, name="add"), event("started", 7), event("failed", 6))
    assert (found.waited, found.ran) == (0.0, 0.0)


def test_attempts__sent_and_begun_at_the_same_time(attempts: Attempts) -> None:
    [found] = fed(attempts, event("started", 3), event("sent", 3, name="add"), event("succeeded", 4))
    assert (found.task, found.waited, found.waited_since) == ("add", 0.0, "sent")


@pytest.mark.parametrize("runtime", [0, 0.25])
def test_attempts__a_short_runtime_is_that_of_the_worker(attempts: Attempts, runtime: float) -> None:
    [found] = fed(attempts, event("started", 1), event("succeeded", 4, runtime=runtime))
    assert found.ran == runtime


def test_attempts__of_a_task_that_was_received_before(attempts: Attempts) -> None:
    [found] = fed(attempts, event("succeeded", 4, runtime=1.0))
    assert (found.task, found.waited, found.waited_since, found.ran) == (None, None, None, 1.0)


def test_attempts__a_retry_is_one_and_the_next_one_another(attempts: Attempts) -> None:
    events = (
        *(event("received", 0, name="add"), event("started", 1), event("retried", 2, exception="None")),
        *(event("received", 3, name="add"), event("started", 3.5), event("failed", 4)),
    )
    first, second = fed(attempts, *events)
    assert (first.state, first.waited, first.ran, first.exception) == ("RETRY", 1.0, 1.0, None)
    assert (second.state, second.task, second.waited, second.ran) == ("FAILURE", "add", 0.5, 0.5)


def test_attempts__a_retry_that_is_received_before_the_attempt_has_ended(attempts: Attempts) -> None:
    events = (
        *(event("received", 0, name="add"), event("started", 1), event("received", 1.75, name="add")),
        *(event("retried", 2), event("started", 3), event("succeeded", 4)),
    )
    first, second = fed(attempts, *events)
    assert (first.state, first.waited, first.ran) == ("RETRY", 1.0, 1.0)
    assert (second.state, second.waited, second.ran) == ("SUCCESS", 1.25, 1.0)


def test_attempts__a_retry_that_starts_before_the_attempt_is_said_to_have_ended(attempts: Attempts) -> None:
    events = (
        *(event("received", 0, name="add"), event("started", 1), event("received", 1.75, name="add")),
        *(event("started", 2), event("retried", 2.5), event("succeeded", 4)),
    )
    first, second = fed(attempts, *events)
    assert (first.state, first.task, first.waited, first.ran) == ("RETRY", "add", 1.0, 1.5)
    assert (second.state, second.task, second.waited, second.ran) == ("SUCCESS", "add", 0.25, 2.0)
    assert len(attempts) == 0


def test_attempts__that_it_was_sent_may_be_heard_last(attempts: Attempts) -> None:
    events = (
        event("received", 2, name="add"),
        event("started", 3),
        event("sent", 1, name="add"),
        event("succeeded", 4),
    )
    [found] = fed(attempts, *events)
    assert (found.waited, found.waited_since) == (2.0, "sent")


def test_attempts__a_retry_waits_since_it_was_sent_again(attempts: Attempts) -> None:
    events = (
        *(
            event("sent", 0, name="add"),
            event("received", 1, name="add"),
            event("started", 2),
            event("sent", 3, name="add"),
        ),
        *(event("retried", 3.5), event("received", 4, name="add"), event("started", 5), event("succeeded", 6)),
    )
    assert [(each.waited, each.waited_since) for each in fed(attempts, *events)] == [(2.0, "sent"), (2.0, "sent")]


def test_attempts__ends_that_are_not_heard_pile_up_nothing(attempts: Attempts) -> None:
    for second in range(100):
        fed(attempts, event("received", second, name="add"), event("started", second))
    assert len(attempts) == 1
    assert len(fed(attempts, event("retried", 100), event("retried", 101), event("succeeded", 102))) == 3
    assert len(attempts) == 0


def test_attempts__are_bounded() -> None:
    attempts = Attempts(most=2)
    fed(attempts, *(event("received", uuid=each, name=each) for each in "abc"))
    assert len(attempts) == 2
    ended = fed(attempts, *(event("succeeded", uuid=each) for each in "abc"))
    assert [each.task for each in ended] == [None, "b", "c"]


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"type": "task-succeeded"},
        {"type": ["task-succeeded"], "uuid": "id", "timestamp": 1},
        event("succeeded", uuid=7),
        event("succeeded", timestamp="now"),
        event("succeeded", timestamp=1e300),
        event("succeeded", timestamp=1e11),
        event("whatever"),
    ],
)
def test_attempts__leaves_out_what_is_no_event(attempts: Attempts, odd: dict[str, Any]) -> None:
    assert attempts.ended(odd) is None


def test_attempts__odd_fields_are_not_said(attempts: Attempts) -> None:
    events = (
        event("received", name=["x"], eta="soon"),
        event("started"),
        event("failed", 1, runtime="1", hostname=None, exception=7),
    )
    [found] = fed(attempts, *events)
    assert (found.task, found.worker, found.ran, found.exception) == (None, "", 1.0, "7")


def test_attempts__keep_no_long_text(attempts: Attempts) -> None:
    long = "x" * 10_000_000
    [found] = fed(attempts, event("received", uuid=long, name=long), event("failed", uuid=long, exception=long))
    assert (len(found.id), len(found.task or ""), len(found.exception or "")) == (
        LONGEST_NAME,
        LONGEST_NAME,
        LONGEST_TEXT,
    )


def test_name__of_a_task_that_was_received_before(attempts: Attempts) -> None:
    attempts.name("id", "shop.add")
    (found,) = fed(attempts, event("started", 1), event("succeeded", 2, runtime=1))
    assert (found.task, found.waited, found.ran) == ("shop.add", None, 1)
    assert len(attempts) == 0


def test_name__that_an_event_has_said_stays(attempts: Attempts) -> None:
    fed(attempts, event("received", 1, name="add"))
    attempts.name("id", "other")
    attempts.name("long", "x" * 1_000)
    (found,) = fed(attempts, event("succeeded", 2, runtime=1))
    assert found.task == "add"
    (found,) = fed(attempts, event("succeeded", 2, runtime=1, uuid="long"))
    assert found.task == "x" * LONGEST_NAME


@pytest.mark.parametrize("stamp", [-1, -5.0, -6.2e10, -9.9e10])
def test_attempts__a_time_before_1970_is_not_known(attempts: Attempts, stamp: float) -> None:
    [found] = fed(attempts, event("received", name="add"), event("started", 1), event("succeeded", timestamp=stamp))
    assert (found.task, found.at, found.waited, found.ran) == ("add", None, 1.0, None)


def test_attempts__what_began_before_1970_has_no_durations(attempts: Attempts) -> None:
    begun = [event(kind, timestamp=-9e10, name="add") for kind in ("sent", "received", "started")]
    [found] = fed(attempts, *begun, event("succeeded", 4))
    assert (found.task, found.at, found.waited, found.ran) == ("add", BEGIN + timedelta(seconds=4), None, None)


def test_attempts__a_late_task_sent_of_an_impossible_time(attempts: Attempts) -> None:
    [found] = fed(attempts, event("started", 1), event("sent", timestamp=-1, name="add"), event("succeeded", 4))
    assert (found.at, found.ran) == (BEGIN + timedelta(seconds=4), 3.0)


@pytest.mark.parametrize("runtime", [-5, -0.001])
def test_attempts__a_negative_runtime_is_measured_here(attempts: Attempts, runtime: float) -> None:
    [found] = fed(attempts, event("started", 1), event("succeeded", 4, runtime=runtime))
    assert found.ran == 3.0
    assert fed(attempts, event("succeeded", 4, runtime=runtime))[0].ran is None
