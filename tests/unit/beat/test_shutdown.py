from __future__ import annotations

import contextlib
import os
import signal
from types import SimpleNamespace
from typing import Any

import pytest
from celery.signals import beat_init

from tasktools.beat import shutdown
from tasktools.beat.shutdown import _Ending, end_between_ticks


class Timer:
    daemon = False
    #: Those that were started.
    made: list[Timer]

    def __init__(self, seconds: float, call: Any, args: Any) -> None:
        self.asked = (seconds, call, args)

    def start(self) -> None:
        self.made.append(self)


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
    made.wrap()
    return made


def test_tick__its_interval_is_the_scheduler_s(ending: _Ending) -> None:
    assert ending.service.scheduler.tick() == 10
    assert not ending.ticking


def test_signal__between_two_ticks_ends_at_once(ending: _Ending) -> None:
    with pytest.raises(SystemExit) as ended:
        ending._ask(signal.SIGTERM, None)
    assert ended.value.code == 0
    assert ending.service.stopped == []


def test_signal__in_a_tick_waits_for_its_end_and_comes_again_if_it_hangs(ending: _Ending) -> None:
    def tick() -> int:
        assert ending.ticking
        ending._ask(signal.SIGTERM, None)
        return 10

    ending.service.scheduler.tick = tick
    ending.wrap()
    assert ending.service.scheduler.tick() == 0  # and the service, which was told to stop, ends
    assert ending.service.stopped == ["stop"]
    [timer] = Timer.made
    assert timer.asked == (shutdown.PATIENCE, os.kill, (os.getpid(), signal.SIGTERM))
    assert timer.daemon


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    made = SimpleNamespace(at=100.0)
    monkeypatch.setattr(shutdown.time, "monotonic", lambda: made.at)
    return made


def test_signal__a_second_one_ends_in_the_middle(ending: _Ending, now: SimpleNamespace) -> None:
    ending.ticking = True
    ending._ask(signal.SIGINT, None)
    now.at += shutdown.TOGETHER
    with pytest.raises(SystemExit):
        ending._ask(signal.SIGINT, None)
    ending._ask(signal.SIGTERM, None)
    assert len(Timer.made) == 1


@pytest.mark.parametrize("ticking", [True, False])
def test_signal__that_comes_twice_is_one(ending: _Ending, now: SimpleNamespace, ticking: bool) -> None:
    """What a first one began, such as giving up the lease, was broken off."""
    ending.ticking = ticking
    with contextlib.suppress(SystemExit):
        ending._ask(signal.SIGINT, None)
    now.at += shutdown.TOGETHER - 0.01
    ending._ask(signal.SIGTERM, None)
    assert len(Timer.made) == len(ending.service.stopped) == ticking


def test_tick__that_fails_is_over(ending: _Ending) -> None:
    def tick() -> int:
        raise ConnectionError

    ending.service.scheduler.tick = tick
    ending.wrap()
    with pytest.raises(ConnectionError):
        ending.service.scheduler.tick()
    assert not ending.ticking


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_ending__hears_the_signals_and_the_start_of_its_own_service(
    monkeypatch: pytest.MonkeyPatch, signum: signal.Signals
) -> None:
    handlers: dict[int, Any] = {}
    monkeypatch.setattr(beat_init, "receivers", [])
    monkeypatch.setattr(signal, "signal", handlers.__setitem__)
    calls: list[Any] = []

    class Service(SimpleNamespace):
        __hash__ = object.__hash__  # type: ignore[assignment]

    service, other = (
        Service(scheduler=SimpleNamespace(tick=lambda *args, **options: calls.append((args, options)) or 10))
        for _ in range(2)
    )
    _Ending(service)
    beat_init.send(sender=other)
    tick = service.scheduler.tick
    beat_init.send(sender=service)
    assert service.scheduler.tick is not tick
    assert service.scheduler.tick(1, event_t=2) == 10
    assert calls == [((1,), {"event_t": 2})]
    with pytest.raises(SystemExit) as ended:
        handlers[signum](signum, None)
    assert ended.value.code == 0


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
    assert app.Beat.__name__ == "Beat"
