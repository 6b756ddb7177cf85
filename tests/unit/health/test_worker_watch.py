from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from tasktools.health.answer import Limits
from tasktools.health.worker_watch import WorkerWatch


@dataclass
class Tasks:
    """A pool with two places."""

    runs: list[float] = field(default_factory=list)
    waiting: int = 0
    held_back: int = 0
    has_begun: int = 0
    stops: bool = False

    def stops_loop(self) -> bool:
        return self.stops

    def size(self) -> int:
        return 2

    def running(self) -> list[float]:
        return self.runs

    def in_hand(self) -> int:
        return len(self.runs) + self.waiting + self.held_back

    def due(self) -> int:
        return len(self.runs) + self.waiting

    def begun(self) -> int:
        return self.has_begun


class Worker:
    """A worker that is watched, in a time that only `later` moves."""

    def __init__(self, **limits: float) -> None:
        self.now = 1000.0
        self.tasks = Tasks()
        self.watch = WorkerWatch(Limits(**limits), clock=lambda: self.now)

    def later(self, seconds: float, *, turns: bool = True, queued: int | None = 0, answers: bool = True) -> None:
        """Let time pass in steps of a second; look at the queue in each, unless `queued` is None."""
        for _ in range(round(seconds)):
            self.now += 1
            if turns:
                self.watch.turn()
            if queued is None:
                continue
            if answers:
                self.watch.looked({"celery": queued}, {})
            else:
                self.watch.unanswered("no answer")

    @property
    def is_live(self) -> bool:
        return self.watch.live().ok

    @property
    def why(self) -> str:
        return self.watch.live().reason


@pytest.fixture
def worker() -> Worker:
    made = Worker()
    made.watch.begin(made.tasks)
    return made


def test_starting__is_alive_and_not_ready() -> None:
    worker = Worker()
    worker.later(10_000, turns=False)
    assert (worker.watch.live().ok, worker.watch.ready().ok) == (True, False)


def test_idle__is_alive_and_ready(worker: Worker) -> None:
    worker.later(1000)
    assert worker.watch.live() == worker.watch.ready()
    assert worker.is_live
    assert worker.why == "waits for tasks"


def test_loop__may_be_silent_up_to_the_limit(worker: Worker) -> None:
    worker.later(5)
    worker.later(20, turns=False)
    assert worker.is_live
    worker.later(1, turns=False)
    assert not worker.is_live
    assert worker.why == "its loop has not come around for 21 s"
    assert not worker.watch.ready().ok


def test_loop__that_turns_again_is_alive(worker: Worker) -> None:
    worker.later(60, turns=False)
    assert not worker.is_live
    worker.later(1)
    assert worker.is_live


def test_loop__silent_while_the_broker_does_not_answer(worker: Worker) -> None:
    worker.later(5)
    worker.later(600, turns=False, answers=False)
    assert worker.is_live
    assert worker.watch.ready().reason == "the broker does not answer: no answer"
    worker.later(20, turns=False)
    assert worker.is_live
    worker.later(2, turns=False)
    assert not worker.is_live


def test_loop__an_answer_before_it_was_silent_proves_nothing(worker: Worker) -> None:
    """A look that lasts must not make the time before it count."""
    worker.later(5)
    worker.later(600, turns=False, queued=None)
    assert worker.is_live


def test_loop__of_a_broker_that_cannot_be_looked_at(worker: Worker) -> None:
    worker.watch.can_look = False
    worker.later(20, turns=False, queued=None)
    assert worker.is_live
    worker.later(1, turns=False, queued=None)
    assert not worker.is_live


def test_full_pool__may_stop_the_loop_if_it_does_that(worker: Worker) -> None:
    worker.tasks.runs = [600.0, 600.0]
    worker.tasks.stops = True
    worker.later(600, turns=False, queued=5)
    assert worker.is_live
    assert worker.why == "runs 2 tasks, the longest for 600 s"
    worker.tasks.runs = [600.0]
    assert not worker.is_live
    worker.tasks.runs = [600.0, 600.0]
    worker.tasks.stops = False
    assert not worker.is_live


