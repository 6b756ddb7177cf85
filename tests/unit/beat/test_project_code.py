"""Code of the project that beat calls: whatever it raises, the others go on. A signal ends beat all the same."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery.beat import BeatLazyFunc
from celery.schedules import schedule
from celery.signals import before_task_publish

from tasktools.beat import scheduler as module
from tests.unit.beat.conftest import Beats, every

pytestmark = pytest.mark.usefixtures("server_that_ends_with_the_suite")

Make = Callable[..., Beats]
Forward = Callable[[float], None]


class Leaving(schedule):
    error: BaseException = SystemExit(3)

    def is_due(self, last_run_at: Any) -> Any:
        raise self.error


def test_schedule_that_exits__does_not_end_beat(
    beats: Make, forward: Forward, caplog: pytest.LogCaptureFixture
) -> None:
    site = beats({"a": {"task": "shop.add", "schedule": Leaving(1)}, "b": every(60, "b")})
    beat = site.start()
    site.go(beat)
    forward(61)
    site.go(beat)
    assert site.sent() == ["b"]
    assert 'beat: the schedule of "a" cannot say when it is due: SystemExit: 3.' in caplog.messages


ENDS = [SystemExit(0), SystemExit(3), KeyboardInterrupt(), GeneratorExit("no"), BaseException("no")]


def fails(error: BaseException) -> Any:
    raise error


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Handle SIGINT and SIGTERM as beat does."""

    def end(signum: int, frame: Any) -> None:
        raise SystemExit(0)

    before = [(each, signal.signal(each, end)) for each in (signal.SIGTERM, signal.SIGINT)]
    yield
    for signum, handler in before:
        signal.signal(signum, handler)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("error", ENDS, ids=repr)
def test_code_of_the_project_that_ends_the_process__does_not_end_beat(
    beats: Make,
    forward: Forward,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
) -> None:
    monkeypatch.setattr(Leaving, "error", error)
    asked = {"task": "shop.add", "schedule": Leaving(1)}
    lazy = every(60, BeatLazyFunc(fails, error))
    site = beats({"asked": asked, "lazy": lazy, "applied": every(60, "applied"), "good": every(60, "good")})
    beat = site.start()
    apply = beat.apply_entry
    monkeypatch.setattr(
        beat, "apply_entry", lambda entry, producer: fails(error) if entry.name == "applied" else apply(entry, producer)
    )
    site.go(beat)
    forward(61)
    site.go(beat)
    assert site.sent() == ["good"]
    for what in (
        'schedule of "asked" cannot say when it is due',
        'arguments of "lazy" cannot be made',
        'entry "applied"',
    ):
        [said] = [each for each in caplog.messages if what in each]
        assert type(error).__name__ in said
    monkeypatch.setattr(beat.ledger, "send", lambda ticks: fails(error))
    forward(61)
    assert beat.tick() == module.AGAIN
    assert type(error).__name__ in caplog.messages[-1]


@pytest.mark.parametrize("options", [{}, {"expires": 1}], ids=["fails", "is late"])
def test_entry_that_is_not_sent__goes_on_if_it_alone_is_due(
    beats: Make, forward: Forward, caplog: pytest.LogCaptureFixture, options: dict[str, Any]
) -> None:
    """It was due again and again, and nothing else was sent."""
    site = beats({"a": every(60, BeatLazyFunc(fails, ValueError("no")), options=options), "good": every(90, "good")})
    beat = site.start()
    site.go(beat)
    forward(65)
    site.go(beat)
    assert len(caplog.messages) == 1
    forward(30)
    site.go(beat)
    assert site.sent() == ["good"]


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("place", ["asked", "lazy", "applied", "sent"])
def test_signal__ends_beat_wherever_it_is(
    beats: Make, forward: Forward, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    site = beats({"a": every(60, BeatLazyFunc(lambda: place == "lazy" and signal.raise_signal(signal.SIGINT)))})
    beat = site.start()
    site.go(beat)
    calls = {"asked": (beat.schedule["a"], "is_due"), "applied": (beat, "apply_entry"), "sent": (beat.ledger, "send")}
    if place in calls:
        monkeypatch.setattr(*calls[place], lambda *args, **options: signal.raise_signal(signal.SIGTERM))
    forward(61)
    with pytest.raises(SystemExit) as ended:
        beat.tick()
    assert ended.value.code == 0


def test_signal__in_a_receiver_does_not_take_the_tick_for_sent(
    beats: Make, forward: Forward, interruptible: None
) -> None:
    site = beats({"a": every(60, "a")})
    beat = site.start()
    site.go(beat)
    forward(61)

    def hang(**_: Any) -> None:
        signal.raise_signal(signal.SIGTERM)

    before_task_publish.connect(hang)
    try:
        with pytest.raises(SystemExit):
            beat.tick()
    finally:
        before_task_publish.disconnect(hang)
    assert site.kept("a")["count"] == 0
    beat.close()
    site.go(site.start())
    assert site.sent() == ["a"]
