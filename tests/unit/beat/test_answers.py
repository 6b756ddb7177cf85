from __future__ import annotations

import signal
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from celery.beat import ScheduleEntry
from celery.schedules import schedule

from tasktools.beat.answers import IN_A_ROW, Answers
from tasktools.beat.trouble import Trouble
from tests.unit.beat.conftest import Beats, every

pytestmark = pytest.mark.usefixtures("server_that_ends_with_the_suite")

Make = Callable[..., Beats]
Forward = Callable[[float], None]


class Restless(schedule):
    """Is always due."""

    def is_due(self, last_run_at: Any) -> Any:
        return True, -5


def test_schedule_that_is_always_due__is_asked_once_a_second(
    beats: Make, forward: Forward, caplog: pytest.LogCaptureFixture
) -> None:
    site = beats({"a": {"task": "shop.add", "schedule": Restless(1), "args": ["a"]}, "good": every(60, "good")})
    beat = site.start()
    site.go(beat)
    sent = len(site.sent())
    assert sent == IN_A_ROW // 2 + 1  # each is asked when it is due, and after it was sent
    site.go(beat)
    assert len(site.sent()) == sent
    forward(61)
    site.go(beat)
    assert len(site.sent()) == sent + 2
    assert [each for each in caplog.messages if "again and again" in each] == [
        'beat: the schedule of "a" is due again and again without a pause. From now on it is asked once a second.'
    ]


def test_schedule_that_makes_up_for_missed_runs__is_not_slowed_down(caplog: pytest.LogCaptureFixture) -> None:
    answers = Answers(Trouble(), lambda entry: entry.is_due())
    given: list[Any] = [*[(True, 0)] * IN_A_ROW, (True, 0.5), *[(True, 0)] * IN_A_ROW, (False, 0), (True, 0)]
    entry: Any = SimpleNamespace(name="a", schedule=None)
    found = []
    for each in given:
        entry.is_due = lambda each=each: each
        found.append(answers.ask(entry))
    assert found == given
    assert caplog.messages == []


def test_ask__the_scheduler_whose_class_may_be_of_the_project() -> None:
    asked = []

    def is_due(entry: Any) -> tuple[bool, float]:
        asked.append(entry)
        return False, 7.0

    entry: Any = ScheduleEntry("x", "task", schedule=schedule(60))
    assert Answers(Trouble(), is_due).ask(entry) == (False, 7.0)
    assert asked == [entry]


@pytest.mark.parametrize(
    ("answer", "kept"),
    [((True, -5), (True, 0.0)), ((False, 1e300), (False, 1e9)), ((1, 2), (True, 2.0)), (([], 3.5), (False, 3.5))],
)
def test_ask__an_answer_is_kept_within_bounds(answer: Any, kept: tuple[bool, float]) -> None:
    entry: Any = SimpleNamespace(name="a", schedule=None)
    found = Answers(Trouble(), lambda entry: answer).ask(entry)
    assert found == kept
    assert type(found[0]) is bool


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (ValueError("no tides"), "ValueError: no tides"),
        (SystemExit(3), "SystemExit: 3"),
        ((False, float("nan")), "ValueError: it answers NaN"),
    ],
)
def test_ask__a_schedule_that_fails_is_asked_again_after_a_minute(
    caplog: pytest.LogCaptureFixture, answer: Any, text: str
) -> None:
    def is_due(entry: Any) -> Any:
        if isinstance(answer, BaseException):
            raise answer
        return answer

    assert Answers(Trouble(), is_due).ask(SimpleNamespace(name="a", schedule=None)) == (False, 60.0)
    assert caplog.messages == [f'beat: the schedule of "a" cannot say when it is due: {text}.']


def test_ask__ends_for_a_signal() -> None:
    def is_due(entry: Any) -> Any:
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        Answers(Trouble(), is_due).ask(SimpleNamespace(name="a", schedule=None))