def test_stalled__messages_wait_and_it_takes_none(worker: Worker) -> None:
    worker.later(5)
    worker.later(21, queued=3)
    assert worker.is_live
    worker.later(1, queued=3)
    assert not worker.is_live
    assert worker.why == 'has taken nothing for 21 s, although it has room and messages wait in "celery"'


def test_stalled__not_if_it_takes_something(worker: Worker) -> None:
    for _ in range(10):
        worker.later(15, queued=3)
        worker.watch.take()
    assert worker.is_live


def test_stalled__not_if_the_queue_is_empty_in_between(worker: Worker) -> None:
    for _ in range(10):
        worker.later(15, queued=3)
        worker.later(1, queued=0)
    assert worker.is_live


def test_stalled__not_without_room(worker: Worker) -> None:
    worker.tasks.runs, worker.tasks.waiting = [600.0], 1
    worker.later(600, queued=3)
    assert worker.is_live
    worker.tasks.waiting = 0
    worker.later(30, queued=3)
    assert not worker.is_live


def test_stalled__not_if_another_worker_may_be_preferred(worker: Worker) -> None:
    for shared, is_live in (("celery", "mails"), True), (("mails",), False):
        for _ in range(30):
            worker.now += 1
            worker.watch.turn()
            worker.watch.looked({"celery": 3, "mails": 0}, {}, shared)
        assert worker.is_live is is_live


def test_stalled__names_the_queues_that_it_should_take_from(worker: Worker) -> None:
    for _ in range(30):
        worker.now += 1
        worker.watch.turn()
        worker.watch.looked({"celery": 3, "mails": 3, "empty": 0}, {}, ["mails"])
    assert worker.why.endswith('messages wait in "celery"')


def test_stalled__not_if_it_takes_nothing_on_purpose(worker: Worker) -> None:
    reasons = ["is paused"]
    worker.watch.held.append(lambda: reasons[0])
    worker.later(600, queued=3)
    assert worker.is_live
    assert (worker.watch.ready().ok, worker.watch.ready().reason) == (False, "is paused")
    reasons[0] = ""
    worker.later(30, queued=3)
    assert not worker.is_live


def test_stalled__one_look_without_an_answer_changes_nothing(worker: Worker) -> None:
    worker.later(15, queued=3)
    worker.later(1, queued=3, answers=False)
    worker.later(7, queued=3)
    assert not worker.is_live


def test_stalled__old_looks_do_not_count(worker: Worker) -> None:
    worker.later(30, queued=3)
    assert not worker.is_live
    worker.later(11, queued=3, answers=False)
    assert worker.is_live
    worker.later(3, queued=3)
    assert worker.is_live


def test_lost__is_alive_while_the_broker_is_away(worker: Worker) -> None:
    worker.later(5)
    worker.watch.lost()
    worker.later(3600, turns=False, answers=False)
    assert (worker.is_live, worker.why) == (True, "waits for the broker")
    assert (worker.watch.ready().ok, worker.watch.ready().reason) == (False, "without a connection")


def test_lost__is_not_alive_if_the_broker_is_back_and_it_does_not_connect(worker: Worker) -> None:
    worker.watch.lost()
    worker.later(600, turns=False, answers=False)
    worker.later(61, turns=False)
    assert worker.is_live
    worker.later(1, turns=False)
    assert not worker.is_live
    assert worker.why == "has had no connection for 662 s, although the broker answers"
    worker.watch.begin(worker.tasks)
    assert worker.is_live


def test_stopping__is_alive_as_long_as_its_tasks_last(worker: Worker) -> None:
    worker.watch.stopping()
    worker.watch.lost()  # the consumer stops too
    worker.later(3600, turns=False, queued=5)
    assert (worker.is_live, worker.why) == (True, "stopping")
    assert not worker.watch.ready().ok


