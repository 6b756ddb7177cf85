"""Tasks that wait in a paused queue say so."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from tasktools.management.fates import place_of, waiting_hint
from tasktools.queues.aside import aside_name
from tasktools.queues.pauses import QUEUE, TASK, Pause
from tasktools.results import paused
from tasktools.results.outcome import Outcome
from tasktools.results.paused import marked

ASIDE = aside_name("mails", "shop.tasks.add")


def waiting(queue: str | None) -> Outcome:
    return Outcome(id="c1", state="PENDING", place="queued" if queue else "none", queue=queue, position=3)


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A broker in which the queue `mails` and a task called `celery` are paused; how often it was asked."""
    asked: list[str] = []
    since = datetime(2030, 1, 31, tzinfo=timezone.utc)
    pauses = [Pause(what=QUEUE, name="mails", since=since), Pause(what=TASK, name="celery", since=since)]

    def read(_: Any) -> list[Pause]:
        asked.append("read")
        return pauses

    monkeypatch.setattr(paused, "broker_of", lambda _: SimpleNamespace(name="The broker"))
    monkeypatch.setattr(paused, "connect", lambda *_: SimpleNamespace(release=lambda: None))
    monkeypatch.setattr(paused, "paused_now", read)
    return asked


def test_marked__those_of_a_paused_queue_and_those_put_aside(broker: list[str]) -> None:
    found = marked("app", [waiting("mails"), waiting("celery"), waiting(ASIDE), waiting(None)])  # type: ignore[arg-type]
    assert [each.paused for each in found] == [True, False, True, False]


def test_marked__a_paused_task_that_no_worker_has_put_aside(broker: list[str]) -> None:
    """It said nothing of the pause: the task waits in its own queue until a worker takes it."""
    [found] = marked("app", [replace(waiting("fast"), task="celery")])  # type: ignore[arg-type]
    assert (found.paused, found.pause) == (True, TASK)
    assert place_of(found) == 'it waits at position 3 of the queue "fast": its task is paused'


def test_marked__nobody_is_asked_for_what_waits_in_no_queue(broker: list[str]) -> None:
    assert marked("app", [waiting(None)]) == [waiting(None)]  # type: ignore[arg-type]
    assert broker == []


def test_marked__not_if_it_cannot_be_known(broker: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise ConnectionError

    monkeypatch.setattr(paused, "connect", fail)
    assert marked("app", [waiting("mails")]) == [waiting("mails")]  # type: ignore[arg-type]


def test_place__says_what_is_paused(broker: list[str]) -> None:
    queue, other, aside = marked("app", [waiting("mails"), waiting("celery"), waiting(ASIDE)])  # type: ignore[arg-type]
    assert place_of(queue) == 'it waits at position 3 of the queue "mails", which is paused'
    assert place_of(other) == 'it waits at position 3 of the queue "celery"'
    assert place_of(aside) == f'it waits at position 3 of the queue "{ASIDE}": its task is paused'
    assert "resumequeue" in waiting_hint(queue, 5.0, None)
    assert "resumequeue" not in waiting_hint(other, None, None)
