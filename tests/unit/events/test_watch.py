"""What a watcher says, from steps that are handed in."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tasktools.events import watch
from tasktools.events.attempts import Attempt
from tasktools.events.follow import Connected, Lost, Step, Unreadable
from tasktools.events.handing_on import LEAVES, STAYS, taken_over
from tasktools.events.watch import AGAIN, PATIENCE, Notice, Watch
from tasktools.exceptions import Unreachable
from tests.support import wait_for


class FakeSwitch:
    """Notes what it is told."""

    def __init__(self, app: Any) -> None:
        self.told: list[Any] = []
        self.answers = 0
        self.fresh: list[str] = []
        self.noticed: list[Any] = []

    def turn_on(self, names: list[str] | None = None) -> None:
        self.told.append(names)

    def turn_off(self) -> None:
        self.told.append("off")

    def notice(self, event: Any) -> None:
        self.noticed.append(event)

    def news(self) -> list[str]:
        found, self.fresh = self.fresh, []
        return found


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


Made = Callable[..., tuple[Watch, FakeSwitch]]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(watch, "time", made)
    return made


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, clock: Clock, shop: Any) -> Made:
    """Make a watcher of steps; a number among them lets so many seconds pass."""

    def make(*steps: Step | float, **options: Any) -> tuple[Watch, FakeSwitch]:
        def follow(app: Any, pause: float) -> Iterator[Step]:
            for step in steps:
                if isinstance(step, float):
                    clock.now += step
                else:
                    yield step

        monkeypatch.setattr(watch, "follow", follow)
        monkeypatch.setattr(watch, "Switch", FakeSwitch)
        found = Watch(shop, **{"enables": True, **options})
        switch: Any = found._switch
        return found, switch

    return make


def texts(steps: Iterator[Notice | list[Attempt]] | Watch) -> list[str]:
    return [step.text for step in steps if isinstance(step, Notice)]


def beat(processed: int, name: str = "w", kind: str = "worker-heartbeat") -> dict[str, Any]:
    return {"type": kind, "hostname": name, "processed": processed, "active": 0}


def test_watch__says_once_that_the_connection_is_lost(made: Made) -> None:
    lost = Lost(why="It refuses.")
    found, switch = made(Connected(again=False), lost, [], lost, [], Connected(again=True), [], lost)
    notices = [step for step in found if isinstance(step, Notice)]
    assert [(each.is_trouble, each.stays) for each in notices] == [
        (False, False),
        (True, True),
        (True, False),
        (True, True),
    ]
    assert [each.text for each in notices] == [
        "Watching the events of memory://.",
        "It refuses. Trying again.",
        "Connected again. What happened in between is not shown.",
        "It refuses. Trying again.",
    ]
    assert switch.told == [None, None]


def test_watch__says_that_an_event_cannot_be_read(made: Made) -> None:
    found, _ = made(Connected(again=False), Unreadable(why="pickle is not allowed"), [])
    said = [step for step in found if isinstance(step, Notice)][1]
    assert said.is_trouble
    assert said.text.startswith("An event cannot be read, so its task may not be shown: pickle is not allowed.")


def test_watch__tells_workers_again_and_new_ones_at_once(made: Made) -> None:
    steps = (Connected(again=False), [beat(0, "a")], 5.0, [beat(0, "a"), beat(0, "b")], AGAIN - 4.0, [beat(0, "a")], [])
    found, switch = made(*steps)
    list(found)
    assert switch.told == [None, ["b"], None]
    found.close()
    assert switch.told[-1] == "off"


def test_watch__tells_nobody_again_too_early(made: Made) -> None:
    found, switch = made(Connected(again=False), AGAIN, [], 0.5, [])
    list(found)
    assert switch.told == [None, None]
    found, switch = made(Connected(again=False), AGAIN, [])
    list(found)
    assert switch.told == [None]
    found, switch = made(Connected(again=False), PATIENCE, [beat(0)])
    list(found)
    assert switch.told == [None]  # it was told with all others


def test_watch__tells_nobody_while_the_connection_is_lost(made: Made) -> None:
    found, switch = made(Connected(again=False), Lost(why="It refuses."), AGAIN + 1, [])
    list(found)
    assert switch.told == [None]


@pytest.mark.parametrize("enables", [True, False])
def test_watch__another_one_that_leaves_is_noticed_by_one_that_enables(made: Made, enables: bool) -> None:
    found, switch = made(Connected(again=False), [beat(0)], enables=enables)
    list(found)
    assert switch.noticed == ([beat(0)] if enables else [])


def test_watch__asks_for_the_names_of_what_was_received_before(made: Made) -> None:
    succeeded = {"type": "task-succeeded", "uuid": "id", "hostname": "w", "timestamp": 1.0, "runtime": 1.0}
    asking: list[threading.Thread] = []

    def held() -> dict[str, str]:
        asking.append(threading.current_thread())
        return {"id": "shop.add"}

    found, _ = made(Connected(again=False), [], [succeeded], held=held)
    steps = iter(found)
    assert (next(steps), next(steps)) == (Notice(text="Watching the events of memory://."), [])
    wait_for(lambda: len(found._attempts) or not found._names.empty())
    assert [each.task for step in steps if isinstance(step, list) for each in step] == ["shop.add"]
    assert [(each.daemon, each.name) for each in asking] == [(True, "names of tasks")]


def test_watch__goes_on_if_nobody_can_be_asked_for_names(made: Made) -> None:
    asked = threading.Event()

    def held() -> dict[str, str]:
        asked.set()
        raise Unreachable("It does not answer.")

    found, _ = made(Connected(again=False), [], held=held)
    assert len(list(found)) == 2
    assert asked.wait(60)


def test_watch__that_enables_nothing_tells_nobody(made: Made) -> None:
    found, switch = made(Connected(again=False), [beat(0)], 60.0, [beat(0)], enables=False)
    list(found)
    assert switch.told == []


@pytest.mark.parametrize(("enables", "beats"), [(False, 3), (True, 7)])
def test_watch__names_a_silent_worker_once(made: Made, enables: bool, beats: int) -> None:
    steps = [[beat(number)] for number in range(beats)]
    found, _ = made(Connected(again=False), *steps[:-1], enables=enables)
    assert len(texts(found)) == 1
    for more in ([], [[beat(99)]]):
        found, _ = made(Connected(again=False), *steps, *more, enables=enables)
        _, told = (step for step in found if isinstance(step, Notice))
        end = "." if enables else ", or leave out --no-enable."
        assert told.text == f"w runs tasks and sends no events of them, so they are not shown: start it with -E{end}"
        assert told.is_trouble


def test_watch__says_that_no_worker_answers(made: Made) -> None:
    found, _ = made(Connected(again=False), [], PATIENCE, [])
    assert len(texts(found)) == 1
    found, _ = made(Connected(again=False), [], 3.5, [], [])
    _, notice = (step for step in found if isinstance(step, Notice))
    assert notice == Notice(text="No worker answers so far. manage.py runworker starts one.", is_trouble=True)
    found, _ = made(Connected(again=False), [beat(0)], 3.5, [])
    assert len(texts(found)) == 1
    found, switch = made(Connected(again=False), [], 3.5, [])
    switch.answers = 1
    assert len(texts(found)) == 1


def test_watch__says_whom_it_has_told(made: Made) -> None:
    found, switch = made(Connected(again=False), [])
    switch.fresh = ["celery@a"]
    told = "celery@a sends no events of tasks: it is told to, for as long as this runs."
    assert texts(found)[1:] == [told]


def test_watch__counts_whom_it_has_told(made: Made) -> None:
    found, switch = made(Connected(again=False), [], [])
    short = []
    for step in found:
        if isinstance(step, Notice):
            short.append(step.in_short)
        else:
            switch.fresh = ["celery@a", "celery@b"] if len(short) < 2 else ["celery@b", "celery@c"]
    assert [text.partition(" no events")[0] for text in short[1:]] == [
        "celery@a sends",
        "2 workers send",
        "2 workers send",
        "3 workers send",
    ]


def test_watch__a_worker_that_has_left_is_none(made: Made) -> None:
    found, _ = made(Connected(again=False), [beat(0, kind="worker-offline")], 3.5, [])
    assert texts(found)[1:] == ["No worker answers so far. manage.py runworker starts one."]


def test_taken_over__only_from_another_that_leaves() -> None:
    event = {"type": LEAVES, "watcher": "other", "workers": ["a", 7, "b"]}
    assert taken_over(event, "me") == ("other", {"a", "b"})
    assert taken_over(event, "other") is None
    for odd in ({}, {**event, "type": STAYS}, {**event, "workers": None}, {**event, "watcher": 7}):
        assert taken_over(odd, "me") is None