def test_forgiven__what_did_not_happen_while_the_process_stood_still(worker: Worker) -> None:
    worker.later(30, queued=3)
    worker.later(30, turns=False, queued=3)
    assert not worker.is_live
    worker.watch.forgive()
    assert worker.is_live
    worker.later(15, turns=False, queued=3)
    assert worker.is_live


@pytest.fixture
def limited() -> Worker:
    made = Worker(stuck=60.0)
    made.watch.begin(made.tasks)
    return made


def test_stuck__only_if_every_process_is(limited: Worker) -> None:
    limited.tasks.runs = [61.0]
    assert limited.is_live
    limited.tasks.runs = [61.0, 60.0]
    assert limited.is_live
    limited.tasks.runs = [61.0, 60.1]
    assert not limited.is_live
    assert limited.why == "each of the 2 tasks that may run at a time has run for more than 60 s (--stuck-after)"


def test_stuck__the_one_task_of_a_pool_of_one(limited: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limited.tasks, "size", lambda: 1)
    limited.tasks.runs = [14.0]
    assert limited.why == "has run a task for 14 s"
    limited.tasks.runs = [0.4]
    assert limited.why == "has just begun a task"
    limited.tasks.runs = [0.6]
    assert limited.why == "has run a task for 1 s"
    limited.tasks.runs = [0.4, 0.1]
    assert limited.why == "runs 2 tasks, all just begun"
    limited.tasks.runs = [61.0]
    assert limited.why == "the one task that may run at a time has run for more than 60 s (--stuck-after)"


def test_stuck__never_without_a_limit(worker: Worker) -> None:
    worker.tasks.runs = [1e6, 1e6]
    assert worker.is_live


def test_stuck__a_pool_that_begins_nothing(limited: Worker) -> None:
    limited.tasks.waiting = 1
    assert limited.is_live
    limited.later(60)
    assert limited.is_live
    limited.later(1)
    assert not limited.is_live
    assert limited.why == "the pool has begun no task for 60 s, although it has room and tasks wait (--stuck-after)"
    limited.tasks.has_begun += 1
    assert limited.is_live


def test_stuck__not_by_tasks_that_wait_for_a_rate_limit_or_their_eta(limited: Worker) -> None:
    limited.tasks.held_back = 5
    assert limited.is_live
    limited.later(600)
    assert limited.is_live
    limited.tasks.waiting = 1
    assert limited.is_live
    limited.later(61)
    assert not limited.is_live


def test_stuck__a_full_pool_need_not_begin_more(limited: Worker) -> None:
    limited.tasks.runs, limited.tasks.waiting = [1.0, 1.0], 5
    assert limited.is_live
    limited.later(600)
    assert limited.is_live


@pytest.mark.parametrize(
    ("silent", "idle", "wants"),
    [(2.0, 2.0, False), (3.0, 0.0, True), (0.0, 3.0, True)],
    ids=["neither", "loop", "idle"],
)
def test_look__is_wanted_by_a_worker_that_does_nothing(worker: Worker, silent: float, idle: float, wants: bool) -> None:
    worker.now += 100
    worker.watch.take()
    worker.now += max(silent, idle)
    if silent < idle:
        worker.watch.turn()
    if idle < silent:
        worker.watch.taken, worker.watch._took = worker.watch.taken + 1, worker.now
    assert worker.watch.wants_look() is wants


def test_look__not_of_a_worker_that_starts_or_stops(worker: Worker) -> None:
    worker.now += 100
    assert worker.watch.wants_look()
    worker.watch.can_look = False
    assert not worker.watch.wants_look()
    worker.watch.can_look = True
    worker.watch.lost()
    assert worker.watch.wants_look()
    worker.watch.stopping()
    assert not worker.watch.wants_look()
