"""Which reserved tasks begin, and which go back."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from celery.worker.request import Request

from tasktools.health.tally import Tally
from tasktools.worker import counted
from tasktools.worker.held_back import HeldBack, Place


def request(name: str, queue: str = "busy") -> Any:
    return SimpleNamespace(name=name, acknowledged=False, message=SimpleNamespace(tasktools_queue=queue))


def nothing(place: Place) -> Place | None:
    return None


def whole_queue(place: Place) -> Place | None:
    return place[0], ""


def test_begin__once_and_only_what_was_added() -> None:
    back = HeldBack(nothing)
    one, other = request("one"), request("other")
    back.add(one)
    assert not back.begin(other)
    assert back.begin(one)
    assert not back.begin(one)
    assert back.leaving() == []


def test_leaving__in_the_order_in_which_they_came() -> None:
    paused = {"a"}
    back = HeldBack(lambda place: place if place[1] in paused else None)
    requests = [request(name) for name in ("a", "b", "a", "a")]
    for each in requests:
        back.add(each)
    assert back.leaving() == [requests[0], requests[2], requests[3]]
    paused.clear()
    assert not back.begin(requests[0])  # although the broker may not have taken it yet
    assert back.leaving() == [requests[0], requests[2], requests[3]]
    for each in back.leaving():
        back.forget(each)
    assert back.leaving() == []
    assert not back.begin(requests[0])
    assert back.begin(requests[1])


def test_begin__not_ahead_of_what_did_not_begin_before_the_pause_of_its_task_was_over() -> None:
    paused = {"a"}
    back = HeldBack(lambda place: place if place[1] in paused else None)
    one, other_task, newer, elsewhere = request("a"), request("b"), request("a"), request("a", "quiet")
    for each in (one, other_task, newer, elsewhere):
        back.add(each)
    assert not back.begin(one)
    paused.clear()
    assert not back.begin(one)  # its job in the pool has done nothing
    assert not back.begin(newer)
    assert back.refuses(("busy", "a"))
    assert [back.refuses(("busy", "b")), back.begin(other_task), back.begin(elsewhere)] == [False, True, True]
    back.reopen()
    assert back.leaving() == [one, newer]
    back.forget(one)
    back.forget(newer)
    assert back.refuses(("busy", "a"))  # until all has gone
    back.reopen()
    assert not back.refuses(("busy", "a"))


def test_begin__not_ahead_of_what_did_not_begin_before_the_pause_of_its_queue_was_over() -> None:
    paused = {"busy"}
    back = HeldBack(lambda place: (place[0], "") if place[0] in paused else None)
    newer, elsewhere = request("b"), request("a", "quiet")
    back.add(newer)
    back.add(elsewhere)
    assert back.refuses(("busy", "a"))
    paused.clear()
    assert back.closed_queues == {"busy"}
    assert (back.leaves(newer), back.any_leaves, back.begin(newer)) == (True, True, False)
    assert back.begin(elsewhere)
    back.clear()
    assert (back.refuses(("busy", "a")), back.closed_queues) == (False, frozenset())


def test_leaving__not_what_is_acknowledged_or_forgotten() -> None:
    back = HeldBack(whole_queue)
    revoked, expired, other = request("a"), request("a"), request("a")
    for each in (revoked, expired, other):
        back.add(each)
    revoked.acknowledged = True
    assert not back.begin(expired)
    back.forget(expired)
    assert back.leaving() == [other]


def test_clear__forgets_all() -> None:
    back = HeldBack(whole_queue)
    one = request("a")
    back.add(one)
    assert not back.begin(one)
    back.clear()
    assert back.leaving() == []


class Job(Request):
    """A request, and a pool that runs its job at once."""

    def __init__(self, held: bool) -> None:
        self.acknowledged = False
        self.said: list[Any] = []
        self.back = HeldBack(whole_queue if held else nothing)
        self.back.add(self)

    @property
    def name(self) -> str:
        return "shop.add"

    @property
    def message(self) -> Any:
        return SimpleNamespace(properties={}, headers={}, tasktools_queue="busy")

    def on_accepted(self, *words: Any) -> None:
        self.said.append(("accepted", *words))

    def on_success(self, result: Any) -> None:
        self.said.append(("done", result))

    def apply(self, target: Any, args: Any, kwargs: Any, **options: Any) -> None:
        options["accept_callback"](1, 2.0)
        options["callback"](target(*args, **kwargs))

    def run(self) -> list[Any]:
        guarded = self.back.guarded(self.apply, lambda: self.said.append("skipped"))
        guarded(
            lambda n, more: self.said.append("run") or n + more,
            (1,),
            {"more": 2},
            accept_callback=self.on_accepted,
            callback=lambda result: self.said.append(("done", result)),
        )
        return self.said


def test_guarded__a_job_that_may_begin() -> None:
    assert Job(held=False).run() == [("accepted", 1, 2.0), "run", ("done", 3)]


def test_guarded__a_job_of_a_paused_queue_does_nothing_and_goes_back() -> None:
    job = Job(held=True)
    assert job.run() == ["skipped"]
    assert job.back.leaving() == [job]


@pytest.mark.parametrize("held", [True, False])
def test_guarded__a_job_whose_callbacks_are_wrapped_for_the_health_port(
    held: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counted, "_count_the_rest", lambda tally: None)
    job, tally = Job(held), Tally({"shop.add"})
    guarded = job.back.guarded(job.apply, lambda: job.said.append("skipped"))
    pool: Any = SimpleNamespace(apply_async=guarded)
    counted.counting(pool, tally)
    pool.apply_async(
        lambda: job.said.append("run") or (0, "4", 0.1),
        (),
        {},
        accept_callback=job.on_accepted,
        callback=job.on_success,
    )
    assert job.said == (["skipped"] if held else [("accepted", 1, 2.0), "run", ("done", (0, "4", 0.1))])
    assert job.back.leaving() == ([job] if held else [])
    assert len(job.back._waiting) == held  # else each request stays in memory
    ended = {("shop.add", "started"): 1, ("shop.add", "succeeded"): 1}
    assert tally.states == ({} if held else ended)


def test_guarded__what_is_no_task_is_applied_as_it_is() -> None:
    said: list[Any] = []
    guarded = HeldBack(whole_queue).guarded(lambda *words, **options: said.append((words, options)), said.clear)
    guarded("target", (1,), {})
    assert said == [(("target", (1,), {}), {})]
