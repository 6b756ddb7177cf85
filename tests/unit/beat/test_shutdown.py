from __future__ import annotations

import signal
from types import SimpleNamespace
from typing import Any

import pytest

from tasktools.beat import shutdown
from tasktools.beat.shutdown import _Ending, end_between_ticks


class Timer:
    made: list[tuple[float, Any]]

    def __init__(self, seconds: float, call: Any, args: Any) -> None:
        self.made.append((seconds, args))

    def start(self) -> None: ...


@pytest.fixture
def ending(monkeypatch: pytest.MonkeyPatch) -> _Ending:
    """An ending whose service ticks every ten seconds."""
    Timer.made = []
    monkeypatch.setattr(shutdown.threading, "Timer", Timer)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    stopped: list[str] = []
    service = SimpleNamespace(scheduler=SimpleNamespace(tick=lambda: 10), stop=lambda: stopped.append("stop"))
    service.stopped = stopped
    made = _Ending(service)
    made._wrap()
    return made


def test_tick__its_interval_is_the_scheduler_s(ending: _Ending) -> None:
    assert ending.service.scheduler.tick() == 10
    assert not ending.ticking


def test_signal__between_two_ticks_ends_at_once(ending: _Ending) -> None:
    with pytest.raises(SystemExit) as ended:
        ending._ask(signal.SIGTERM, None)
    assert ended.value.code == 0
    assert ending.service.stopped == []


def test_signal__in_a_tick_waits_for_its_end(ending: _Ending) -> None:
    def tick() -> int:
        assert ending.ticking
        ending._ask(signal.SIGTERM, None)
        return 10

    ending.service.scheduler.tick = tick
    ending._wrap()
    assert ending.service.scheduler.tick() == 0  # and the service, which was told to stop, ends
    assert ending.service.stopped == ["stop"]
    [(seconds, (_, signum))] = Timer.made
    assert (seconds, signum) == (shutdown.PATIENCE, signal.SIGTERM)


def test_signal__a_second_one_ends_in_the_middle(ending: _Ending) -> None:
    ending.ticking = True
    ending._ask(signal.SIGINT, None)
    with pytest.raises(SystemExit):
        ending._ask(signal.SIGINT, None)


def test_tick__that_fails_is_over(ending: _Ending) -> None:
    def tick() -> int:
        raise ConnectionError

    ending.service.scheduler.tick = tick
    ending._wrap()
    with pytest.raises(ConnectionError):
        ending.service.scheduler.tick()
    assert not ending.ticking


def test_end_between_ticks__takes_the_place_of_celery_s_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    class Beat:
        def install_sync_handler(self, service: Any) -> None:
            pytest.fail("Celery's own")

    taken: list[Any] = []
    monkeypatch.setattr(shutdown, "_Ending", taken.append)
    app: Any = SimpleNamespace(Beat=Beat)
    end_between_ticks(app)
    app.Beat().install_sync_handler("service")
    assert taken == ["service"]
    assert issubclass(app.Beat, Beat)
